//! What the caveats on a member's facets may look at: the arguments of each facet.

use std::sync::LazyLock;

use super::Facet;
use crate::manifest::{Interface, Manifest, Method, Param};
use crate::value::Value;

/// A use of a facet as its caveats see it. What does not apply is left as it is by default.
#[derive(Debug, Clone, Default)]
pub struct FacetUse<'a> {
    /// The name of the task, or of the member that is invited or changed.
    pub name: &'a str,
    /// The kind of agent of a new task.
    pub agent: &'a str,
    /// Who created the task, as a SPIFFE name.
    pub creator: &'a str,
    /// Tools that are handed to the task.
    pub tools: Vec<String>,
    /// The grants by which they are, in the text form.
    pub grants: Vec<String>,
    /// The role of the member that is invited or changed.
    pub role: &'a str,
    /// The node that is operated, as a SPIFFE name.
    pub node: &'a str,
}

/// Arguments of each facet with their JSON Schemas: what its caveats may look at.
pub(super) const ARGS: [(Facet, &[&str]); 9] = [
    (Facet::Members, &["role", "name"]),
    (Facet::Nodes, &["node"]),
    (Facet::Create, &["name", "agent", "tools", "grants"]),
    (Facet::Own, &["name", "creator", "tools", "grants"]),
    (Facet::View, &["name", "creator"]),
    (Facet::Steer, &["name", "creator", "tools", "grants"]),
    (Facet::Decide, &["name", "creator", "tools", "grants"]),
    (Facet::Audit, &[]),
    (Facet::Backup, &[]),
];

/// The facets as a manifest, against which caveats on them are validated.
pub(super) static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    let methods = ARGS.iter().map(|(facet, args)| {
        let schema = |name: &&str| match *name {
            "tools" | "grants" => {
                format!(r#""{name}":{{"type":"array","items":{{"type":"string"}}}}"#)
            }
            name => format!(r#""{name}":{{"type":"string"}}"#),
        };
        let fields: Vec<String> = args.iter().map(schema).collect();
        Method {
            name: facet.as_str().into(),
            params: args
                .iter()
                .map(|name| Param { name: (*name).into(), ..Param::default() })
                .collect(),
            args_schema: format!(
                r#"{{"type":"object","properties":{{{}}},"additionalProperties":false}}"#,
                fields.join(",")
            ),
            ..Method::default()
        }
    });
    let facets =
        Interface { name: "Facets".into(), methods: methods.collect(), ..Interface::default() };
    Manifest {
        tool: "a member's authority".into(),
        root: "Facets".into(),
        interfaces: vec![facets],
        ..Manifest::default()
    }
});

impl FacetUse<'_> {
    /// The arguments of a facet by name.
    pub(super) fn args(&self, facet: Facet) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        let list = |texts: &[String]| Value::List(texts.iter().map(|one| text(one)).collect());
        let names = ARGS.iter().find(|(of, _)| *of == facet).map_or(&[][..], |(_, names)| names);
        let value = |name: &str| match name {
            "name" => text(self.name),
            "agent" => text(self.agent),
            "creator" => text(self.creator),
            "tools" => list(&self.tools),
            "grants" => list(&self.grants),
            "role" => text(self.role),
            "node" => text(self.node),
            _ => Value::Null,
        };
        Value::Fields(names.iter().map(|name| ((*name).to_owned(), value(name))).collect())
    }
}
