//! `remit tools accept`: a person judges what a tool has become.

use std::io::{BufRead as _, IsTerminal as _};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{Client, ToolInfo};

use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::limits;
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::text::harmless;

/// Accept a tool as it is now, after a look at what changed
///
/// Until then nothing calls it. Grants that were made for what it was go on with what of that is
/// there unchanged.
#[derive(Debug, Args)]
pub(super) struct Accept {
    /// The tool, or TOOL@VERSION
    #[arg(add = ArgValueCandidates::new(complete::tools))]
    tool: String,

    /// The node that serves it, if several do: its name, or its whole identity
    #[arg(long)]
    node: Option<String>,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Accept {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::All).await?;
        let done = self.decide(&mesh.client).await;
        mesh.leave().await;
        done
    }

    async fn decide(&self, client: &Client) -> Result<(), Fault> {
        let tools = client.tools().await?;
        let changed = self.changed(&tools)?;
        let title =
            format!("{}@{} on {}", changed.manifest.tool, changed.manifest.version, changed.node);
        out::note(&format!("remit: what changed in {}:", harmless(&title)));
        let lines = changed.accepted.as_ref().map(|before| before.changes(&changed.manifest));
        for line in lines.unwrap_or_default() {
            out::line(&format!("  {}", harmless(&line)))?;
        }
        if !self.yes && !agrees()? {
            return Err(Fault::Failed("it stays as it was: nothing calls it".into()));
        }
        client.accept_tool(changed).await?;
        out::note(&format!("remit: {} is accepted", harmless(&title)));
        Ok(())
    }

    /// The one tool that is meant.
    fn changed<'a>(&self, tools: &'a [ToolInfo]) -> Result<&'a ToolInfo, Fault> {
        let (name, version) = self.tool.split_once('@').unwrap_or((&self.tool, ""));
        let on_node = |tool: &ToolInfo| match &self.node {
            None => true,
            Some(node) => tool.node == *node || tool.node.rsplit('/').next() == Some(node),
        };
        let named: Vec<&ToolInfo> = tools
            .iter()
            .filter(|tool| tool.manifest.tool == name && on_node(tool))
            .filter(|tool| version.is_empty() || tool.manifest.version == version)
            .collect();
        let changed: Vec<&ToolInfo> =
            named.iter().copied().filter(|tool| tool.accepted.is_some()).collect();
        match &changed[..] {
            [one] => Ok(one),
            [] if named.is_empty() => Err(Fault::Failed(format!(
                "no node offers `{}`: `remit tools` lists what there is",
                self.tool
            ))),
            [] => Err(Fault::Failed(format!("`{}` is accepted as it is", self.tool))),
            several => {
                let which = several.iter().map(|tool| {
                    format!("{}@{} --node {}", tool.manifest.tool, tool.manifest.version, tool.node)
                });
                let which = which.collect::<Vec<_>>().join(", ");
                Err(Fault::Usage(format!("`{}` may be {which}: say which", self.tool)))
            }
        }
    }
}

/// Whether the person at the terminal says yes.
fn agrees() -> Result<bool, Fault> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Fault::Usage("nobody is here to be asked: give --yes".into()));
    }
    out::note("remit: accept it? [y/N]");
    let mut answer = String::new();
    let mut reader = std::io::Read::take(stdin.lock(), limits::ANSWER_BYTES);
    reader.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use remit_core::Manifest;

    use super::*;

    fn tool(version: &str, node: &str, changed: bool) -> ToolInfo {
        let manifest =
            Manifest { tool: "fs".into(), version: version.into(), ..Manifest::default() };
        let before = Manifest { description: "before".into(), ..manifest.clone() };
        ToolInfo {
            manifest,
            node: format!("spiffe://home/default/tool-node/{node}"),
            available: true,
            accepted: changed.then_some(before),
        }
    }

    #[test]
    fn the_tool_that_changed_is_meant_and_never_one_of_several() {
        let tools = [tool("1", "a", false), tool("2", "a", true), tool("2", "b", true)];
        let pick = |name: &str, node: Option<&str>| {
            let accept = Accept { tool: name.into(), node: node.map(Into::into), yes: true };
            accept.changed(&tools).map(|tool| tool.node.clone()).map_err(|fault| fault.to_string())
        };
        assert!(pick("fs", Some("a")).unwrap().ends_with("/a"));
        assert!(pick("fs@2", Some("b")).unwrap().ends_with("/b"));
        assert!(pick("fs", None).unwrap_err().contains("--node"));
        assert!(pick("fs@1", None).unwrap_err().contains("accepted as it is"));
        assert!(pick("git", None).unwrap_err().contains("remit tools"));
    }
}
