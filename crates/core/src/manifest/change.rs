//! What is different between two manifests of one tool, and what of the older one still holds.

use super::{Interface, Manifest, Method, Param};

/// The longest piece of a description that a change shows.
const SHOWN: usize = 120;

impl Manifest {
    /// What `newer` says otherwise, a line each, for a person to judge. Empty: it is the same.
    pub fn changes(&self, newer: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut told = |what: &str, before: &str, after: &str| {
            if before != after {
                lines.push(format!("{what}: {} -> {}", shown(before), shown(after)));
            }
        };
        told("name", &self.tool, &newer.tool);
        told("version", &self.version, &newer.version);
        told("description", &self.description, &newer.description);
        told("root interface", &self.root, &newer.root);
        told("method that opens a path", &self.descend, &newer.descend);
        for interface in &self.interfaces {
            match newer.interface(&interface.name) {
                Some(after) => interface.changes(after, &mut lines),
                None => lines.push(format!("- {}, with all its methods", interface.name)),
            }
        }
        for added in &newer.interfaces {
            if self.interface(&added.name).is_none() {
                let methods: Vec<&str> = added.methods.iter().map(|m| m.name.as_str()).collect();
                lines.push(format!("+ {} with {}", added.name, methods.join(", ")));
            }
        }
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

impl Interface {
    fn changes(&self, newer: &Self, lines: &mut Vec<String>) {
        let name = &self.name;
        if self.description != newer.description {
            let (before, after) = (shown(&self.description), shown(&newer.description));
            lines.push(format!("~ {name}, description: {before} -> {after}"));
        }
        for method in &self.methods {
            match newer.methods.iter().find(|after| after.name == method.name) {
                None => lines.push(format!("- {name}.{}", method.name)),
                Some(after) => lines.extend(
                    method.changes(after).iter().map(|c| format!("~ {name}.{}, {c}", method.name)),
                ),
            }
        }
        for added in &newer.methods {
            if self.methods.iter().all(|method| method.name != added.name) {
                let (params, marks) = (added.signature(), added.marks());
                lines.push(format!("+ {name}.{}({params}) {marks}", added.name));
            }
        }
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

    fn changes(&self, newer: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut told = |what: &str, before: &str, after: &str| {
            if before != after {
                lines.push(format!("{what}: {} -> {}", shown(before), shown(after)));
            }
        };
        told("description", &self.description, &newer.description);
        told("parameters", &self.signature(), &newer.signature());
        told("schema of its arguments", &self.args_schema, &newer.args_schema);
        told("schema of its result", &self.result_schema, &newer.result_schema);
        told("returns", &self.returns, &newer.returns);
        told("annotations", &self.marks(), &newer.marks());
        told("timeoutMs", &self.timeout_ms.to_string(), &newer.timeout_ms.to_string());
        lines
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
