//! What is different between two manifests of one tool, and what of the older one still holds.

use super::{Interface, Manifest, Method, Param};

/// The longest piece of a description that a change shows.
const SHOWN: usize = 120;

/// For whom changes are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// A person who judges them: what is new is shown.
    Judge,
    /// An agent, to which nothing may speak that nobody accepted: no text of the newer manifest is
    /// shown, and no name.
    Agent,
}

impl Manifest {
    /// What `newer` says otherwise, a line each, for a person to judge. Empty: it is the same.
    pub fn changes(&self, newer: &Self) -> Vec<String> {
        self.changes_for(Reader::Judge, newer)
    }

    /// The same for an agent: what is otherwise, and not a word that only `newer` says.
    pub fn changes_without_texts(&self, newer: &Self) -> Vec<String> {
        self.changes_for(Reader::Agent, newer)
    }

    fn changes_for(&self, reader: Reader, newer: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut told = |what: &str, before: &str, after: &str| {
            lines.extend(reader.change(what, before, after));
        };
        told("name", &self.tool, &newer.tool);
        told("version", &self.version, &newer.version);
        told("description", &self.description, &newer.description);
        told("root interface", &self.root, &newer.root);
        told("method that opens a path", &self.descend, &newer.descend);
        for interface in &self.interfaces {
            match newer.interface(&interface.name) {
                Some(after) => interface.changes(reader, after, &mut lines),
                None => lines.push(format!("- {}, with all its methods", interface.name)),
            }
        }
        let added = newer.interfaces.iter().filter(|added| self.interface(&added.name).is_none());
        lines.extend(reader.added("interface", added, |added| {
            let methods: Vec<&str> = added.methods.iter().map(|m| m.name.as_str()).collect();
            format!("+ {} with {}", added.name, methods.join(", "))
        }));
        if lines.is_empty() && self != newer {
            lines.push("the order of what it lists".into());
        }
        lines
    }

    /// Whether the two differ in nothing but the version.
    pub fn is_same_but_version(&self, newer: &Self) -> bool {
        let as_before = Self { version: self.version.clone(), ..newer.clone() };
        *self == as_before
    }

    /// What of this manifest holds in `newer` too: the methods that are there unchanged, described
    /// as they are now. A method that means something else is left out, and so is one that is new:
    /// who was given this interface was not given that.
    #[must_use]
    pub fn kept_in(&self, newer: &Self) -> Self {
        let interfaces = self.interfaces.iter().filter_map(|interface| {
            let after = newer.interface(&interface.name)?;
            let kept = interface.methods.iter().filter_map(|method| {
                let after = after.methods.iter().find(|m| m.name == method.name)?;
                method.means_the_same(after).then(|| after.clone())
            });
            Some(Interface { methods: kept.collect(), ..after.clone() })
        });
        Self {
            tool: self.tool.clone(),
            version: newer.version.clone(),
            description: newer.description.clone(),
            // Another root is another object: none of what was known of it holds.
            root: if self.root == newer.root { self.root.clone() } else { String::new() },
            descend: if self.descend == newer.descend {
                self.descend.clone()
            } else {
                String::new()
            },
            interfaces: interfaces.collect(),
        }
    }
}

impl Reader {
    /// A text that is otherwise, if it is.
    fn change(self, what: &str, before: &str, after: &str) -> Option<String> {
        (before != after).then(|| match self {
            Self::Judge => format!("{what}: {} -> {}", shown(before), shown(after)),
            Self::Agent => format!("{what} changed"),
        })
    }

    /// Things that are new: each as it is told, or how many there are.
    fn added<T>(
        self,
        what: &str,
        added: impl Iterator<Item = T>,
        told: impl Fn(T) -> String,
    ) -> Vec<String> {
        match self {
            Self::Judge => added.map(told).collect(),
            Self::Agent => match added.count() {
                0 => Vec::new(),
                count => vec![format!("+ {what}s that were not there: {count}")],
            },
        }
    }
}

impl Interface {
    fn changes(&self, reader: Reader, newer: &Self, lines: &mut Vec<String>) {
        let name = &self.name;
        let described = format!("~ {name}, description");
        lines.extend(reader.change(&described, &self.description, &newer.description));
        for method in &self.methods {
            match newer.methods.iter().find(|after| after.name == method.name) {
                None => lines.push(format!("- {name}.{}", method.name)),
                Some(after) => {
                    let changes = method.changes(reader, after);
                    lines.extend(changes.iter().map(|c| format!("~ {name}.{}, {c}", method.name)));
                }
            }
        }
        let is_new = |added: &&Method| self.methods.iter().all(|method| method.name != added.name);
        let added = newer.methods.iter().filter(is_new);
        lines.extend(reader.added(&format!("{name}: method"), added, |added| {
            format!("+ {name}.{}({}) {}", added.name, added.signature(), added.marks())
        }));
    }
}

impl Method {
    /// Whether a call of it is the same call: all but what it says of itself to a reader, and how
    /// long it takes.
    fn means_the_same(&self, other: &Self) -> bool {
        let silent =
            |method: &Self| Self { description: String::new(), timeout_ms: 0, ..method.clone() };
        silent(self) == silent(other)
    }

    fn changes(&self, reader: Reader, newer: &Self) -> Vec<String> {
        let texts = [
            ("description", &self.description, &newer.description),
            ("parameters", &self.signature(), &newer.signature()),
            ("schema of its arguments", &self.args_schema, &newer.args_schema),
            ("schema of its result", &self.result_schema, &newer.result_schema),
            ("returns", &self.returns, &newer.returns),
        ];
        // These are our words and a number, whoever wrote the manifest.
        let plain = [
            ("maxCost", &self.max_cost.to_string(), &newer.max_cost.to_string()),
            ("annotations", &self.marks(), &newer.marks()),
            ("timeoutMs", &self.timeout_ms.to_string(), &newer.timeout_ms.to_string()),
        ];
        let told = texts.map(|(what, before, after)| reader.change(what, before, after));
        let plainly = plain.map(|(what, before, after)| Reader::Judge.change(what, before, after));
        told.into_iter().chain(plainly).flatten().collect()
    }

    fn signature(&self) -> String {
        let one = |param: &Param| {
            let marks =
                [(!param.required, "?"), (param.path, ": path"), (param.fields, ": fields")];
            let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
            format!("{}{marks}", param.name)
        };
        self.params.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn marks(&self) -> String {
        let marks = [
            (self.read_only, "readOnly"),
            (self.idempotent, "idempotent"),
            (self.destructive, "destructive"),
            (self.pure_, "pure"),
        ];
        let marks: Vec<&str> = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
        if marks.is_empty() { "no annotation".into() } else { marks.join(" ") }
    }
}

/// A text as it stands in a line: short, in quotes, nothing in it that a screen obeys.
fn shown(text: &str) -> String {
    let mut piece: String = text.chars().take(SHOWN).collect();
    if piece.len() < text.len() {
        piece.push('…');
    }
    format!("{piece:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(name: &str) -> Method {
        let param = Param { name: "path".into(), required: true, path: true, fields: false };
        Method { name: name.into(), params: vec![param], read_only: true, ..Method::default() }
    }

    fn fs() -> Manifest {
        let interface = Interface {
            name: "Dir".into(),
            methods: vec![method("read"), method("list")],
            ..Interface::default()
        };
        Manifest {
            tool: "fs".into(),
            version: "1".into(),
            root: "Dir".into(),
            interfaces: vec![interface],
            ..Manifest::default()
        }
    }

    fn changed(change: impl FnOnce(&mut Manifest)) -> Manifest {
        let mut manifest = fs();
        change(&mut manifest);
        manifest
    }

    #[test]
    fn every_change_is_told_and_changes_the_hash() {
        let changes: Vec<(Manifest, &str)> = vec![
            (changed(|m| m.version = "2".into()), "version: \"1\" -> \"2\""),
            (changed(|m| m.description = "do evil".into()), "description: \"\" -> \"do evil\""),
            (changed(|m| m.root = "File".into()), "root interface"),
            (changed(|m| m.descend = "dir".into()), "method that opens a path"),
            (changed(|m| m.interfaces[0].description = "x".into()), "~ Dir, description"),
            (changed(|m| drop(m.interfaces[0].methods.pop())), "- Dir.list"),
            (
                changed(|m| m.interfaces[0].methods.push(method("rm"))),
                "+ Dir.rm(path: path) readOnly",
            ),
            (changed(|m| m.interfaces.push(Interface::default())), "+  with"),
            (changed(|m| m.interfaces.clear()), "- Dir, with all its methods"),
            (
                changed(|m| m.interfaces[0].methods[0].description = "x".into()),
                "~ Dir.read, description",
            ),
            (
                changed(|m| m.interfaces[0].methods[0].read_only = false),
                "annotations: \"readOnly\"",
            ),
            (changed(|m| m.interfaces[0].methods[0].destructive = true), "readOnly destructive"),
            (changed(|m| m.interfaces[0].methods[0].idempotent = true), "readOnly idempotent"),
            (changed(|m| m.interfaces[0].methods[0].pure_ = true), "readOnly pure"),
            (changed(|m| m.interfaces[0].methods[0].returns = "File".into()), "returns"),
            (changed(|m| m.interfaces[0].methods[0].args_schema = "{}".into()), "arguments"),
            (changed(|m| m.interfaces[0].methods[0].result_schema = "{}".into()), "result"),
            (changed(|m| m.interfaces[0].methods[0].timeout_ms = 5), "timeoutMs"),
            (changed(|m| m.interfaces[0].methods[0].max_cost = 5), "maxCost: \"0\" -> \"5\""),
            (changed(|m| m.interfaces[0].methods[0].params[0].path = false), "parameters"),
            (changed(|m| m.interfaces[0].methods[0].params[0].required = false), "path?"),
            (changed(|m| m.interfaces[0].methods[0].params[0].fields = true), "fields"),
            (changed(|m| m.interfaces[0].methods.reverse()), "order"),
        ];
        for (newer, told) in changes {
            let lines = fs().changes(&newer);
            assert!(lines.iter().any(|line| line.contains(told)), "{told}: {lines:?}");
            assert_ne!(fs().hash(), newer.hash(), "{told}");
        }
        assert!(fs().changes(&fs()).is_empty());
    }

    #[test]
    fn an_agent_is_told_what_changed_in_words_of_what_was_accepted() {
        const NEW: &str = "obey-this";
        let fresh = || Method {
            name: NEW.into(),
            description: NEW.into(),
            params: vec![Param { name: NEW.into(), ..Param::default() }],
            args_schema: NEW.into(),
            result_schema: NEW.into(),
            returns: NEW.into(),
            ..Method::default()
        };
        let newer = changed(|m| {
            for text in [&mut m.tool, &mut m.version, &mut m.description, &mut m.root] {
                *text = NEW.into();
            }
            m.descend = NEW.into();
            let dir = &mut m.interfaces[0];
            dir.description = NEW.into();
            dir.methods[0] = Method { name: "read".into(), destructive: true, ..fresh() };
            dir.methods.push(fresh());
            m.interfaces.push(Interface {
                name: NEW.into(),
                description: NEW.into(),
                methods: vec![fresh()],
            });
        });
        let lines = fs().changes_without_texts(&newer);
        assert!(!lines.join("\n").contains(NEW), "{lines:#?}");
        for told in [
            "name changed",
            "~ Dir, description changed",
            "~ Dir.read, parameters changed",
            "~ Dir.read, annotations: \"readOnly\" -> \"destructive\"",
            "+ Dir: methods that were not there: 1",
            "+ interfaces that were not there: 1",
        ] {
            assert!(lines.iter().any(|line| line == told), "{told}: {lines:#?}");
        }
        // What changed for one changed for the other.
        assert_eq!(lines.len(), fs().changes(&newer).len());
        assert!(fs().changes_without_texts(&fs()).is_empty());
    }

    #[test]
    fn only_what_is_there_unchanged_is_kept() {
        let newer = changed(|m| {
            m.interfaces[0].methods[0].read_only = false;
            m.interfaces[0].methods[1].description = "lists more".into();
            m.interfaces[0].methods.push(method("remove"));
        });
        let kept = fs().kept_in(&newer);
        assert!(kept.method("Dir", "read").is_none(), "it means something else now");
        assert!(kept.method("Dir", "remove").is_none(), "it was never given");
        assert_eq!(kept.method("Dir", "list").unwrap().description, "lists more");
        assert_eq!(fs().kept_in(&fs()), fs());
        assert!(fs().kept_in(&changed(|m| m.root = "File".into())).root.is_empty());
    }

    #[test]
    fn a_change_of_version_alone_is_known_as_such() {
        assert!(fs().is_same_but_version(&changed(|m| m.version = "2".into())));
        let more = changed(|m| {
            m.version = "2".into();
            m.description = "x".into();
        });
        assert!(!fs().is_same_but_version(&more));
    }

    #[test]
    fn what_a_screen_obeys_is_not_shown() {
        let newer = changed(|m| m.description = format!("\u{1b}[2J{}", "x".repeat(500)));
        let line = &fs().changes(&newer)[0];
        assert!(!line.contains('\u{1b}') && line.len() < 200, "{line}");
    }
}
