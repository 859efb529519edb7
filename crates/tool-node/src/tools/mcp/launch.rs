//! How a server is reached: a confined program, or an address.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use remit_confine::{Child, Network, Policy};
use reqwest::header::{HeaderName, HeaderValue};
use rmcp::RoleClient;
use rmcp::model::ProtocolVersion;
use rmcp::service::{ClientLifecycleMode, RunningService, serve_client_with_lifecycle};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::Config;
use super::bounded::{Bounded, Fault};
use super::handler::{Handler, News};
use super::lines::Lines;
use super::secrets::Pair;
use crate::limits;
use crate::tools::confiner::{Confiner, Opened};
use crate::tools::http::address;
use crate::tools::{process, web};

/// How a server is reached.
pub(super) enum Launch {
    Program(Program),
    Address(Address),
}

/// A program, confined.
pub(super) struct Program {
    places: Vec<PathBuf>,
    args: Vec<String>,
    policy: Policy,
    dir: PathBuf,
    env: BTreeMap<String, String>,
    confiner: Rc<Confiner>,
    /// Whether it is spoken to as protocols of 2026 and later have it, without `initialize`.
    discovers: Cell<bool>,
}

/// A remote server.
pub(super) struct Address {
    url: String,
    client: reqwest::Client,
    headers: HashMap<HeaderName, HeaderValue>,
}

/// A server that was started, and answered.
pub(super) struct Running {
    pub(super) service: RunningService<RoleClient, Handler>,
    pub(super) child: Option<Child>,
    pub(super) fault: Fault,
    pub(super) last_words: LastWords,
}

/// The end of what a program wrote to its standard error.
#[derive(Clone, Default)]
pub(super) struct LastWords(Arc<Mutex<Vec<u8>>>);

impl LastWords {
    /// Collects until the stream ends.
    fn listen(&self, stream: Option<impl AsyncRead + Unpin + 'static>) {
        let (Some(mut stream), words) = (stream, Arc::clone(&self.0)) else { return };
        tokio::task::spawn_local(async move {
            let mut part = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut part).await {
                let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
                words.extend_from_slice(&part[..read]);
                let over = words.len().saturating_sub(limits::MCP_LAST_WORDS);
                words.drain(..over);
            }
        });
    }

    pub(super) fn get(&self) -> String {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&words).trim().to_owned()
    }
}

impl Launch {
    /// How the server of a section is reached.
    ///
    /// # Errors
    /// The section is wrong, in words.
    pub(super) fn new(
        config: &Config,
        (base, homes): (&Path, &Path),
        confiner: Option<&Rc<Confiner>>,
        (env, headers): (Vec<Pair>, Vec<Pair>),
    ) -> Result<Self, String> {
        match (&config.url, config.command.as_slice(), confiner) {
            (Some(url), [], _) => Address::new(config, url, headers).map(Self::Address),
            (None, [program, args @ ..], Some(confiner)) => {
                if !headers.is_empty() {
                    return Err("`header` is for a server with a `url`".into());
                }
                let home = match &config.home {
                    Some(home) => base.join(home),
                    None => homes.join(&config.name),
                };
                Program::new(config, (program, args), (base, home), confiner, env)
                    .map(Self::Program)
            }
            _ => Err("say where it is, with either `command` or `url`".into()),
        }
    }

    /// Starts the server, and waits until it has answered.
    pub(super) async fn start(&self, news: &Arc<News>) -> Result<Running, String> {
        let fault = Fault::default();
        let last_words = LastWords::default();
        let handler = Handler(Arc::clone(news));
        let preferred_versions = vec![ProtocolVersion::LATEST];
        let (service, child) = match self {
            Self::Program(program) => {
                let mut child = program.start()?;
                last_words.listen(child.stderr.take());
                let streams = (child.stdout.take(), child.stdin.take());
                let (Some(read), Some(write)) = streams else { return Err("no streams".into()) };
                let lines = Bounded::new(Lines::new(read, write, fault.clone()), fault.clone());
                // To ask first and fall back takes a time after which a program is taken to be old,
                // and one that is fetched first takes longer to start.
                let mode = match program.discovers.get() {
                    true => ClientLifecycleMode::Discover { preferred_versions },
                    false => ClientLifecycleMode::Initialize,
                };
                let starting = serve_client_with_lifecycle(handler, lines, mode);
                let started = tokio::select! {
                    biased;
                    started = starting => started.map_err(|error| error.to_string()),
                    ended = child.ended() => Err(told(ended)),
                };
                if started.is_err() {
                    // The next life tries the other way.
                    program.discovers.set(!program.discovers.get());
                }
                (started, Some(child))
            }
            Self::Address(address) => {
                let transport = Bounded::new(address.transport(), fault.clone());
                let legacy_version = Some(ProtocolVersion::LATEST_WITH_INITIALIZE);
                let mode = ClientLifecycleMode::Auto { preferred_versions, legacy_version };
                let started = serve_client_with_lifecycle(handler, transport, mode).await;
                (started.map_err(|error| error.to_string()), None)
            }
        };
        match service {
            Ok(service) => Ok(Running { service, child, fault, last_words }),
            Err(why) => {
                let why = fault.get().map_or(why, str::to_owned);
                // What it wrote is read until all of it has ended.
                if let Some(mut child) = child {
                    let _late = child.end().await;
                }
                Err(match last_words.get() {
                    words if words.is_empty() => why,
                    words => format!("{why}. It had written: {words}"),
                })
            }
        }
    }
}

/// How a program ended, in words.
pub(super) fn told(ended: std::io::Result<remit_confine::Ended>) -> String {
    match ended {
        Ok(remit_confine::Ended::Exited(status)) => format!("it ended ({status})"),
        Ok(remit_confine::Ended::Killed(why)) => format!("it was killed: {why}"),
        Err(error) => format!("it could not be started: {error}"),
    }
}

/// The folders in which the section's program is looked for.
fn search(config: &Config, base: &Path) -> Vec<PathBuf> {
    let usual = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
    let search = if config.path.is_empty() { &usual[..] } else { &config.path };
    search.iter().map(|dir| whole(base.join(dir))).collect()
}

/// The places where `program` may be.
fn places(program: &str, search: &[PathBuf], base: &Path) -> Vec<PathBuf> {
    match program.contains('/') {
        true => vec![whole(base.join(program))],
        false => search.iter().map(|dir| dir.join(program)).collect(),
    }
}

fn find(places: &[PathBuf]) -> Result<&Path, String> {
    places.iter().map(PathBuf::as_path).find(|path| path.is_file()).ok_or_else(|| {
        let looked = places.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        format!(
            "there is no program {}: install it, or say with its whole path or with `path` where it is",
            looked.join(" or ")
        )
    })
}

fn whole(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Whether the section's program is there; a server that is reached by HTTP has none.
///
/// # Errors
/// It is not, in words.
pub(super) fn check_program(config: &Config, base: &Path) -> Result<(), String> {
    let Some(program) = config.command.first() else { return Ok(()) };
    find(&places(program, &search(config, base), base)).map(|_| ())
}

impl Program {
    fn new(
        config: &Config,
        (program, args): (&str, &[String]),
        (base, home): (&Path, PathBuf),
        confiner: &Rc<Confiner>,
        secrets: Vec<Pair>,
    ) -> Result<Self, String> {
        if config.network == Network::Node {
            return Err("network: a server has \"none\" or \"host\"".into());
        }
        let search = search(config, base);
        let places = places(program, &search, base);
        let home = whole(home);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&home)
            .map_err(|error| format!("its home {} cannot be made: {error}", home.display()))?;
        let dir = config.root.as_ref().map_or_else(|| home.clone(), |root| whole(base.join(root)));
        let mut write = config.write.clone();
        write.push(home.clone());
        let there = |path: &&PathBuf| path.is_dir();
        let read =
            config.read.iter().chain(search.iter().filter(there)).cloned().collect::<Vec<_>>();
        let opened = Opened {
            read: &read,
            write: &write,
            hidden: &config.hidden,
            network: config.network,
            bounds: config.limits,
        };
        let policy = confiner.policy(&dir, &opened, base)?;
        let joined = std::env::join_paths(&search).map_err(|error| format!("path: {error}"))?;
        let mut env = BTreeMap::from([
            ("PATH".to_owned(), joined.to_string_lossy().into_owned()),
            ("HOME".to_owned(), home.to_string_lossy().into_owned()),
        ]);
        env.extend(config.env.clone());
        env.extend(secrets);
        let (args, confiner) = (args.to_vec(), Rc::clone(confiner));
        Ok(Self { places, args, policy, dir, env, confiner, discovers: Cell::new(false) })
    }

    fn start(&self) -> Result<Child, String> {
        // Looked for at each start: one that is missing keeps no other tool of the node away, and is
        // served once it is installed.
        let path = find(&self.places)?;
        let started = std::fs::File::open(&self.dir).and_then(|dir| {
            let called = (path.to_owned(), self.args.clone());
            let (policy, env) = (self.policy.clone(), self.env.clone());
            process::start(called, policy, &OwnedFd::from(dir), env, &self.confiner)
        });
        started.map_err(|error| format!("it could not be started: {error}"))
    }
}

impl Address {
    fn new(config: &Config, url: &str, headers: Vec<Pair>) -> Result<Self, String> {
        let parsed = web::parse(url)?;
        let timeout = Duration::from_millis(config.timeout_ms);
        // The operator named the address, so it may be a private one; redirects are not followed.
        let client = address::client(true, parsed.scheme() == "https", timeout)?;
        let header = |(name, value): Pair| {
            let wrong = |_| format!("`{name}` is no header that can be sent");
            let mut value = HeaderValue::from_str(&value).map_err(|_| {
                format!("the value of {name} has characters that no header may have")
            })?;
            value.set_sensitive(true);
            Ok((HeaderName::from_bytes(name.as_bytes()).map_err(wrong)?, value))
        };
        let headers = headers.into_iter().map(header).collect::<Result<_, String>>()?;
        Ok(Self { url: url.to_owned(), client, headers })
    }

    fn transport(&self) -> StreamableHttpClientTransport<reqwest::Client> {
        let mut config = StreamableHttpClientTransportConfig::with_uri(self.url.as_str());
        config.custom_headers.clone_from(&self.headers);
        config.max_sse_event_size = limits::MCP_MESSAGE_BYTES;
        config.max_json_response_size = limits::MCP_MESSAGE_BYTES;
        config.max_error_response_size = limits::MCP_WORDS_BYTES;
        config.max_concurrent_requests = limits::MCP_CALLS;
        StreamableHttpClientTransport::with_client(self.client.clone(), config)
    }
}
