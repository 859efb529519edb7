//! A proxy for programs that have no network: it forwards to the addresses of an `[[http]]` section,
//! and adds the secrets.

use std::cell::RefCell;
use std::convert::Infallible;
use std::path::Path;
use std::rc::Rc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderName};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method as Verb, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::exchange::{CARRIAGE, check, explain};
use super::{Config, Web, address};
use crate::kit::{Code, Failure, fail};
use crate::limits;
use crate::tools::web;

/// The proxy of one section.
pub(crate) struct Proxy(Web);

/// What a proxy answers.
type Answer = Response<Full<Bytes>>;

/// A tunnel that begins once its connection has been answered.
type Tunnel = Rc<RefCell<Option<(OnUpgrade, TcpStream)>>>;

impl Proxy {
    /// The proxy of a section; files of secrets are below `base`.
    ///
    /// # Errors
    /// As of [`tool`](super::tool).
    pub(crate) fn new(config: &Config, base: &Path) -> Result<Self, String> {
        Web::new(config, base).map(Self)
    }

    /// Serves what connects to `listener`, for ever. A connection ends when this is dropped.
    pub(crate) async fn serve(&self, listener: TcpListener) -> Infallible {
        let mut connections = FuturesUnordered::new();
        loop {
            let has_room = connections.len() < limits::PROXY_CONNECTIONS;
            tokio::select! {
                biased;
                Some(()) = connections.next() => {}
                Ok((stream, _)) = listener.accept(), if has_room => {
                    connections.push(self.attend(stream));
                }
                // Accepting failed, for want of files: one that ends gives some back.
                else => std::future::pending().await,
            }
        }
    }

    async fn attend(&self, stream: TcpStream) {
        let tunnel = Tunnel::default();
        let answer = service_fn(|request| {
            let tunnel = Rc::clone(&tunnel);
            async move { Ok::<_, Infallible>(self.answer(request, &tunnel).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.0.timeout)
            .serve_connection(TokioIo::new(stream), answer)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection of a program to its proxy broke off");
        }
        let begun = tunnel.borrow_mut().take();
        if let Some((upgrade, mut there)) = begun
            && let Ok(here) = upgrade.await
        {
            // Either end may close at any time; there is nobody to tell.
            let _closed = tokio::io::copy_bidirectional(&mut TokioIo::new(here), &mut there).await;
        }
    }

    async fn answer(&self, mut request: Request<Incoming>, tunnel: &Tunnel) -> Answer {
        let answered = if request.method() == Verb::CONNECT {
            let upgrade = hyper::upgrade::on(&mut request);
            self.connect(&request).await.map(|there| {
                *tunnel.borrow_mut() = Some((upgrade, there));
                Response::new(Full::default())
            })
        } else {
            let within = tokio::time::timeout(self.0.timeout, self.forward(request)).await;
            within.unwrap_or_else(|_| Err(fail::timed_out("no whole answer came in time")))
        };
        answered.unwrap_or_else(|failure| refusal(&failure))
    }

    /// A connection to an origin that may be reached whole, of which nothing is seen here.
    async fn connect(&self, request: &Request<Incoming>) -> Result<TcpStream, Failure> {
        let web = &self.0;
        let asked = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        if !web.tunnels {
            let why = format!(
                "a tunnel to `{asked}` would hide the request: ask the proxy for the http:// address, which \
                 it fetches by https, or have the operator say `tunnels = true`"
            );
            return Err(fail::denied(why, "tunnels"));
        }
        let url = web::parse(&format!("https://{asked}/"))
            .map_err(|why| fail::invalid("authority", why))?;
        check(web, &url, "the tunnel to")?;
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
        let reached = address::reach(host, port.unwrap_or(443), web.private_addresses);
        match tokio::time::timeout(web.timeout, reached).await {
            Ok(reached) => reached
                .map_err(|error| fail::unavailable(format!("`{host}` cannot be reached: {error}"))),
            Err(_) => Err(fail::timed_out(format!("`{host}` did not answer in time"))),
        }
    }

    async fn forward(&self, request: Request<Incoming>) -> Result<Answer, Failure> {
        let web = &self.0;
        let verb = web.verb(request.method().as_str())?;
        let url = self.target(request.uri())?;
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, limits::PROXY_REQUEST_BYTES).collect().await;
        let body = body.map_err(|error| fail::limit(format!("the request's body: {error}")))?;
        let mut headers = self.passed_on(&parts.headers);
        let is_secret = web.secrets.add(&url, &mut headers);
        let sent = web.client.request(verb, url.clone()).headers(headers).body(body.to_bytes());
        let mut response = sent.send().await.map_err(|error| explain(web, &url, &error))?;
        // What holds a secret is looked through, which takes all of it.
        let most = if is_secret { web.response_bytes } else { limits::PROXY_RESPONSE_BYTES };
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| explain(web, &url, &error))?
        {
            if body.len() + chunk.len() > most {
                return Err(fail::limit(format!("the answer has more than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = Response::new(Full::from(web.secrets.hide(body)));
        *answer.status_mut() = response.status();
        for (name, value) in &self.passed_on(response.headers()) {
            let shown = web.secrets.hide(value.as_bytes().to_vec());
            if let Ok(value) = hyper::header::HeaderValue::from_bytes(&shown) {
                answer.headers_mut().append(name, value);
            }
        }
        Ok(answer)
    }

    /// What is asked for. An origin that is allowed by https alone is fetched so.
    fn target(&self, asked: &hyper::Uri) -> Result<Url, Failure> {
        let plain = web::parse(&asked.to_string()).map_err(|why| fail::invalid("url", why))?;
        let refused = match check(&self.0, &plain, "the address") {
            Ok(()) => return Ok(plain),
            Err(refused) => refused,
        };
        let mut safe = plain;
        let is_usual = safe.scheme() == "http" && safe.port().is_none();
        if is_usual && safe.set_scheme("https").is_ok() && check(&self.0, &safe, "").is_ok() {
            return Ok(safe);
        }
        Err(refused)
    }

    /// Headers without those of the connection and those that are the operator's.
    fn passed_on(&self, headers: &HeaderMap) -> HeaderMap {
        let own = HeaderName::from_static("proxy-connection");
        let is_kept = |name: &HeaderName| {
            !CARRIAGE.contains(name) && *name != own && !self.0.secrets.owns(name)
        };
        headers
            .iter()
            .filter(|(name, _)| is_kept(name))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect()
    }
}

fn refusal(failure: &Failure) -> Answer {
    let status = match failure.code {
        Code::Denied => StatusCode::FORBIDDEN,
        Code::Limit => StatusCode::PAYLOAD_TOO_LARGE,
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    let mut answer = Response::new(Full::from(format!("remit: {}\n", failure.message)));
    *answer.status_mut() = status;
    answer
}
