//! Every method is taken as `docs/tools.md` writes it.

mod results;

use std::rc::Rc;

use remit_core::Value;
use remit_core::manifest::Method;
use tempfile::TempDir;

use crate::config::Config;
use crate::kit::OpenTool;

const PAGE: &str = include_str!("../../../../docs/tools.md");

/// A method as the page writes it: the arguments by position, and those in the object at the end.
#[derive(Debug)]
struct Written {
    tool: String,
    method: String,
    positions: Vec<String>,
    options: Vec<String>,
}

/// The methods in the first column of the tables, below the heading of their tool.
fn written() -> Vec<Written> {
    let mut tool = String::new();
    let mut all = Vec::new();
    for line in PAGE.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            tool = title.trim_matches('`').to_owned();
        }
        let Some(cell) = line.strip_prefix("| ").and_then(|row| row.split(" |").next()) else {
            continue;
        };
        let spans = cell.split('`').skip(1).step_by(2);
        for (method, arguments) in spans.filter_map(|span| span.split_once('(')) {
            let arguments = arguments.trim_end_matches(')');
            let (positions, options) = arguments.split_once('{').unwrap_or((arguments, ""));
            let names = |text: &str| -> Vec<String> {
                let names = text.split(',').map(|name| name.trim_matches([' ', '?', '}']));
                names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
            };
            all.push(Written {
                tool: tool.clone(),
                method: method.to_owned(),
                positions: names(positions),
                options: names(options),
            });
        }
    }
    all
}

/// The built-in tools, all of them configured.
async fn tools(dir: &TempDir) -> Vec<Rc<OpenTool>> {
    std::fs::create_dir(dir.path().join("repo")).unwrap();
    git2::Repository::init(dir.path().join("repo")).unwrap();
    let text = "[[fs]]\nroot = '.'\nwritable = true\n[[git]]\nroot = 'repo'\nwritable = true\nclone_root = '.'\nclone_from = ['.']\n\
        [[http]]\nallow = ['http://127.0.0.1:9']\n\
        [[shell]]\nroot = '.'\n[[shell.program]]\nname = 'cat'\nread_only = true\n";
    let config = Config::parse(&dir.path().join("tools.toml"), text.to_owned()).unwrap();
    let (tools, _) = config.open().unwrap();
    tools.into_iter().map(|tool| tool.open().unwrap()).collect()
}

/// The arguments as a worker sends them.
fn arguments(written: &Written) -> Value<u32> {
    let value = |name: &String| Value::Text(name.clone());
    let options = || written.options.iter().map(|name| (name.clone(), value(name))).collect();
    let mut items: Vec<Value<u32>> = written.positions.iter().map(value).collect();
    if items.is_empty() && !written.options.is_empty() {
        return Value::Fields(options());
    }
    if !written.options.is_empty() {
        items.push(Value::Fields(options()));
    }
    Value::List(items)
}

fn check(method: &Method, written: &Written) {
    let named = method.named_args(arguments(written)).unwrap();
    for (name, value) in &named {
        assert_eq!(value.as_text(), Some(name.as_str()), "{written:?}");
        assert!(method.params.iter().any(|param| param.name == *name), "{written:?}: {name}");
    }
    for param in method.params.iter().filter(|param| param.required) {
        assert!(named.iter().any(|(name, _)| *name == param.name), "{written:?}: {}", param.name);
    }
}

#[tokio::test]
async fn every_method_takes_its_arguments_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    let tools = tools(&dir).await;
    let all = written();
    for tool in &tools {
        let manifest = tool.manifest();
        let root = manifest.interface(&manifest.root).unwrap();
        for method in &root.methods {
            let of = |w: &&Written| w.tool == manifest.tool && w.method == method.name;
            let written = all.iter().find(of);
            check(method, written.unwrap_or_else(|| panic!("{} is nowhere", method.name)));
        }
    }
    assert!(tools.len() == 4 && all.len() > 30, "the page was read: {}", all.len());
}
