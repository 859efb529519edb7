//! `shell`: programs from an allow-list, run in a directory with arguments as a list.
//!
//! No shell reads the arguments, and nothing of the node's own environment is passed on.

mod allowed;
mod content;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use allowed::Allowed;
pub use allowed::ProgramConfig;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use content::Bound;
use remit_confine::{Bounds, Layer, Network, PROXY, Policy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};

use super::Hold;
use super::confiner::{Confiner, Opened};
use super::http::{self, Proxy};
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
    /// The `[[http]]` section through whose proxy they reach its addresses, with `network = "node"`.
    pub through: Option<String>,
    /// Whether each run must name the content of the folder, so that an approval binds it.
    #[serde(default)]
    pub binds_content: bool,
    /// Places below the root that are no part of that content, such as what builds make.
    #[serde(default)]
    pub unbound: Vec<PathBuf>,
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
pub fn tool(
    config: &Config,
    base: &Path,
    confiner: &Rc<Confiner>,
    sections: &[http::Config],
) -> Result<Tool, String> {
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
    let proxy = proxy(config, base, confiner, sections).map_err(of_tool)?;
    let path = std::env::join_paths(&config.path)
        .map_err(|error| format!("path of {}: {error}", config.name))?;
    let mut env = BTreeMap::from([("PATH".to_owned(), path.to_string_lossy().into_owned())]);
    if proxy.is_some() {
        env.extend(proxy_variables());
    }
    env.extend(config.env.clone());
    let timeout = Duration::from_millis(config.timeout_ms);
    let longest = timeout.saturating_add(limits::CANCEL_GRACE);
    let interface = interface(longest, &allowed, config.binds_content);
    let bound = bound(config, &dir, &directory).map_err(of_tool)?;
    let work = Work::of(config, base, &directory, confiner);
    let shared = Rc::new(Shared {
        allowed,
        env,
        timeout,
        output_bytes: config.output_bytes,
        policy,
        proxy,
        bound,
        work,
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

/// The content that an approval can bind.
fn bound(config: &Config, dir: &Dir, root: &Path) -> Result<Bound, String> {
    let dir = dir.try_clone().map_err(|error| format!("root: {error}"))?;
    let places = config.hidden.iter().chain(&config.unbound).map(|place| root.join(place));
    let left_out = places.flat_map(|place| super::places_below(root, &place)).map(PathBuf::from);
    Ok(Bound::new(dir, left_out.collect(), config.binds_content))
}

/// The proxy that `through` names, and `network = "node"` asks for.
fn proxy(
    config: &Config,
    base: &Path,
    confiner: &Confiner,
    sections: &[http::Config],
) -> Result<Option<Rc<Proxy>>, String> {
    let name = match (&config.through, config.network) {
        (None, Network::None | Network::Host) => return Ok(None),
        (Some(name), Network::Node) => name,
        _ => {
            return Err(
                "network = \"node\" and `through`, the name of an [[http]] section, go together"
                    .into(),
            );
        }
    };
    if !confiner.layers().has(Layer::Network) {
        return Err(format!(
            "network = \"node\" needs a network namespace: {}",
            Layer::Network.lack()
        ));
    }
    let section = sections.iter().find(|section| section.name == *name);
    let section =
        section.ok_or_else(|| format!("through: there is no [[http]] section `{name}`"))?;
    let places = Rc::clone(confiner.proxy_places());
    Proxy::new(section, base, places).map(|proxy| Some(Rc::new(proxy)))
}

/// Where programs look for a proxy.
fn proxy_variables() -> impl Iterator<Item = (String, String)> {
    let address = format!("http://{}:{}", PROXY.0, PROXY.1);
    let names = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"];
    let own = ["no_proxy", "NO_PROXY"].map(|name| (name, "localhost,127.0.0.1".to_owned()));
    let all = names.into_iter().map(move |name| (name, address.clone())).chain(own);
    all.map(|(name, value)| (name.to_owned(), value))
}

fn interface(longest: Duration, allowed: &Allowed, binds_content: bool) -> Interface<Shell> {
    Interface::new("Shell", "A directory in which the programs of a list may be run.")
        .method(
            "run",
            Method::effect(
                "Runs a program to its end. `args` is a list, which no shell reads. An approval binds \
                 the arguments, and the content of the files that the program reads or runs only if \
                 `content` is among them.",
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
            "content",
            Method::read_only(
                "The content of the shell's whole folder as a digest, with what has changed since the last \
                 run that named it. Given to `run` as `content`, it is part of what is approved: the run is \
                 refused once the folder differs, or the list does.",
            )
            .timeout(longest),
            |shell: Rc<Shell>, NoArgs {}, _| async move { shell.shared.bound.look().await },
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
        .refine_args("run", |schema| {
            allowed.refine(schema, Needs::Any);
            if binds_content && let Some(required) = schema["required"].as_array_mut() {
                required.push("content".into());
            }
        })
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
    proxy: Option<Rc<Proxy>>,
    bound: Bound,
    work: Work,
    confiner: Rc<Confiner>,
}

/// Who else works in the folder, and in those that programs may write to.
struct Work {
    own: Hold,
    /// All of them, in an order that is the same for every tool, so that no two wait for each other.
    all: Vec<Hold>,
}

/// What is held while a program runs.
enum Held<'w> {
    Shared(#[expect(dead_code, reason = "held, not read")] RwLockReadGuard<'w, ()>),
    Alone(#[expect(dead_code, reason = "held, not read")] RwLockWriteGuard<'w, ()>),
}

impl Work {
    fn of(config: &Config, base: &Path, root: &Path, confiner: &Confiner) -> Self {
        let places = config.write.iter().map(|place| base.join(place));
        let places: Vec<PathBuf> = places.chain([root.to_owned()]).collect();
        let own = confiner.folders().of(root);
        let mut all = confiner.folders().of_all(&places);
        all.extend(own.is_none().then(Hold::default));
        let own = own.or_else(|| all.last().cloned()).unwrap_or_default();
        Self { own, all }
    }

    /// Begins to work in the folders: with others, but alone in the own one if its content is bound.
    async fn begin(&self, is_bound: bool) -> Vec<Held<'_>> {
        let mut held = Vec::new();
        for hold in &self.all {
            held.push(match is_bound && Rc::ptr_eq(hold, &self.own) {
                true => Held::Alone(hold.write().await),
                false => Held::Shared(hold.read().await),
            });
        }
        held
    }
}

/// Why a program was not started whose folder is held.
const AT_WORK: &str = "the program was not started: for as long as it may run, others were at work in the folder, \
                       and content that an approval binds is worked on alone. Ask again";

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
    /// What `content()` gave: the run is refused if the folder, or what has changed in it, differs.
    content: Option<content::Content>,
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
        let Shared { allowed, env, timeout, output_bytes, policy, proxy, confiner, .. } =
            &*self.shared;
        let path = allowed.check(&run.program, &run.args, needs)?;
        if let Some(bad) = run.args.iter().position(|arg| arg.contains('\0')) {
            return Err(fail::invalid(format!("args[{bad}]"), "no argument may hold a zero byte"));
        }
        let dir = self.below(&run.dir.unwrap_or_default())?.dir;
        let asked = run.timeout_ms.map_or(*timeout, Duration::from_millis);
        let is_bound = run.content.is_some();
        let held = match needs == Needs::Any || is_bound {
            true => tokio::time::timeout(*timeout, self.shared.work.begin(is_bound)).await,
            false => Ok(Vec::new()),
        };
        let _held = held.map_err(|_| fail::failed(AT_WORK))?;
        if needs == Needs::Any || is_bound {
            self.shared.bound.check(run.content.as_ref()).await?;
        }
        let program = Program {
            path: path.to_owned(),
            args: run.args,
            policy: policy.clone(),
            dir: dir.into_std_file().into(),
            env: env.clone(),
            proxy: proxy.clone(),
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
