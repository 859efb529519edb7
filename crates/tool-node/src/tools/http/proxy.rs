//! A proxy for programs that have no network: it forwards to the addresses of an `[[http]]` section,
//! and adds the secrets.

use std::cell::RefCell;
use std::convert::Infallible;
use std::path::Path;
use std::rc::Rc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method as Verb, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::exchange::{CARRIAGE, check, explain};
use super::relay::{self, Relayed};
use super::{Config, Web, address};
use crate::kit::{Code, Failure, fail};
use crate::limits;
use crate::tools::places::Places;
use crate::tools::web;

/// The proxy of one section. No message is held whole: what a connection holds is bounded, and so is
/// the number of connections of all proxies of the node.
pub(crate) struct Proxy {
    web: Rc<Web>,
    places: Rc<Places>,
}

/// What a proxy answers.
type Answer = Response<Relayed>;

/// Places for the connections of all proxies of a node, of [`limits::PROXY_CONNECTION_BYTES`] each.
pub(crate) fn places() -> Rc<Places> {
    let all = limits::PROXY_BYTES / limits::PROXY_CONNECTION_BYTES;
    Rc::new(Places::new(all, limits::PROXY_CONNECTIONS_OF_TASK))
}

/// A tunnel that begins once its connection has been answered.
type Tunnel = Rc<RefCell<Option<(OnUpgrade, TcpStream)>>>;

impl Proxy {
    /// The proxy of a section, whose connections take these places; files of secrets are below `base`.
    ///
    /// # Errors
    /// As of [`tool`](super::tool).
    pub(crate) fn new(config: &Config, base: &Path, places: Rc<Places>) -> Result<Self, String> {
        let web = Rc::new(Web::new(config, base)?);
        Ok(Self { web, places })
    }

    /// Serves what connects to `listener`, for ever, to a program that runs for the call of this key.
    /// A connection ends when this is dropped.
    pub(crate) async fn serve(&self, listener: TcpListener, key: &[u8]) -> Infallible {
        let mut connections = FuturesUnordered::new();
        loop {
            let has_room = connections.len() < limits::PROXY_CONNECTIONS;
            tokio::select! {
                biased;
                Some(()) = connections.next() => {}
                Ok((stream, _)) = listener.accept(), if has_room => {
                    connections.push(self.attend(stream, key));
                }
                // Accepting failed, for want of files: one that ends gives some back.
                else => std::future::pending().await,
            }
        }
    }

    async fn attend(&self, stream: TcpStream, key: &[u8]) {
        // A program whose connection is not taken sees it close, instead of waiting for ever.
        let place = tokio::time::timeout(self.web.timeout, self.places.take(key)).await;
        let Ok(Some(place)) = place else { return };
        let tunnel = Tunnel::default();
        let answer = service_fn(|request| {
            let tunnel = Rc::clone(&tunnel);
            async move { Ok::<_, Infallible>(self.answer(request, &tunnel).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.web.timeout)
            .max_buf_size(limits::PROXY_BUFFER)
            .serve_connection(TokioIo::new(stream), answer)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection of a program to its proxy broke off");
        }
        // A tunnel holds some KiB.
        drop(place);
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
                Response::new(relay::text(""))
            })
        } else {
            self.forward(request).await
        };
        answered.unwrap_or_else(|failure| refusal(&failure))
    }

    /// A connection to an origin that may be reached whole, of which nothing is seen here.
    async fn connect(&self, request: &Request<Incoming>) -> Result<TcpStream, Failure> {
        let web = &self.web;
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
        let web = &self.web;
        let verb = web.verb(request.method().as_str())?;
        let url = self.target(request.uri())?;
        let (parts, body) = request.into_parts();
        let mut headers = self.passed_on(&parts.headers);
        web.secrets.add(&url, &mut headers);
        let mut sent = web.client.request(verb, url.clone());
        let mut read = None;
        if !body.is_end_stream() {
            if let Some(bytes) = body.size_hint().exact() {
                headers.insert(CONTENT_LENGTH, bytes.into());
            }
            let (body, progress) = relay::watched(body);
            sent = sent.body(body);
            read = Some(progress);
        }
        let sent = relay::unless_idle(web.timeout, sent.headers(headers).send(), read).await?;
        let response = sent.map_err(|error| explain(web, &url, &error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let is_head = parts.method == Verb::HEAD;
        let mut answer = Response::new(relay::answer(Rc::clone(web), url, response));
        *answer.status_mut() = status;
        for (name, value) in &self.passed_on(&headers) {
            let shown = web.secrets.hide(value.as_bytes().to_vec());
            if let Ok(value) = hyper::header::HeaderValue::from_bytes(&shown) {
                answer.headers_mut().append(name, value);
            }
        }
        // Of what is not sent, only the header tells the length.
        if let Some(bytes) = headers.get(CONTENT_LENGTH).filter(|_| is_head) {
            answer.headers_mut().insert(CONTENT_LENGTH, bytes.clone());
        }
        Ok(answer)
    }

    /// What is asked for. An origin that is allowed by https alone is fetched so.
    fn target(&self, asked: &hyper::Uri) -> Result<Url, Failure> {
        let plain = web::parse(&asked.to_string()).map_err(|why| fail::invalid("url", why))?;
        let refused = match check(&self.web, &plain, "the address") {
            Ok(()) => return Ok(plain),
            Err(refused) => refused,
        };
        let mut safe = plain;
        let is_usual = safe.scheme() == "http" && safe.port().is_none();
        if is_usual && safe.set_scheme("https").is_ok() && check(&self.web, &safe, "").is_ok() {
            return Ok(safe);
        }
        Err(refused)
    }

    /// Headers without those of the connection and those that are the operator's.
    fn passed_on(&self, headers: &HeaderMap) -> HeaderMap {
        let own = HeaderName::from_static("proxy-connection");
        let is_kept = |name: &HeaderName| {
            !CARRIAGE.contains(name) && *name != own && !self.web.secrets.owns(name)
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
    let mut answer = Response::new(relay::text(&format!("remit: {}\n", failure.message)));
    *answer.status_mut() = status;
    answer
}
