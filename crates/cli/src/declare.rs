//! TypeScript declarations of tools and grants, from their manifests.
//!
//! A manifest comes from a tool node, so none of it is trusted: names are quoted or replaced,
//! descriptions cannot leave their comment, and the size of each type is bounded.

mod example;
mod signature;
mod spelling;
mod types;

#[cfg(test)]
mod tests;

use remit_client::Caveat;
use remit_core::grant::permits;
use remit_core::manifest::{Interface, Manifest, Method};

pub(crate) use example::example;
pub(crate) use signature::Signature;
use spelling::{Names, comment, property};
pub(crate) use types::{Direction, Schema};

/// What every script has besides its grants.
const SCRIPT: &str = include_str!("declare/script.d.ts");

/// What a grant of a script leads to.
pub(crate) struct Granted<'a> {
    /// The name by which the script uses it.
    pub(crate) name: &'a str,
    /// The tool.
    pub(crate) manifest: &'a Manifest,
    /// The path that the grant opens; empty: the root.
    pub(crate) path: &'a str,
    /// Its caveats. A method that they exclude is not declared.
    pub(crate) caveats: &'a [Caveat],
}

impl Granted<'_> {
    /// The interface of the object that the grant leads to.
    fn root(&self) -> &str {
        let Manifest { root, descend, .. } = self.manifest;
        if self.path.is_empty() || descend.is_empty() {
            return root;
        }
        self.manifest.method(root, descend).map_or(root, |method| &method.returns)
    }

    fn namespace(&self, name: &str) -> Vec<String> {
        let manifest = self.manifest;
        let mut names = Names::default();
        let spelled: Vec<(&Interface, String)> = manifest
            .interfaces
            .iter()
            .map(|interface| (interface, names.take(&interface.name)))
            .collect();
        let title = format!("{} {}: {}", manifest.tool, manifest.version, manifest.description);
        let mut lines = comment(&title, "");
        lines.push(format!("declare namespace Grants.{name} {{"));
        for (interface, spelled_name) in &spelled {
            lines.extend(comment(&interface.description, "  "));
            lines.push(format!("  interface {spelled_name} extends RemitObject {{"));
            let methods = interface.methods.iter();
            for method in methods.filter(|method| permits(self.caveats, method)) {
                lines.extend(declared(method, &spelled));
            }
            lines.push("  }".into());
        }
        lines.push("}".into());
        lines
    }

    /// The name in its namespace of the interface to which the grant leads.
    fn root_type(&self) -> Option<String> {
        let mut names = Names::default();
        let mut spelled = self.manifest.interfaces.iter().map(|i| (&i.name, names.take(&i.name)));
        let found = spelled.find(|(name, _)| *name == self.root());
        found.map(|(_, spelled)| spelled)
    }
}

/// The declarations of a method: one for each way to give its arguments.
fn declared(method: &Method, interfaces: &[(&Interface, String)]) -> Vec<String> {
    let kinds = annotations(method).join(", ");
    let note = if kinds.is_empty() { String::new() } else { format!("\n({kinds})") };
    let mut lines = comment(&format!("{}{note}", method.description), "    ");
    let returned = match method.returns.as_str() {
        "" => {
            let schema = Schema::read(&method.result_schema);
            format!("Promise<{}>", schema.spelled(Direction::Returned))
        }
        name => {
            let found = interfaces.iter().find(|(interface, _)| interface.name == name);
            let spelled = found.map_or("RemitObject", |(_, spelled)| spelled.as_str());
            format!("Called<{spelled}>")
        }
    };
    let name = property(&method.name);
    for given in Signature::of(method).ways() {
        lines.push(format!("    {name}({given}): {returned};"));
    }
    lines
}

/// What a method's annotations say of it, in words.
pub(crate) fn annotations(method: &Method) -> Vec<&'static str> {
    let marks = [
        (method.read_only, "read-only"),
        (method.idempotent && !method.read_only, "idempotent"),
        (method.destructive, "destructive"),
        (method.pure_, "pure"),
    ];
    marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark).collect()
}

/// The declarations for a script that holds these grants.
pub(crate) fn script(grants: &[Granted<'_>]) -> String {
    let mut names = Names::default();
    let mut lines: Vec<String> = vec![
        "// What a script sees, by the grants that it is run with. Written by `remit types`."
            .into(),
        String::new(),
    ];
    lines.extend(SCRIPT.lines().map(str::to_owned));
    let mut members = Vec::new();
    let mut spawner = None;
    for grant in grants {
        let spelled = names.take(grant.name);
        lines.push(String::new());
        lines.extend(grant.namespace(&spelled));
        let root = match grant.root_type() {
            Some(root) => format!("Grants.{spelled}.{root}"),
            None => "RemitObject".to_owned(),
        };
        if grant.manifest.tool == "tasks" && spawner.is_none() {
            spawner = Some(format!("  spawn: {root}[\"spawn\"];"));
        }
        members.push(format!("  readonly {}: {root};", property(grant.name)));
    }
    lines.extend([String::new(), "interface Remit extends RemitOwn {".into()]);
    lines.extend(members);
    lines.extend(spawner);
    lines.push("}".into());
    lines.push(String::new());
    lines.join("\n")
}

/// The declarations of a tool as a grant under its own name.
pub(crate) fn tool(manifest: &Manifest) -> String {
    let grant = Granted { name: &manifest.tool, manifest, path: "", caveats: &[] };
    let mut lines = grant.namespace(&Names::default().take(&manifest.tool));
    lines.push(String::new());
    lines.join("\n")
}
