//! `shell`: programs from an allow-list, run in a directory with arguments as a list.
//!
//! No shell reads the arguments, and nothing of the node's own environment is passed on.

mod allowed;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use allowed::Allowed;
pub use allowed::ProgramConfig;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use remit_confine::{Bounds, Network, Policy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::confiner::{Confiner, Opened};
use super::process::{self, Ended, Program};
use crate::kit::{
    CallContext, Code, Content, Encoding, Failure, Interface, Method, NoArgs, RelPath, Text, Tool,
    fail,
};
use crate::limits;

/// A `[[shell]]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The tool's name.
    #[serde(default = "default_name")]
    pub name: String,
    /// The folder in which programs run, and below which `dir` is.
    pub root: PathBuf,
    /// Where programs are looked for, and their `PATH`.
    #[serde(default = "default_path")]
    pub path: Vec<PathBuf>,
    /// The rest of their environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The longest a program may take, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// The most a program may write to its output, in bytes.
    #[serde(default = "default_output_bytes")]
    pub output_bytes: usize,
    /// What programs may read and execute beside the root and the system.
    #[serde(default)]
    pub read: Vec<PathBuf>,
    /// What they may change beside the root.
    #[serde(default)]
    pub write: Vec<PathBuf>,
    /// Folders that do not exist for them, and files that they cannot open, beside what the `fs` tools
    /// of the same node hide; relative ones are below the root.
    #[serde(default)]
    pub hidden: Vec<PathBuf>,
    /// What `fs` tools hide and programs need, such as a folder for what a build makes.
    #[serde(default)]
    pub shown: Vec<PathBuf>,
    /// Whom they may talk to.
    #[serde(default)]
    pub network: Network,
    /// What they may use.
    #[serde(default)]
    pub limits: Bounds,
    /// The programs that may be run.
    #[serde(default)]
    pub program: Vec<ProgramConfig>,
}

impl Config {
    /// Hides a folder or a file.
    pub(crate) fn hide(&mut self, place: &Path) {
        self.hidden.push(std::path::absolute(place).unwrap_or_else(|_| place.to_owned()));
    }

    /// Hides what an `fs` tool hides, unless this section shows it.
    pub(crate) fn hide_with_fs(&mut self, place: &Path, base: &Path) {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let root = base.join(&self.root);
        if !self.shown.iter().any(|shown| real(&root.join(shown)) == real(place)) {
            self.hide(place);
        }
    }
}

fn default_name() -> String {
    "shell".into()
}

fn default_path() -> Vec<PathBuf> {
    ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from).into()
}

const fn default_timeout_ms() -> u64 {
    60_000
}

const fn default_output_bytes() -> usize {
    1 << 20
}

/// Makes the tool that `config` describes; relative paths in it are below `base`.
///
/// # Errors
/// The root is no folder, a program is not found, or a bound is too wide, in words.
pub fn tool(config: &Config, base: &Path, confiner: &Rc<Confiner>) -> Result<Tool, String> {
    let directory = base.join(&config.root);
    let dir = Dir::open_ambient_dir(&directory, ambient_authority()).map_err(|error| {
        format!("the root `{}` of {}: {error}", directory.display(), config.name)
    })?;
    if config.output_bytes > limits::MAX_RESULT_BYTES / 2 {
        return Err(format!(
            "output_bytes = {} of {}: at most {} fit a result",
            config.output_bytes,
            config.name,
            limits::MAX_RESULT_BYTES / 2
        ));
    }
    let of_tool = |why| format!("{}: {why}", config.name);
    let allowed = Allowed::new(&config.program, &config.path, base).map_err(of_tool)?;
    let policy = policy(config, &directory, base, confiner).map_err(of_tool)?;
    let path = std::env::join_paths(&config.path)
        .map_err(|error| format!("path of {}: {error}", config.name))?;
    let mut env = BTreeMap::from([("PATH".to_owned(), path.to_string_lossy().into_owned())]);
    env.extend(config.env.clone());
    let timeout = Duration::from_millis(config.timeout_ms);
    let longest = timeout.saturating_add(limits::CANCEL_GRACE);
    let interface = interface(longest, &allowed);
    let shared = Rc::new(Shared {
        allowed,
        env,
        timeout,
        output_bytes: config.output_bytes,
        policy,
        confiner: Rc::clone(confiner),
    });
    Ok(Tool::new(
        &config.name,
        env!("CARGO_PKG_VERSION"),
        "Runs programs that the operator allows, without a shell.",
    )
    .interface(interface)
    .root(Rc::new(Shell { dir, shared }))
    .descend("dir"))
}

/// What the programs may reach.
fn policy(
    config: &Config,
    root: &Path,
    base: &Path,
    confiner: &Confiner,
) -> Result<Policy, String> {
    let there = |path: &&PathBuf| base.join(path).is_dir();
    let read: Vec<PathBuf> =
        config.read.iter().chain(config.path.iter().filter(there)).cloned().collect();
    let hidden: Vec<PathBuf> = config.hidden.iter().map(|path| root.join(path)).collect();
    let opened = Opened {
        read: &read,
        write: &config.write,
        hidden: &hidden,
        network: config.network,
        bounds: config.limits,
    };
    confiner.policy(&config.root, &opened, base)
}

fn interface(longest: Duration, allowed: &Allowed) -> Interface<Shell> {
    Interface::new("Shell", "A directory in which the programs of a list may be run.")
        .method(
            "run",
            Method::effect(
                "Runs a program to its end. `args` is a list, which no shell reads. An approval binds \
                 the arguments, not the content of the files that the program reads or runs.",
            )
            .timeout(longest),
            |shell: Rc<Shell>, run: Run, call| async move { shell.run(run, Needs::Any, &call).await },
        )
        .method(
            "query",
            Method::read_only("Runs a program of which the operator says that it changes nothing.")
                .timeout(longest),
            |shell: Rc<Shell>, run: Run, call| async move {
                shell.run(run, Needs::ReadOnly, &call).await
            },
        )
        .method(
            "programs",
            Method::read_only("Lists the programs that may be run."),
            |shell: Rc<Shell>, NoArgs {}, _| async move { Ok(shell.shared.allowed.list()) },
        )
        .opens(
            "dir",
            Method::read_only("Opens a directory below this one, to run programs in."),
            |shell: Rc<Shell>, Below { path }: Below, _| async move { shell.below(&path).map(Rc::new) },
        )
        .refine_args("run", |schema| allowed.refine(schema, Needs::Any))
        .refine_args("query", |schema| allowed.refine(schema, Needs::ReadOnly))
}

struct Shell {
    dir: Dir,
    shared: Rc<Shared>,
}

struct Shared {
    allowed: Allowed,
    env: BTreeMap<String, String>,
    timeout: Duration,
    output_bytes: usize,
    policy: Policy,
    confiner: Rc<Confiner>,
}

/// What a program must be allowed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Any,
    ReadOnly,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Run {
    /// A name on the list.
    program: String,
    /// What the program is told, as it is.
    #[serde(default)]
    args: Vec<String>,
    /// What the program reads.
    stdin: Option<Content>,
    /// The directory it starts in, below this one.
    dir: Option<RelPath>,
    /// The longest it may take; no longer than the operator allows.
    timeout_ms: Option<u64>,
    /// Whether what it wrote is given as text or as bytes.
    #[serde(default)]
    encoding: Encoding,
}

#[derive(Deserialize, JsonSchema)]
struct Below {
    /// The directory.
    path: RelPath,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Ran {
    /// The exit status; null if a signal ended it.
    status: Option<i32>,
    /// The signal that ended it.
    signal: Option<i32>,
    /// What it wrote to its standard output.
    stdout: Content,
    /// What it wrote to its standard error.
    stderr: Content,
    /// How many U+FFFD in both stand for bytes that are no UTF-8.
    replaced: u64,
    /// Whether it wrote more than is given: it was killed because it wrote more than it may, or U+FFFD
    /// took the room.
    truncated: bool,
    /// How long it ran.
    duration_ms: u64,
}

impl Shell {
    async fn run(&self, run: Run, needs: Needs, call: &CallContext) -> Result<Ran, Failure> {
        let Shared { allowed, env, timeout, output_bytes, policy, confiner } = &*self.shared;
        let path = allowed.check(&run.program, &run.args, needs)?;
        if let Some(bad) = run.args.iter().position(|arg| arg.contains('\0')) {
            return Err(fail::invalid(format!("args[{bad}]"), "no argument may hold a zero byte"));
        }
        let dir = self.below(&run.dir.unwrap_or_default())?.dir;
        let asked = run.timeout_ms.map_or(*timeout, Duration::from_millis);
        let program = Program {
            path: path.to_owned(),
            args: run.args,
            policy: policy.clone(),
            dir: dir.into_std_file().into(),
            env: env.clone(),
            stdin: run.stdin.map(Content::into_bytes).unwrap_or_default(),
            timeout: asked.min(*timeout),
            output_bytes: *output_bytes,
        };
        let ran = process::run(program, confiner, call).await;
        let ended = ran.map_err(|failure| match (needs, failure.code) {
            // How far a program had come that changes something cannot be told.
            (Needs::Any, Code::TimedOut | Code::Limit) => fail::unknown(format!(
                "{}. It may have done its work, or a part of it",
                failure.message
            )),
            _ => failure,
        })?;
        Ok(Ran::new(ended, run.encoding))
    }

    /// The shell of a directory below, which no link can lead out of this one.
    fn below(&self, path: &RelPath) -> Result<Self, Failure> {
        let at = if path.is_root() { "." } else { path.as_str() };
        let dir = self.dir.open_dir(at).map_err(|error| {
            fail::not_found(format!("the directory `{path}` cannot be opened: {error}"))
        })?;
        Ok(Self { dir, shared: Rc::clone(&self.shared) })
    }
}

impl Ran {
    fn new(ended: Ended, encoding: Encoding) -> Self {
        let (mut replaced, mut truncated) = (0, ended.truncated);
        let mut written = |bytes: Vec<u8>| match encoding {
            Encoding::Data => Content::Data(bytes),
            Encoding::Text => {
                let text = if ended.truncated { Text::of_cut(&bytes) } else { Text::of(&bytes) };
                replaced += text.replaced;
                // U+FFFD takes more room than the byte that it stands for.
                let shown = text.text.floor_char_boundary(limits::MAX_RESULT_BYTES / 2 - 4096);
                truncated |= shown < text.text.len();
                Content::Text(text.text[..shown].to_owned())
            }
        };
        let (stdout, stderr) = (written(ended.stdout), written(ended.stderr));
        Self {
            status: ended.status.code(),
            signal: ended.status.signal(),
            stdout,
            stderr,
            replaced,
            truncated,
            duration_ms: u64::try_from(ended.duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests;
