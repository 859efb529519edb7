//! The fs tool: one folder, and nothing outside of it.

mod lines;
mod pattern;
mod read;
mod remove;
mod root;
mod search;
mod walk;
mod work;
mod write;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kit::{
    CallContext, Content, Encoding, Failure, Interface, Method, NoArgs, RelPath, Tool, fail,
};
use lines::Which;
use read::{Odd, Part};
use remove::Depth;
use root::Root;
use work::Spot;
use write::Places;

/// One `[[fs]]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What grants call the tool.
    #[serde(default = "default_name")]
    pub name: String,
    /// The folder that is served.
    pub root: PathBuf,
    /// Places below the root, seen from there, that do not exist for whoever uses the tool.
    #[serde(default)]
    pub hidden: Vec<String>,
    /// Whether anything may be changed.
    #[serde(default)]
    pub writable: bool,
    /// How much one read gives at most, in bytes. By default, and at most, nearly 4 MiB.
    pub max_read_bytes: Option<u64>,
}

impl Config {
    /// Hides `folder` if it is below the root.
    pub(crate) fn hide(&mut self, folder: &Path, base: &Path) {
        self.hidden.extend(super::places_below(&base.join(&self.root), folder));
    }
}

fn default_name() -> String {
    "fs".to_owned()
}

/// Makes the tool; a relative root is below `base`.
///
/// # Errors
/// The root is no folder that can be opened, or a hidden place is no path below it, in words.
pub fn tool(config: &Config, base: &Path) -> Result<Tool, String> {
    let root = Arc::new(Root::open(config, base)?);
    let dir = Dir(Spot { root, at: RelPath::default() });
    let about = "Files and folders below one folder. Paths are relative, with `/`.";
    Ok(Tool::new(&config.name, env!("CARGO_PKG_VERSION"), about)
        .interface(dir_interface())
        .interface(file_interface())
        .root(Rc::new(dir))
        .descend("dir"))
}

/// A folder. It may not exist yet.
struct Dir(Spot);

/// A file. It may not exist yet.
struct File(Spot);

#[derive(Deserialize, JsonSchema)]
struct PathArgs {
    /// Below this folder.
    path: RelPath,
}

#[derive(Deserialize, JsonSchema)]
struct MaybePathArgs {
    /// Below this folder; without it, the folder itself.
    #[serde(default)]
    path: RelPath,
}

#[derive(Deserialize, JsonSchema)]
struct GlobArgs {
    /// For example `src/**/*.{rs,toml}`. `?` stands for one character and `*` for any number, but
    /// not for `/`; `**` for any number of folders; `[a-z]` for one of these characters, `[!a-z]` for
    /// another; `{a,b}` for one of these; `\*` for the character itself.
    pattern: String,
}

#[derive(Deserialize, JsonSchema)]
struct ReadArgs {
    /// Below this folder.
    path: RelPath,
    /// Where to begin, in bytes.
    #[serde(default)]
    offset: u64,
    /// How many bytes to read; without it, all the rest. A text has the characters that begin in
    /// them.
    length: Option<u64>,
    /// Whether to give text or bytes.
    #[serde(default)]
    encoding: Encoding,
    /// Whether to fail if the text has bytes in it that are no UTF-8; without it, U+FFFD stands for
    /// them.
    #[serde(default)]
    strict: bool,
}

#[derive(Deserialize, JsonSchema)]
struct PartArgs {
    /// Where to begin, in bytes.
    #[serde(default)]
    offset: u64,
    /// How many bytes to read; without it, all the rest. A text has the characters that begin in
    /// them.
    length: Option<u64>,
    /// Whether to give text or bytes.
    #[serde(default)]
    encoding: Encoding,
    /// Whether to fail if the text has bytes in it that are no UTF-8; without it, U+FFFD stands for
    /// them.
    #[serde(default)]
    strict: bool,
}

#[derive(Deserialize, JsonSchema)]
struct LinesArgs {
    /// Below this folder.
    path: RelPath,
    /// Where a line begins, in bytes, as `next` of an earlier call gives it.
    #[serde(default)]
    offset: u64,
    /// How many lines to pass over.
    #[serde(default)]
    skip: u64,
    /// How many lines to give, at most 10000; without it, 1000.
    max: Option<usize>,
}

#[derive(Deserialize, JsonSchema)]
struct FileLinesArgs {
    /// Where a line begins, in bytes, as `next` of an earlier call gives it.
    #[serde(default)]
    offset: u64,
    /// How many lines to pass over.
    #[serde(default)]
    skip: u64,
    /// How many lines to give, at most 10000; without it, 1000.
    max: Option<usize>,
}

#[derive(Deserialize, JsonSchema)]
struct WriteArgs {
    /// Below this folder.
    path: RelPath,
    /// Text or bytes.
    content: Content,
}

#[derive(Deserialize, JsonSchema)]
struct ContentArgs {
    /// Text or bytes.
    content: Content,
}

#[derive(Deserialize, JsonSchema)]
struct EditArgs {
    /// Below this folder.
    path: RelPath,
    /// The text that is to be replaced, exactly.
    old: String,
    /// What replaces it.
    new: String,
    /// Whether to replace every occurrence; without it there must be exactly one.
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize, JsonSchema)]
struct FileEditArgs {
    /// The text that is to be replaced, exactly.
    old: String,
    /// What replaces it.
    new: String,
    /// Whether to replace every occurrence; without it there must be exactly one.
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize, JsonSchema)]
struct RemoveArgs {
    /// Below this folder.
    path: RelPath,
    /// Whether a folder goes with all that it holds.
    #[serde(default)]
    recursive: bool,
}

#[derive(Deserialize, JsonSchema)]
struct SearchArgs {
    /// A regular expression, matched against each line.
    pattern: String,
    /// The file or folder to search; without it, this folder.
    #[serde(default)]
    path: RelPath,
    /// Which files, for example `*.rs` or `src/**/*.ts`; without it, all.
    glob: Option<String>,
    /// How many matching lines to give, at most 2000; without it, 200.
    max: Option<usize>,
    /// Where to go on: `next` of an earlier search.
    after: Option<search::After>,
}

fn dir_interface() -> Interface<Dir> {
    let interface = Interface::new("Dir", "A folder.")
        .opens("dir", Method::read_only("A folder below, which may not exist yet."), Dir::dir)
        .opens("file", Method::read_only("A file below, which may not exist yet."), Dir::file)
        .method("list", Method::read_only("The entries of a folder."), |dir: Rc<Dir>, a, _| {
            dir.0.run(a, |root, at, MaybePathArgs { path }, _| read::list(root, &join(at, &path)?))
        })
        .method("glob", Method::read_only("The paths below that match a pattern."), {
            |dir: Rc<Dir>, a, _| {
                dir.0.run(a, |root, at, a: GlobArgs, stop| search::glob(root, at, &a.pattern, stop))
            }
        })
        .method("stat", Method::read_only("What is known of a file or folder."), {
            |dir: Rc<Dir>, a, _| {
                dir.0.run(a, |root, at, a: MaybePathArgs, _| read::stat(root, &join(at, &a.path)?))
            }
        })
        .method("read", Method::read_only(READ), |dir: Rc<Dir>, a, _| {
            dir.0.run(a, |root, at, a: ReadArgs, _| {
                read::read(root, &join(at, &a.path)?, a.part(), a.how())
            })
        })
        .method("readLines", Method::read_only(READ_LINES), |dir: Rc<Dir>, a, _| {
            dir.0.run(a, |root, at, a: LinesArgs, stop| {
                lines::lines(root, &join(at, &a.path)?, a.which(), stop)
            })
        })
        .method("search", Method::read_only(SEARCH), |dir: Rc<Dir>, a, _| {
            dir.0.run(a, |root, at, a: SearchArgs, stop| search::search(root, at, a, stop))
        });
    changing_methods(interface)
}

const READ: &str = "The content of a file: text, in which U+FFFD stands for bytes that are no UTF-8, or bytes with encoding `data`.";
const READ_LINES: &str = "Lines of a text file.";
const SEARCH: &str = "The lines of files that match a regular expression. Leaves out what .gitignore names, binary files and very large ones.";
const WRITE: &str = "Replaces a whole file at once, or makes it. Its folder must exist.";
const APPEND: &str = "Adds to the end of a file, or makes it. Its folder must exist.";
const EDIT: &str = "Replaces exact text in a file. Fails if it is absent, or there more than once.";

fn changing_methods(interface: Interface<Dir>) -> Interface<Dir> {
    interface
        .method("write", Method::idempotent(WRITE).destructive(), |dir: Rc<Dir>, a, _| {
            dir.0.change(a, |root, at, a: WriteArgs, _| {
                write::write(root, &join(at, &a.path)?, &a.content)
            })
        })
        .method("append", Method::effect(APPEND), |dir: Rc<Dir>, a, _| {
            dir.0.change(a, |root, at, a: WriteArgs, _| {
                write::append(root, &join(at, &a.path)?, &a.content)
            })
        })
        .method("edit", Method::effect(EDIT), |dir: Rc<Dir>, a, _| {
            dir.0.change(a, |root, at, a: EditArgs, _| a.apply(root, &join(at, &a.path)?))
        })
        .method("remove", Method::effect("Removes a file or a folder.").destructive(), {
            |dir: Rc<Dir>, a, _| {
                dir.0.change(a, |root, at, a: RemoveArgs, stop| {
                    let depth = if a.recursive { Depth::Tree } else { Depth::Itself };
                    remove::remove(root, &join(at, &a.path)?, depth, stop)
                })
            }
        })
        .method("mkdir", Method::idempotent("Makes a folder and those above it."), {
            |dir: Rc<Dir>, a, _| {
                dir.0.change(a, |root, at, a: PathArgs, _| write::mkdir(root, &join(at, &a.path)?))
            }
        })
}

fn file_interface() -> Interface<File> {
    Interface::new("File", "A file.")
        .method("read", Method::read_only(READ), |file: Rc<File>, a, _| {
            file.0.run(a, |root, at, a: PartArgs, _| read::read(root, at, a.part(), a.how()))
        })
        .method("readLines", Method::read_only(READ_LINES), |file: Rc<File>, a, _| {
            file.0
                .run(a, |root, at, a: FileLinesArgs, stop| lines::lines(root, at, a.which(), stop))
        })
        .method("stat", Method::read_only("What is known of it."), |file: Rc<File>, a, _| {
            file.0.run(a, |root, at, NoArgs {}, _| read::stat(root, at))
        })
        .method("write", Method::idempotent(WRITE).destructive(), |file: Rc<File>, a, _| {
            file.0.change(a, |root, at, a: ContentArgs, _| write::write(root, at, &a.content))
        })
        .method("append", Method::effect(APPEND), |file: Rc<File>, a, _| {
            file.0.change(a, |root, at, a: ContentArgs, _| write::append(root, at, &a.content))
        })
        .method("edit", Method::effect(EDIT), |file: Rc<File>, a, _| {
            file.0.change(a, |root, at, a: FileEditArgs, _| a.apply(root, at))
        })
        .method("remove", Method::effect("Removes it.").destructive(), |file: Rc<File>, a, _| {
            file.0.change(a, |root, at, NoArgs {}, stop| {
                remove::remove(root, at, Depth::Itself, stop)
            })
        })
}

macro_rules! parts {
    ($($args:ident)*) => {$(
        impl $args {
            const fn part(&self) -> Part {
                Part { offset: self.offset, length: self.length }
            }

            const fn how(&self) -> (Encoding, Odd) {
                (self.encoding, if self.strict { Odd::Refuse } else { Odd::Replace })
            }
        }
    )*};
}

parts! { ReadArgs PartArgs }

macro_rules! line_ranges {
    ($($args:ident)*) => {$(
        impl $args {
            const fn which(&self) -> Which {
                Which { offset: self.offset, skip: self.skip, max: self.max }
            }
        }
    )*};
}

line_ranges! { LinesArgs FileLinesArgs }

impl EditArgs {
    fn apply(&self, root: &Root, at: &RelPath) -> Result<write::Edited, Failure> {
        write::edit(root, at, &self.old, &self.new, Places::of(self.all))
    }
}

impl FileEditArgs {
    fn apply(&self, root: &Root, at: &RelPath) -> Result<write::Edited, Failure> {
        write::edit(root, at, &self.old, &self.new, Places::of(self.all))
    }
}

impl Places {
    const fn of(all: bool) -> Self {
        if all { Self::All } else { Self::One }
    }
}

impl Dir {
    async fn dir(self: Rc<Self>, args: PathArgs, _: CallContext) -> Result<Rc<Self>, Failure> {
        Ok(Rc::new(Self(self.0.below(&args.path)?)))
    }

    async fn file(self: Rc<Self>, args: PathArgs, _: CallContext) -> Result<Rc<File>, Failure> {
        Ok(Rc::new(File(self.0.below(&args.path)?)))
    }
}

fn join(at: &RelPath, path: &RelPath) -> Result<RelPath, Failure> {
    at.join(path).map_err(|e| fail::invalid("path", e.to_string()))
}
