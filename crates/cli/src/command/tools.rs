//! `remit tools`: what can be granted.

mod accept;
mod show;

use clap::{Args, Subcommand};
use remit_client::ToolInfo;
use remit_core::manifest::Method;

use crate::embedded::CONFIGURATION;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::paint::{Ink, Paint};
use crate::show::text::harmless;
use crate::show::{listed, out};
use crate::tools;

/// List the tools that can be granted, with their methods
///
/// Starts a mesh for the time of the command if none runs.
#[derive(Debug, Args)]
pub(super) struct Tools {
    /// One JSON object a line, for programs
    #[arg(long)]
    json: bool,

    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    Accept(accept::Accept),
    Show(show::Show),
}

impl Tools {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        match self.action {
            Some(Action::Accept(accept)) => return accept.execute(place).await,
            Some(Action::Show(show)) => return show.execute(place, look).await,
            None => {}
        }
        let tools = all(place).await?;
        if self.json {
            return listed::print(&tools, listed::tool);
        }
        if tools.is_empty() {
            out::note("remit: no tool is registered: see the tool node's log");
        }
        let mut coming = tools::configured(place);
        coming.retain(|name| tools.iter().all(|tool| tool.manifest.tool != *name));
        for name in coming {
            let log = place.home.log("tool-node");
            let why = format!("has not started yet: see {}", log.display());
            out::note(&format!(
                "remit: `{}`, which {} names, {why}",
                harmless(&name),
                CONFIGURATION
            ));
        }
        tools.iter().flat_map(|tool| lines(tool, look.out)).try_for_each(|line| out::line(&line))
    }
}

/// The tools of a mesh, which is started if none runs.
async fn all(place: &Place) -> Result<Vec<ToolInfo>, Fault> {
    let mesh = Mesh::reach(place, Parts::All).await?;
    let tools = if mesh.embedded.is_some() {
        tools::first(&mesh.client).await
    } else {
        mesh.client.tools().await.map_err(Fault::from)
    };
    mesh.leave().await;
    tools
}

fn lines(tool: &ToolInfo, paint: Paint) -> Vec<String> {
    let manifest = &tool.manifest;
    let title = harmless(&format!("{}@{}", manifest.tool, manifest.version));
    let away = if tool.available { "" } else { " (away)" };
    let mut lines = vec![format!(
        "{}  {}  {}",
        paint.ink(Ink::Name, &title),
        harmless(&manifest.description),
        paint.ink(Ink::Dim, &format!("{}{away}", harmless(&tool.node)))
    )];
    if let Some(accepted) = &tool.accepted {
        let title =
            format!("changed, not accepted: nothing calls it. `remit tools accept {title}`");
        lines.push(format!("  {}", paint.ink(Ink::Bad, &title)));
        let changes = accepted.changes(manifest);
        lines.extend(changes.iter().map(|change| format!("    {}", harmless(change))));
        return lines;
    }
    for interface in &manifest.interfaces {
        let root = if interface.name == manifest.root { ", which is granted" } else { "" };
        lines.push(format!("  {}{root}", harmless(&interface.name)));
        lines.extend(interface.methods.iter().map(|method| one(method, paint)));
    }
    lines
}

fn one(method: &Method, paint: Paint) -> String {
    let params: Vec<String> = method
        .params
        .iter()
        .map(|param| format!("{}{}", param.name, if param.required { "" } else { "?" }))
        .collect();
    let returns =
        if method.returns.is_empty() { String::new() } else { format!(" -> {}", method.returns) };
    let marks = [
        (method.read_only, "readOnly"),
        (method.idempotent && !method.read_only, "idempotent"),
        (method.destructive, "destructive"),
    ];
    let marks: Vec<&str> = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
    let head = harmless(&format!("{}({}){returns}", method.name, params.join(", ")));
    let marks = paint.ink(Ink::Dim, &marks.join(" "));
    format!("    {head}  {marks}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use remit_core::manifest::Param;

    use super::*;

    #[test]
    fn a_method_reads_as_it_is_written() {
        let param =
            |name: &str, required| Param { name: name.into(), required, ..Param::default() };
        let method = Method {
            name: "open".into(),
            params: vec![param("path", true), param("depth", false)],
            returns: "Dir".into(),
            read_only: true,
            idempotent: true,
            ..Method::default()
        };
        assert_eq!(one(&method, Paint::Plain), "    open(path, depth?) -> Dir  readOnly");
    }
}
