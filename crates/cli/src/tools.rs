//! Waiting for tools: what a request needs may be on its way, or restart just now.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use remit_client::{Client, GrantSpec, ToolInfo};

use crate::embedded::CONFIGURATION;
use crate::fault::Fault;
use crate::grants;
use crate::limits;
use crate::mesh::Place;
use crate::show::out;
use crate::show::text::harmless;

/// What serves the tools that every mesh has.
const BUILT_IN: &str = "orchestrator";

/// A tool that is needed: its name, and its version; empty: any.
type Wanted = (String, String);

/// Waits until the tools that are granted are there, and says so when it takes long. A tool whose node
/// is away is waited for longer than one that no node ever offered.
pub(crate) async fn wait_for(
    client: &Client,
    granted: &[GrantSpec],
    place: &Place,
) -> Result<(), Fault> {
    let wanted = grants::tools(granted);
    let coming = configured(place);
    let began = Instant::now();
    let mut is_said = false;
    while !wanted.is_empty() {
        let tools = client.tools().await?;
        let there = |tool: &&Wanted| offers(&tools, tool).any(|offer| offer.available);
        let Some(missing) = wanted.iter().find(|tool| !there(tool)) else { break };
        let is_coming = coming.contains(&missing.0);
        if began.elapsed() > patience(&tools, missing, is_coming) {
            return Err(Fault::Failed(missed(&tools, missing, place)));
        }
        if !is_said && began.elapsed() > limits::LONG_WAIT {
            is_said = true;
            out::note(&format!("remit: {}", waits(&tools, missing, is_coming)));
        }
        tokio::time::sleep(limits::LOOK_AGAIN).await;
    }
    Ok(())
}

/// The tools of a mesh whose tool node has just been started, and registers soon.
pub(crate) async fn first(client: &Client) -> Result<Vec<ToolInfo>, Fault> {
    let began = Instant::now();
    loop {
        let tools = client.tools().await?;
        if has_node(&tools) || began.elapsed() > limits::TOOLS {
            return Ok(tools);
        }
        tokio::time::sleep(limits::LOOK_AGAIN).await;
    }
}

/// The tool that a grant of this name and version would take: one that is there before one that is
/// away, then the newest. An empty version is any.
pub(crate) fn offer<'a>(tools: &'a [ToolInfo], name: &str, version: &str) -> Option<&'a ToolInfo> {
    let wanted: Wanted = (name.to_owned(), version.to_owned());
    let parts = |version: &str| -> Vec<u64> {
        version.split('.').map(|part| part.parse().unwrap_or_default()).collect()
    };
    let offered = tools.iter().filter(|tool| {
        let manifest = &tool.manifest;
        manifest.tool == wanted.0 && (wanted.1.is_empty() || manifest.version == wanted.1)
    });
    offered
        .max_by_key(|tool| (tool.available, tool.accepted.is_none(), parts(&tool.manifest.version)))
}

/// The names of the tools that the mesh of this folder is configured to serve. Some take a while to
/// start, such as an MCP server that is fetched first.
pub(crate) fn configured(place: &Place) -> BTreeSet<String> {
    if place.address.is_some() {
        return BTreeSet::new();
    }
    std::fs::read_to_string(CONFIGURATION).map(|text| names(&text)).unwrap_or_default()
}

/// The names of the tools in a configuration: each section's `name`, or else its kind.
fn names(configuration: &str) -> BTreeSet<String> {
    let table: toml::Table = configuration.parse().unwrap_or_default();
    let sections = table.iter().filter_map(|(kind, value)| Some((kind, value.as_array()?)));
    let name = |kind: &String, section: &toml::Value| {
        let name = section.as_table()?.get("name").and_then(toml::Value::as_str);
        Some(name.unwrap_or(kind).to_owned())
    };
    sections.flat_map(|(kind, all)| all.iter().filter_map(move |one| name(kind, one))).collect()
}

/// Whether any tool node has registered.
fn has_node(tools: &[ToolInfo]) -> bool {
    tools.iter().any(|tool| tool.node != BUILT_IN)
}

fn offers<'a>(tools: &'a [ToolInfo], wanted: &'a Wanted) -> impl Iterator<Item = &'a ToolInfo> {
    let (name, version) = wanted;
    tools.iter().filter(move |tool| {
        let manifest = &tool.manifest;
        manifest.tool == *name && (version.is_empty() || manifest.version == *version)
    })
}

/// How long a tool that is not there is waited for.
fn patience(tools: &[ToolInfo], missing: &Wanted, is_coming: bool) -> Duration {
    let is_known = is_coming || offers(tools, missing).next().is_some();
    let any_away = tools.iter().any(|tool| !tool.available);
    match (is_known, any_away || !has_node(tools)) {
        (true, _) => limits::TOOL_AWAY,
        (false, true) => limits::TOOLS,
        (false, false) => limits::ONE_TOOL,
    }
}

fn title((name, version): &Wanted) -> String {
    harmless(&if version.is_empty() { name.clone() } else { format!("{name}@{version}") })
}

fn waits(tools: &[ToolInfo], missing: &Wanted, is_coming: bool) -> String {
    let title = title(missing);
    match offers(tools, missing).next() {
        None if is_coming => format!(
            "waits for the tool `{title}`, which {CONFIGURATION} names: it has not started yet. It waits for {} s at most",
            limits::TOOL_AWAY.as_secs()
        ),
        Some(offer) => format!(
            "waits for the tool `{title}`: {}, which serves it, is away. It waits for {} s at most",
            harmless(&offer.node),
            limits::TOOL_AWAY.as_secs()
        ),
        None => format!("waits for the tool `{title}`: no node has offered it yet"),
    }
}

fn missed(tools: &[ToolInfo], missing: &Wanted, place: &Place) -> String {
    let title = title(missing);
    if let Some(offer) = offers(tools, missing).next() {
        return format!(
            "the tool `{title}` is needed, and {}, which serves it, did not come back within {} s. \
             Start that node; `remit nodes` shows when it was last heard",
            harmless(&offer.node),
            limits::TOOL_AWAY.as_secs()
        );
    }
    let served = tools.iter().filter(|tool| tool.available);
    let names: Vec<String> = served.map(|tool| harmless(&tool.manifest.tool)).collect();
    let found = if names.is_empty() { "none".into() } else { names.join(", ") };
    let look = match &place.address {
        Some(_) => "`remit nodes` lists the nodes".to_owned(),
        None => format!(
            "Configure it in {CONFIGURATION}, or see {}",
            place.home.log("tool-node").display()
        ),
    };
    format!(
        "the tool `{title}` is needed, and no node serves it; those that are served: {found}. {look}"
    )
}

#[cfg(test)]
mod tests {
    use remit_core::Manifest;

    use super::*;

    fn tool(name: &str, node: &str, available: bool) -> ToolInfo {
        let manifest = Manifest { tool: name.into(), version: "1".into(), ..Manifest::default() };
        ToolInfo { manifest, node: node.into(), available, accepted: None }
    }

    #[test]
    fn a_tool_whose_node_is_away_is_waited_for_longest() {
        let fs: Wanted = ("fs".into(), String::new());
        let built_in = tool("tasks", BUILT_IN, true);
        for (others, expected) in [
            (vec![], limits::TOOLS),
            (vec![tool("git", "one", true)], limits::ONE_TOOL),
            (vec![tool("git", "one", false)], limits::TOOLS),
            (vec![tool("git", "one", true), tool("fs", "two", false)], limits::TOOL_AWAY),
        ] {
            let tools: Vec<_> = others.into_iter().chain([built_in.clone()]).collect();
            assert_eq!(patience(&tools, &fs, false), expected, "{}", waits(&tools, &fs, false));
            let coming = waits(&tools, &fs, true);
            assert_eq!(patience(&tools, &fs, true), limits::TOOL_AWAY, "{coming}");
        }
    }

    #[test]
    fn a_configuration_names_tools_by_name_or_kind() {
        let text = "strict = true\n[[fs]]\nroot = '.'\n[[fs]]\nname = 'docs'\n[[mcp]]\nname = 'time'\n\
                    [[shell]]\n[[shell.program]]\nname = 'wc'";
        assert_eq!(names(text).into_iter().collect::<Vec<_>>(), ["docs", "fs", "shell", "time"]);
        assert!(names("not = [toml").is_empty());
    }
}
