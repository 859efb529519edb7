//! The examples, and a folder with the same content for every run.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{Repository, Signature, Time};
use remit_client::{GrantSpec, SourceFile, TaskSpec, Value};

/// The input that a person gives an example. All others get `null`.
fn input(name: &str) -> Value {
    match name {
        "guess" => Value::Fields(vec![("alone".into(), Value::Bool(true))]),
        _ => Value::Null,
    }
}

/// A person's answer to a question.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Approve,
    /// Approves the call with `prices.md` and this content as its arguments.
    Change(&'static str),
    Deny,
    Give(&'static str),
    Refuse,
}

/// The answers to the questions of an example, in order.
fn answers(name: &str) -> Vec<Answer> {
    match name {
        "approvals" => vec![Answer::Approve, Answer::Change("to be told"), Answer::Deny],
        "powerbox" => vec![Answer::Give("fs:docs?methods=readOnly"), Answer::Refuse],
        _ => Vec::new(),
    }
}

impl Answer {
    /// The arguments that replace the agent's.
    pub(crate) fn args(content: &str) -> Value {
        let field = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
        Value::Fields(vec![field("path", "prices.md"), field("content", content)])
    }
}

/// An example script.
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) spec: TaskSpec,
    pub(crate) answers: Vec<Answer>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

impl Example {
    /// All scripts in `examples/`.
    pub(crate) fn all() -> Vec<Self> {
        let scripts = sorted(&root().join("examples")).into_iter();
        scripts.filter(|path| path.extension().is_some_and(|e| e == "ts")).map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Self {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut spec = TaskSpec::script(&name, fs::read_to_string(&path).unwrap());
        spec.entry = format!("{name}.ts");
        spec.source[0].path.clone_from(&spec.entry);
        for module in sorted(&root().join("examples/lib")) {
            let path = format!("lib/{}", module.file_name().unwrap().to_str().unwrap());
            spec.source.push(SourceFile { path, text: fs::read_to_string(module).unwrap() });
        }
        let grants = fs::read_to_string(path.with_extension("grants.toml")).unwrap_or_default();
        let grants: toml::Table = grants.parse().unwrap();
        for (name, text) in grants.get("grants").and_then(|g| g.as_table()).into_iter().flatten() {
            let text = text.as_str().unwrap();
            spec = spec.grant(GrantSpec::parse(name, text, remit_tests::mesh::now_ms()).unwrap());
        }
        Self { spec: spec.input(input(&name)), answers: answers(&name), name }
    }
}

/// A folder like that of a small project, with a history.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("README.md", "# A project\n\nIt does little.\n\n## Use\n\nNone.\n");
        write("Cargo.toml", "license = \"MIT\"\n");
        write("crates/one/Cargo.toml", "[package]\n");
        write("crates/one/src/lib.rs", "pub mod two;\n");
        write("docs/first.md", "# First\n\nSome words.\n");
        write("docs/second.md", "No heading.\n");
        write("examples/hello.txt", "hello\n");
        write("examples/lib/markdown.ts", "export {};\n");
        let tools = fs::read_to_string(root().join("remit.tools.toml")).unwrap();
        write("remit.tools.toml", &tools);
        commit(dir.path());
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Makes a commit whose hash is the same in every run.
fn commit(dir: &Path) {
    let repository = Repository::init(dir).unwrap();
    let mut index = repository.index().unwrap();
    index.add_all(["README.md", "docs"], git2::IndexAddOption::DEFAULT, None).unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    index.write().unwrap();
    let who = Signature::new("Ada", "ada@example.org", &Time::new(1_700_000_000, 0)).unwrap();
    repository.commit(Some("HEAD"), &who, &who, "All of it", &tree, &[]).unwrap();
}
