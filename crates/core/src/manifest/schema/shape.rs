//! What can stand at a place in the arguments, for someone who writes a condition on it.

use super::{Kinds, Node, Others, Rule};

/// All that a schema says of one place: a value there passes only if it is of one of the kinds.
#[derive(Debug)]
pub(crate) struct Shape<'a> {
    kinds: Kinds,
    nodes: Vec<&'a Node>,
}

impl<'a> Shape<'a> {
    pub(super) fn of(node: &'a Node) -> Self {
        let mut nodes = Vec::new();
        let kinds = gather(node, &mut nodes);
        Self { kinds, nodes }
    }

    /// The kinds of values that can stand here.
    pub(crate) const fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// What can stand in the field, or the element, of this name; nothing: it is declared nowhere.
    pub(crate) fn named(&self, name: &str) -> Option<Self> {
        let index = name.parse::<usize>().ok();
        self.parts(|node, parts| {
            for rule in &node.rules {
                match rule {
                    Rule::Fields(rules) => {
                        let named = rules.named.iter().find(|(one, _)| one == name);
                        let before = parts.len();
                        parts.extend(named.map(|(_, node)| node));
                        let matching = rules.matching.iter().filter(|(p, _)| p.is_match(name));
                        parts.extend(matching.map(|(_, node)| node));
                        if let (true, Others::Each(node)) = (parts.len() == before, &rules.others) {
                            parts.push(node);
                        }
                    }
                    Rule::Elements(first, rest) => {
                        let Some(at) = index else { continue };
                        parts.extend(first.get(at).or(rest.as_deref()));
                    }
                    Rule::OneOf(_)
                    | Rule::Number(..)
                    | Rule::Length(_)
                    | Rule::Pattern(_)
                    | Rule::Count(_)
                    | Rule::Unique
                    | Rule::FieldCount(_)
                    | Rule::Required(_)
                    | Rule::RequiredWith(..)
                    | Rule::All(_)
                    | Rule::Any(_)
                    | Rule::One(_)
                    | Rule::Not(_)
                    | Rule::If(_)
                    | Rule::Never => {}
                }
            }
        })
        .or_else(|| self.declares(name).then(Self::anything))
    }

    /// What can stand in any of the fields or elements.
    pub(crate) fn each(&self) -> Self {
        let parts = self.parts(|node, parts| {
            for rule in &node.rules {
                match rule {
                    Rule::Fields(rules) => {
                        parts.extend(rules.named.iter().map(|(_, node)| node));
                        parts.extend(rules.matching.iter().map(|(_, node)| node));
                        if let Others::Each(node) = &rules.others {
                            parts.push(node);
                        }
                    }
                    Rule::Elements(first, rest) => {
                        parts.extend(first);
                        parts.extend(rest.as_deref());
                    }
                    Rule::OneOf(_)
                    | Rule::Number(..)
                    | Rule::Length(_)
                    | Rule::Pattern(_)
                    | Rule::Count(_)
                    | Rule::Unique
                    | Rule::FieldCount(_)
                    | Rule::Required(_)
                    | Rule::RequiredWith(..)
                    | Rule::All(_)
                    | Rule::Any(_)
                    | Rule::One(_)
                    | Rule::Not(_)
                    | Rule::If(_)
                    | Rule::Never => {}
                }
            }
        });
        match parts {
            _ if !self.kinds.has(Kinds::LIST.or(Kinds::FIELDS)) => {
                Self { kinds: Kinds::NONE, nodes: Vec::new() }
            }
            // Without a schema of its own an element, or a parameter, can be anything.
            Some(parts) if !self.has_free_parts() => parts,
            _ => Self::anything(),
        }
    }

    /// Whether there may be fields here that the schema does not name, so that one of another name
    /// could mean the same.
    pub(crate) fn is_open(&self) -> bool {
        let mut closed = false;
        let mut open = false;
        for rule in self.nodes.iter().flat_map(|node| &node.rules) {
            if let Rule::Fields(rules) = rule {
                match &rules.others {
                    Others::Only(_) if rules.matching.is_empty() => closed = true,
                    Others::Only(_) | Others::Any | Others::Each(_) => open = true,
                }
            }
        }
        self.kinds.has(Kinds::FIELDS) && (open || !closed)
    }

    /// The names that are declared here.
    pub(crate) fn names(&self) -> Vec<&'a str> {
        let mut all: Vec<&str> = Vec::new();
        for rule in self.nodes.iter().flat_map(|node| &node.rules) {
            if let Rule::Fields(rules) = rule {
                all.extend(rules.named.iter().map(|(name, _)| name.as_str()));
                if let Others::Only(names) = &rules.others {
                    all.extend(names.iter().map(String::as_str));
                }
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|name| seen.insert(*name));
        all
    }

    fn declares(&self, name: &str) -> bool {
        let speaks = self.nodes.iter().flat_map(|node| &node.rules);
        let list = self.kinds.has(Kinds::LIST) && name.parse::<usize>().is_ok();
        list || self.is_open()
            || speaks.into_iter().any(|rule| match rule {
                Rule::Fields(rules) => match &rules.others {
                    Others::Only(names) => names.iter().any(|one| one == name),
                    Others::Any | Others::Each(_) => false,
                },
                Rule::OneOf(_)
                | Rule::Number(..)
                | Rule::Length(_)
                | Rule::Pattern(_)
                | Rule::Count(_)
                | Rule::Elements(..)
                | Rule::Unique
                | Rule::FieldCount(_)
                | Rule::Required(_)
                | Rule::RequiredWith(..)
                | Rule::All(_)
                | Rule::Any(_)
                | Rule::One(_)
                | Rule::Not(_)
                | Rule::If(_)
                | Rule::Never => false,
            })
    }

    fn has_free_parts(&self) -> bool {
        let list = self.kinds.has(Kinds::LIST)
            && !self
                .nodes
                .iter()
                .flat_map(|n| &n.rules)
                .any(|rule| matches!(rule, Rule::Elements(_, Some(_))));
        list || self.names().iter().any(|name| self.named(name).is_some_and(|s| s.nodes.is_empty()))
    }

    const fn anything() -> Self {
        Self { kinds: Kinds::ALL, nodes: Vec::new() }
    }

    fn parts(&self, find: impl Fn(&'a Node, &mut Vec<&'a Node>)) -> Option<Self> {
        let mut parts = Vec::new();
        self.nodes.iter().for_each(|node| find(node, &mut parts));
        let mut all = Self { kinds: Kinds::NONE, nodes: Vec::new() };
        for node in &parts {
            all.kinds = all.kinds.or(gather(node, &mut all.nodes));
        }
        (!parts.is_empty()).then_some(all)
    }
}

/// Adds a schema and those in it that speak of the same value. Gives the kinds that can pass.
fn gather<'a>(node: &'a Node, into: &mut Vec<&'a Node>) -> Kinds {
    into.push(node);
    let mut kinds = node.kinds;
    for rule in &node.rules {
        match rule {
            Rule::All(nodes) => {
                kinds = nodes.iter().fold(kinds, |kinds, node| kinds.and(gather(node, into)));
            }
            Rule::Any(nodes) | Rule::One(nodes) => {
                let each = nodes.iter().fold(Kinds::NONE, |all, node| all.or(gather(node, into)));
                kinds = kinds.and(each);
            }
            Rule::If(parts) => {
                // Which of the two applies is not known before there is a value.
                let [_, then, otherwise] = &**parts;
                let either = gather(then, into).or(gather(otherwise, into));
                kinds = kinds.and(either);
            }
            Rule::Never => kinds = Kinds::NONE,
            Rule::OneOf(_)
            | Rule::Number(..)
            | Rule::Length(_)
            | Rule::Pattern(_)
            | Rule::Count(_)
            | Rule::Elements(..)
            | Rule::Unique
            | Rule::Fields(_)
            | Rule::FieldCount(_)
            | Rule::Required(_)
            | Rule::RequiredWith(..)
            | Rule::Not(_) => {}
        }
    }
    kinds
}
