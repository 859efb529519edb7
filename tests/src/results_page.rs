//! The section "Results" of `docs/tools.md`, made from the schemas of the tools themselves.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use remit_tool_node::config::Config;
use remit_tool_node::kit::OpenTool;
use serde_json::{Map, Value as Json};

const BEGIN: &str = "<!-- made by `cargo run -p remit-tests --bin results` -->\n";
const END: &str = "<!-- end -->\n";

/// All tools that come with Remit, with everything that they can be configured to do.
const TOOLS: &str = "[[fs]]\nroot = '.'\nwritable = true
[[git]]\nroot = 'repo'\nwritable = true\nclone_root = '.'\nclone_from = ['.']
[[shell]]\nroot = '.'\n[[shell.program]]\nname = 'cat'\nread_only = true
[[http]]\nallow = ['http://127.0.0.1:9']\n";

/// Where the page is.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tools.md")
}

/// The page with the section as the code has it.
pub fn page() -> String {
    let page = std::fs::read_to_string(path()).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the first mark");
    let (_, after) = rest.split_once(END).expect("the page has the second mark");
    format!("{before}{BEGIN}{}{END}{after}", section())
}

fn section() -> String {
    let mut section = String::new();
    for tool in tools() {
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

fn tools() -> Vec<Rc<OpenTool>> {
    let dir = tempfile::tempdir().unwrap();
    git2::Repository::init(dir.path().join("repo")).unwrap();
    let config = Config::parse(&dir.path().join("tools.toml"), TOOLS.to_owned()).unwrap();
    let (tools, _) = config.open().unwrap();
    tools.into_iter().map(|tool| tool.open().unwrap()).collect()
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
