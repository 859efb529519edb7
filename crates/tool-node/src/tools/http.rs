//! `http`: requests to the origins and paths that the operator allows, with secrets that stay here.

pub(crate) mod address;
mod charset;
mod exchange;
mod proxy;
mod relay;
pub(crate) mod secret;

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use exchange::Exchange;
pub(crate) use proxy::{Proxy, places};
use reqwest::Method as Verb;
use schemars::JsonSchema;
pub use secret::HeaderConfig;
use secret::Secrets;
use serde::{Deserialize, Serialize};

use super::web::Prefix;
use crate::kit::{CallContext, Content, Encoding, Failure, Interface, Method, Tool, fail};
use crate::limits;

/// One `[[http]]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What grants call the tool.
    #[serde(default = "default_name")]
    pub name: String,
    /// Origins, with the beginning of a path if not all of it is meant.
    pub allow: Vec<String>,
    /// Methods other than GET and HEAD.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Whether addresses of private networks and of this machine may be reached.
    #[serde(default)]
    pub private_addresses: bool,
    /// The longest a request may take with all its redirects, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// The largest body that is taken, in bytes.
    #[serde(default = "default_response_bytes")]
    pub response_bytes: usize,
    /// Whether programs whose section names this one may open tunnels to whole origins by https, in which
    /// neither paths nor methods are seen and no secret is added.
    #[serde(default)]
    pub tunnels: bool,
    /// Headers that are added here and never shown.
    #[serde(default)]
    pub header: Vec<HeaderConfig>,
}

impl Config {
    /// The files with secrets.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Path> {
        self.header.iter().filter_map(|header| header.file.as_deref())
    }
}

fn default_name() -> String {
    "http".to_owned()
}

const fn default_timeout_ms() -> u64 {
    30_000
}

const fn default_response_bytes() -> usize {
    1 << 20
}

/// Makes the tool; files of secrets are below `base`.
///
/// # Errors
/// A secret cannot be read, or an address or a method cannot be allowed, in words.
pub fn tool(config: &Config, base: &Path) -> Result<Tool, String> {
    let web = Web::new(config, base).map_err(|why| format!("{}: {why}", config.name))?;
    let longest = web.timeout.saturating_add(limits::CANCEL_GRACE);
    let about = "Requests to the web addresses that the operator allows.";
    Ok(Tool::new(&config.name, env!("CARGO_PKG_VERSION"), about)
        .interface(interface(longest))
        .root(Rc::new(web)))
}

/// What may be requested, and how.
struct Web {
    client: reqwest::Client,
    allowed: Vec<Prefix>,
    verbs: Vec<Verb>,
    secrets: Secrets,
    private_addresses: bool,
    tunnels: bool,
    timeout: Duration,
    response_bytes: usize,
}

#[derive(Deserialize, JsonSchema)]
struct GetArgs {
    /// The address.
    url: String,
    /// Headers by name.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Whether the body of the answer is given as text or as bytes.
    #[serde(default)]
    encoding: Encoding,
}

#[derive(Deserialize, JsonSchema)]
struct RequestArgs {
    /// For example `POST`.
    method: String,
    /// The address.
    url: String,
    /// Headers by name.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What is sent.
    body: Option<Content>,
    /// Whether the body of the answer is given as text or as bytes.
    #[serde(default)]
    encoding: Encoding,
}

/// What a server answered.
#[derive(Debug, Serialize, JsonSchema)]
struct Answered {
    /// The status, for example 200. Others than success are answers too, and no failures.
    status: u16,
    /// The address that answered, after redirects.
    url: String,
    /// Headers by name, in small letters.
    headers: BTreeMap<String, String>,
    /// What was sent back.
    body: Content,
    /// How many U+FFFD in the body stand for bytes that are no text.
    replaced: u64,
}

/// What is asked of a server.
struct OutgoingRequest {
    url: String,
    headers: BTreeMap<String, String>,
    body: Option<Content>,
    encoding: Encoding,
}

impl From<GetArgs> for OutgoingRequest {
    fn from(args: GetArgs) -> Self {
        let GetArgs { url, headers, encoding } = args;
        Self { url, headers, body: None, encoding }
    }
}

impl From<RequestArgs> for OutgoingRequest {
    fn from(args: RequestArgs) -> Self {
        let RequestArgs { url, headers, body, encoding, .. } = args;
        Self { url, headers, body, encoding }
    }
}

fn interface(longest: Duration) -> Interface<Web> {
    Interface::new("Web", "Addresses on the web, those that the operator allows.")
        .method(
            "get",
            Method::read_only("Gets what is at an address.").timeout(longest),
            |web: Rc<Web>, args: GetArgs, call| async move {
                web.run(Verb::GET, args.into(), &call).await
            },
        )
        .method(
            "head",
            Method::read_only("Gets the headers of what is at an address.").timeout(longest),
            |web: Rc<Web>, args: GetArgs, call| async move {
                web.run(Verb::HEAD, args.into(), &call).await
            },
        )
        .method(
            "request",
            Method::effect("Sends a request of one of the methods that the operator allows.")
                .timeout(longest),
            |web: Rc<Web>, args: RequestArgs, call| async move {
                let verb = web.verb(&args.method)?;
                web.run(verb, args.into(), &call).await
            },
        )
}

impl Web {
    fn new(config: &Config, base: &Path) -> Result<Self, String> {
        let allowed: Vec<Prefix> =
            config.allow.iter().map(|url| Prefix::parse(url)).collect::<Result<_, _>>()?;
        if allowed.is_empty() {
            return Err(
                "allow is empty: name at least one origin, for example https://example.com".into(),
            );
        }
        if config.response_bytes > limits::MAX_RESULT_BYTES / 2 {
            let most = limits::MAX_RESULT_BYTES / 2;
            return Err(format!(
                "response_bytes = {}: at most {most} fit a result",
                config.response_bytes
            ));
        }
        let verb = |name: &String| match Verb::from_bytes(name.as_bytes()) {
            Ok(verb) if !matches!(verb, Verb::CONNECT | Verb::TRACE) => Ok(verb),
            _ => Err(format!("methods: `{name}` is no method that may be allowed")),
        };
        let timeout = Duration::from_millis(config.timeout_ms);
        let needs_tls = allowed.iter().any(|prefix| prefix.scheme() == "https");
        Ok(Self {
            client: address::client(config.private_addresses, needs_tls, timeout)?,
            verbs: config.methods.iter().map(verb).collect::<Result<_, _>>()?,
            secrets: Secrets::read(&config.header, &allowed, base)?,
            private_addresses: config.private_addresses,
            tunnels: config.tunnels,
            timeout,
            response_bytes: config.response_bytes,
            allowed,
        })
    }

    fn verb(&self, name: &str) -> Result<Verb, Failure> {
        let open = [Verb::GET, Verb::HEAD];
        let found = open.iter().chain(&self.verbs).find(|verb| verb.as_str() == name);
        found.cloned().ok_or_else(|| {
            let shown: String = name.chars().take(40).collect();
            let all: Vec<&str> = open.iter().chain(&self.verbs).map(Verb::as_str).collect();
            let why = format!(
                "the operator does not allow the method `{shown}`, only {}",
                all.join(", ")
            );
            fail::denied(why, "methods")
        })
    }

    async fn run(
        &self,
        verb: Verb,
        asked: OutgoingRequest,
        call: &CallContext,
    ) -> Result<Answered, Failure> {
        let exchange = Exchange::new(self, verb, asked)?;
        tokio::select! {
            biased;
            () = call.cancelled() => Err(fail::cancelled("the caller gave up on the request")),
            answered = exchange.within(self.timeout) => answered,
        }
    }
}

#[cfg(test)]
mod tests;
