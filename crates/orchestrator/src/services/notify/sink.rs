//! One sink: how it is told.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;

use super::SinkConfig;
use crate::limits;
use crate::services::secrets;

/// The header in which a post is signed.
const SIGNATURE: &str = "x-remit-signature-256";

/// A sink that can be told.
pub(super) struct Sink {
    config: SinkConfig,
    /// For a webhook.
    client: Option<reqwest::Client>,
}

/// Why a sink did not take a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It will not take it at another time either.
    Refused(String),
    /// It may.
    Failed(String),
}

/// Says what is wrong with a sink.
pub(super) fn check(config: &SinkConfig) -> Result<(), String> {
    match (&config.url, config.command.is_empty()) {
        (Some(url), true) => {
            let url = reqwest::Url::parse(url).map_err(|error| format!("its url: {error}"))?;
            match url.scheme() {
                "http" | "https" => Ok(()),
                other => Err(format!("its url is of `{other}`: it must be http or https")),
            }
        }
        (None, false) if config.secret_file.is_some() => {
            Err("`secret_file` signs posts: a command has none".into())
        }
        (None, false) => Ok(()),
        _ => Err("say either `url` or `command`".into()),
    }
}

impl Sink {
    pub(super) fn new(config: &SinkConfig) -> Result<Self, String> {
        let client = config.url.as_deref().map(client).transpose()?;
        Ok(Self { config: config.clone(), client })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// Tells it. An error says why it did not take it, without the address, which may be secret.
    pub(super) async fn tell(&self, body: &str) -> Result<(), NotTaken> {
        let telling = async {
            match (&self.client, &self.config.url) {
                (Some(client), Some(url)) => self.post(client, url, body).await,
                _ => self.run(body).await.map_err(NotTaken::Failed),
            }
        };
        tokio::time::timeout(limits::NOTICE_TIME, telling).await.unwrap_or_else(|_| {
            Err(NotTaken::Failed(format!("no answer within {} s", limits::NOTICE_TIME.as_secs())))
        })
    }

    async fn post(&self, client: &reqwest::Client, url: &str, body: &str) -> Result<(), NotTaken> {
        let mut request = client.post(url).header("content-type", "application/json");
        if let Some(file) = &self.config.secret_file {
            let secret = secrets::of_file(file.clone()).await;
            let secret = secret.map_err(|failure| NotTaken::Failed(failure.message))?;
            let signed = secrets::signed(&secret, body.as_bytes()).unwrap_or_default();
            request = request.header(SIGNATURE, signed);
        }
        let answer = request.body(body.to_owned()).send().await;
        let failed = |error: reqwest::Error| NotTaken::Failed(error.without_url().to_string());
        let status = answer.map_err(failed)?.status();
        let why = format!("it answered {status}");
        match status.as_u16() {
            _ if status.is_success() => Ok(()),
            // These ask for another try: too slow, too early, too many.
            408 | 425 | 429 => Err(NotTaken::Failed(why)),
            400..500 => Err(NotTaken::Refused(why)),
            _ => Err(NotTaken::Failed(why)),
        }
    }

    /// Starts the command, hands it the message on standard input, and waits for its end.
    async fn run(&self, body: &str) -> Result<(), String> {
        let Some((program, args)) = self.config.command.split_first() else {
            return Err("there is no command".into());
        };
        let mut child = tokio::process::Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{program} cannot be started: {error}"))?;
        if let Some(mut input) = child.stdin.take() {
            // One that does not read it may do its work all the same.
            let _unread = input.write_all(format!("{body}\n").as_bytes()).await;
        }
        let status = child.wait().await.map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("{program} ended with {status}")) }
    }
}

/// A client that goes to this address, and nowhere else.
fn client(url: &str) -> Result<reqwest::Client, String> {
    // One provider serves the whole process; the first one that was installed is the same.
    let _same = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .referer(false)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("remit/", env!("CARGO_PKG_VERSION")));
    if !url.starts_with("https") {
        // There is nothing to verify, and a machine may have no certificates at all.
        let none = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        builder = builder.tls_backend_preconfigured(none);
    }
    builder.build().map_err(|error| {
        format!(
            "the certificates of this machine cannot be read ({error}): install ca-certificates"
        )
    })
}
