//! `remit tools show`: one tool in full.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::ToolInfo;
use remit_core::manifest::{Interface, Method};
use serde_json::Value as Json;
use unicode_width::UnicodeWidthStr as _;

use crate::complete;
use crate::declare::{self, Direction, Schema, Signature, annotations, example};
use crate::fault::Fault;
use crate::limits;
use crate::look::Look;
use crate::mesh::Place;
use crate::show::paint::{Ink, Paint};
use crate::show::text::harmless;
use crate::show::{listed, out};
use crate::tools::offer;

/// Show a tool's methods with their arguments, annotations and examples
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The tool's name, with @VERSION or without
    #[arg(value_name = "TOOL", add = ArgValueCandidates::new(complete::tools))]
    tool: String,

    /// Declarations of TypeScript instead
    #[arg(long, conflicts_with = "json")]
    types: bool,

    /// One JSON object, with the schemas, for programs
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let tools = super::all(place).await?;
        let (name, version) = self.tool.split_once('@').unwrap_or((&self.tool, ""));
        let Some(tool) = offer(&tools, name, version) else {
            return Err(Fault::Failed(format!(
                "no tool `{}` is registered; `remit tools` lists those that are",
                harmless(&self.tool)
            )));
        };
        if self.json {
            return out::json(&listed::tool(tool));
        }
        if self.types {
            return out::line(declare::tool(&tool.manifest).trim_end());
        }
        lines(tool, look.out).iter().try_for_each(|line| out::line(line))
    }
}

/// The tool in words, at most [`limits::COLUMNS`] wide wherever a word ends.
fn lines(tool: &ToolInfo, paint: Paint) -> Vec<String> {
    let manifest = &tool.manifest;
    let title = harmless(&format!("{}@{}", manifest.tool, manifest.version));
    let away = if tool.available { "" } else { " (away)" };
    let node = harmless(&tool.node);
    let mut lines =
        vec![format!("{}  {}", paint.ink(Ink::Name, &title), paint.ink(Ink::Dim, &(node + away)))];
    lines.extend(wrapped(&manifest.description, 2));
    if tool.accepted.is_some() {
        let why = format!("changed, not accepted: nothing calls it. `remit tools accept {title}`");
        lines.extend(wrapped(&why, 2));
    }
    for interface in &manifest.interfaces {
        lines.push(String::new());
        let is_root = interface.name == manifest.root;
        let root = if is_root { ", which is granted" } else { "" };
        lines.push(format!("{}{root}", harmless(&interface.name)));
        lines.extend(wrapped(&interface.description, 2));
        for method in &interface.methods {
            let object =
                if is_root { format!("remit.{}", manifest.tool) } else { named(interface) };
            lines.push(String::new());
            lines.extend(one(method, &harmless(&object), paint));
        }
    }
    lines
}

/// What an example calls an object of an interface.
fn named(interface: &Interface) -> String {
    let mut name = interface.name.clone();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    name
}

fn one(method: &Method, object: &str, paint: Paint) -> Vec<String> {
    let names: Vec<String> = method
        .params
        .iter()
        .map(|param| format!("{}{}", param.name, if param.required { "" } else { "?" }))
        .collect();
    let mut lines = wrapped(&format!("{}({})", method.name, names.join(", ")), 2);
    let kinds = annotations(method);
    if !kinds.is_empty() {
        lines.push(format!("      {}", paint.ink(Ink::Dim, &kinds.join(", "))));
    }
    lines.extend(wrapped(&method.description, 6));
    let signature = Signature::of(method);
    for param in &method.params {
        let mark = if param.required { "" } else { "?" };
        let head = format!("{}{mark}: {}", param.name, signature.argument(&param.name));
        lines.extend(wrapped(&head, 6));
        let schema = signature.schema.described(&param.name);
        let described = schema.and_then(|schema| schema.get("description"));
        lines.extend(wrapped(described.and_then(Json::as_str).unwrap_or_default(), 10));
    }
    let returned = match method.returns.as_str() {
        "" if method.result_schema.is_empty() => None,
        "" => Some(Schema::read(&method.result_schema).spelled(Direction::Returned)),
        name => Some(name.to_owned()),
    };
    lines.extend(returned.into_iter().flat_map(|it| wrapped(&format!("returns {it}"), 6)));
    lines.extend(wrapped(&example(object, method), 6));
    lines
}

/// Lines of `text`, each indented, as wide as they may be. Breaks stand between words.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    // Lines of a description are as wide as its author's page; a blank one ends a paragraph.
    for paragraph in text.split("\n\n").map(|lines| harmless(&lines.replace('\n', " "))) {
        let mut line = " ".repeat(indent);
        let mut is_empty = true;
        for word in paragraph.split_whitespace() {
            if !is_empty && line.width() + 1 + word.width() > limits::COLUMNS {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        if !is_empty {
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use remit_core::manifest::{Manifest, Param};

    use super::*;

    #[test]
    fn a_tool_is_shown_with_arguments_and_an_example() {
        let param =
            |name: &str, required| Param { name: name.into(), required, ..Param::default() };
        let method = Method {
            name: "search".into(),
            description: "Finds lines. ".repeat(9),
            params: vec![param("pattern", true), param("max", false)],
            args_schema: r#"{"properties":{
                "pattern":{"type":"string","description":"A regular expression","examples":["a+"]},
                "max":{"type":"integer"}},"required":["pattern"]}"#
                .into(),
            result_schema: r#"{"type":"array","items":{"type":"string"}}"#.into(),
            read_only: true,
            ..Method::default()
        };
        let interface = Interface {
            name: "Dir".into(),
            description: "A folder.".into(),
            methods: vec![method],
        };
        let manifest = Manifest {
            tool: "fs".into(),
            version: "1.2.0".into(),
            description: "Files.\u{1b}[2J".into(),
            root: "Dir".into(),
            interfaces: vec![interface],
            ..Manifest::default()
        };
        let tool = ToolInfo { manifest, node: "one".into(), available: true, accepted: None };
        let shown = lines(&tool, Paint::Plain);
        let expected = "\
fs@1.2.0  one
  Files.\\u{1b}[2J

Dir, which is granted
  A folder.

  search(pattern, max?)
      read-only
      Finds lines. Finds lines. Finds lines. Finds lines. Finds lines. Finds
      lines. Finds lines. Finds lines. Finds lines.
      pattern: string
          A regular expression
      max?: number | bigint
      returns string[]
      await remit.fs.search(\"a+\")";
        assert_eq!(shown.join("\n"), expected);
        assert!(shown.iter().all(|line| line.width() <= limits::COLUMNS));
    }
}
