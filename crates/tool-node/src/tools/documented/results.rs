//! The section "Results" of `docs/tools.md` is made from the schemas of the tools themselves.

use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::{PAGE, tools};
use crate::kit::OpenTool;

const BEGIN: &str = "<!-- made from the schemas: the test that compares it prints it anew -->\n";
const END: &str = "<!-- end -->\n";

#[tokio::test]
async fn the_results_of_methods_are_those_of_their_schemas() {
    let dir = tempfile::tempdir().unwrap();
    let section = section(&tools(&dir).await);
    let (_, rest) = PAGE.split_once(BEGIN).expect("the page has the first mark");
    let (found, _) = rest.split_once(END).expect("the page has the second mark");
    assert!(found == section, "between the two marks of docs/tools.md must stand:\n{section}");
}

fn section(tools: &[Rc<OpenTool>]) -> String {
    let mut section = String::new();
    for tool in tools {
        let manifest = tool.manifest();
        let _written = writeln!(
            section,
            "\n### Results of `{}`\n\n| method | result |\n| --- | --- |",
            manifest.tool
        );
        for interface in &manifest.interfaces {
            for method in &interface.methods {
                let result = match method.returns.as_str() {
                    "" => serde_json::from_str(&method.result_schema).map_or_else(
                        |_| "anything".to_owned(),
                        |schema: Json| format!("`{}`", shape(&schema).replace('|', "\\|")),
                    ),
                    object => format!("an object `{object}`"),
                };
                let (name, method) = (&interface.name, &method.name);
                let _written = writeln!(section, "| `{name}.{method}` | {result} |");
            }
        }
    }
    section.push('\n');
    section
}

/// A JSON Schema as the type that a script sees.
fn shape(schema: &Json) -> String {
    let Json::Object(schema) = schema else { return "any".to_owned() };
    if let Some(literal) = schema.get("const") {
        return literal.to_string();
    }
    if let Some(Json::Array(literals)) = schema.get("enum") {
        return either(literals.iter().map(ToString::to_string));
    }
    for any in ["anyOf", "oneOf"] {
        if let Some(Json::Array(kinds)) = schema.get(any) {
            return either(kinds.iter().map(shape));
        }
    }
    match schema.get("type") {
        Some(Json::String(kind)) => of_kind(kind, schema),
        Some(Json::Array(kinds)) => {
            either(kinds.iter().filter_map(Json::as_str).map(|kind| of_kind(kind, schema)))
        }
        _ => "any".to_owned(),
    }
}

fn of_kind(kind: &str, schema: &Map<String, Json>) -> String {
    match kind {
        "object" => object(schema),
        "array" => match schema.get("items").map(shape) {
            Some(item) if item.contains(" | ") => format!("({item})[]"),
            Some(item) => format!("{item}[]"),
            None => "any[]".to_owned(),
        },
        "string" if schema.get("format") == Some(&Json::from("text-or-bytes")) => {
            "string | Uint8Array".to_owned()
        }
        "integer" => "number".to_owned(),
        kind => kind.to_owned(),
    }
}

fn object(schema: &Map<String, Json>) -> String {
    let required = schema.get("required").and_then(Json::as_array);
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let Some(Json::Object(properties)) = schema.get("properties") else {
        return match schema.get("additionalProperties") {
            Some(other @ Json::Object(_)) => format!("{{ [name]: {} }}", shape(other)),
            _ => "{}".to_owned(),
        };
    };
    let field = |(name, schema): (&String, &Json)| {
        let mark = if is_required(name) { "" } else { "?" };
        format!("{name}{mark}: {}", shape(schema))
    };
    format!("{{ {} }}", properties.iter().map(field).collect::<Vec<_>>().join(", "))
}

/// One of these, each once.
fn either(kinds: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for kind in kinds {
        if !all.contains(&kind) {
            all.push(kind);
        }
    }
    all.join(" | ")
}
