//! One request with its redirects, each of them checked as if it had been asked for.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{
    self, AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE,
};
use reqwest::{Method as Verb, Response, StatusCode};
use url::Url;

use super::address::{self, Private};
use super::charset;
use super::{Answered, OutgoingRequest, Web};
use crate::kit::{Content, Encoding, Failure, Text, fail};
use crate::limits;
use crate::tools::web;

/// Headers that say how the message itself is carried, which is no business of whoever asks.
pub(super) const CARRIAGE: [HeaderName; 11] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    header::ACCEPT_ENCODING,
];

/// How a request ended without an answer to show.
enum Ended {
    /// No connection came to stand: nothing was sent.
    NotSent(Failure),
    /// Something was sent.
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A request on its way.
pub(super) struct Exchange<'w> {
    web: &'w Web,
    verb: Verb,
    url: Url,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    /// How the body of the answer is given.
    encoding: Encoding,
    /// Whether it may change something at the server.
    has_effects: bool,
    /// Whether the server answered the request itself, before any redirect.
    was_answered: bool,
}

impl<'w> Exchange<'w> {
    pub(super) fn new(web: &'w Web, verb: Verb, asked: OutgoingRequest) -> Result<Self, Failure> {
        let OutgoingRequest { url, headers, body, encoding } = asked;
        let url = web::parse(&url).map_err(|why| fail::invalid("url", why))?;
        check(web, &url, "the address")?;
        let headers = own_headers(web, &headers)?;
        let has_effects = !matches!(verb, Verb::GET | Verb::HEAD | Verb::OPTIONS);
        let body = body.map(Content::into_bytes);
        Ok(Self { web, verb, url, headers, body, encoding, has_effects, was_answered: false })
    }

    /// The answer, if it comes in time. A request with effects that was sent and has no answer that
    /// can be shown fails with `unknown`: a script must not take it for one that was not made.
    pub(super) async fn within(mut self, time: Duration) -> Result<Answered, Failure> {
        let answered = tokio::time::timeout(time, self.run()).await;
        let failure = match answered {
            Ok(Ok(answered)) => return Ok(answered),
            Ok(Err(Ended::NotSent(failure))) if !self.was_answered => return Err(failure),
            Ok(Err(Ended::NotSent(failure) | Ended::Failed(failure))) => failure,
            Err(_) => {
                fail::timed_out(format!("no whole answer came within {} ms", time.as_millis()))
            }
        };
        if !self.has_effects {
            return Err(failure);
        }
        let what = if self.was_answered { "was answered, and" } else { "may have been done:" };
        Err(fail::unknown(format!(
            "the request {what} {}. Look at the server before you send it again",
            failure.message
        )))
    }

    async fn run(&mut self) -> Result<Answered, Ended> {
        for _ in 0..=limits::REDIRECTS {
            let response = self.send().await?;
            self.was_answered = true;
            match self.redirect(&response)? {
                Some(url) => self.follow(url, response.status()),
                None => return Ok(self.answer(response).await?),
            }
        }
        let why = format!("there were more than {} redirects", limits::REDIRECTS);
        Err(Ended::Failed(fail::failed(why)))
    }

    async fn send(&self) -> Result<Response, Ended> {
        let mut headers = self.headers.clone();
        self.web.secrets.add(&self.url, &mut headers);
        let mut request =
            self.web.client.request(self.verb.clone(), self.url.clone()).headers(headers);
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        request.send().await.map_err(|error| {
            let failure = self.failure(&error);
            let unsent = error.is_connect() || error.is_builder();
            if unsent { Ended::NotSent(failure) } else { Ended::Failed(failure) }
        })
    }

    /// Where an answer leads; `None` if it is the last one. Only what may be repeated is followed
    /// as it is: for anything else the caller decides, unless the server asks for a GET.
    fn redirect(&self, response: &Response) -> Result<Option<Url>, Failure> {
        let safe = matches!(self.verb, Verb::GET | Verb::HEAD);
        let follows = match response.status().as_u16() {
            303 => true,
            301 | 302 | 307 | 308 => safe,
            _ => false,
        };
        let Some(location) = response.headers().get(LOCATION).filter(|_| follows) else {
            return Ok(None);
        };
        let bad = |_| fail::failed("the server redirects to something that is no URL");
        let location = std::str::from_utf8(location.as_bytes()).map_err(|_| bad(()))?;
        let joined = self.url.join(location).map_err(|_| bad(()))?;
        let url = web::parse(joined.as_str()).map_err(|why| {
            fail::denied(
                format!("a redirect leads to {}", self.web.secrets.hide_text(&why)),
                "allow",
            )
        })?;
        check(self.web, &url, "the redirect to")?;
        Ok(Some(url))
    }

    fn follow(&mut self, url: Url, status: StatusCode) {
        if status == StatusCode::SEE_OTHER && self.verb != Verb::HEAD {
            self.verb = Verb::GET;
            self.body = None;
        }
        if !web::same_origin(&self.url, &url) {
            self.headers.remove(AUTHORIZATION);
            self.headers.remove(COOKIE);
        }
        self.url = url;
    }

    async fn answer(&self, mut response: Response) -> Result<Answered, Failure> {
        let most = self.web.response_bytes;
        let too_large = || {
            fail::limit(format!(
                "the answer has more than {most} bytes (`response_bytes` of the tool)"
            ))
        };
        let status = response.status().as_u16();
        let headers = self.shown_headers(response.headers());
        let told = response.content_length().filter(|_| self.verb != Verb::HEAD);
        if told.is_some_and(|bytes| bytes > most as u64) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(&error))? {
            if body.len() + chunk.len() > most {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        let secrets = &self.web.secrets;
        let declared = charset::declared(response.headers()).unwrap_or(encoding_rs::UTF_8);
        let (body, replaced) = match self.encoding {
            Encoding::Data => (Content::Data(secrets.hide(body)), 0),
            Encoding::Text => {
                let Text { text, replaced } = charset::read(declared, &body);
                (Content::Text(secrets.hide_text(&text)), replaced)
            }
        };
        if body.as_bytes().len() > most {
            return Err(too_large());
        }
        Ok(Answered { status, url: secrets.hide_text(self.url.as_str()), headers, body, replaced })
    }

    fn shown_headers(&self, headers: &HeaderMap) -> BTreeMap<String, String> {
        let mut shown = BTreeMap::<String, String>::new();
        for (name, value) in headers {
            if CARRIAGE.contains(name) || *name == SET_COOKIE || self.web.secrets.owns(name) {
                continue;
            }
            let text = String::from_utf8_lossy(value.as_bytes());
            let text = self.web.secrets.hide_text(&text);
            let all = shown.entry(name.as_str().to_owned()).or_default();
            if !all.is_empty() {
                all.push_str(", ");
            }
            all.push_str(&text);
        }
        shown
    }

    fn failure(&self, error: &reqwest::Error) -> Failure {
        explain(self.web, &self.url, error)
    }
}

/// What went wrong on the way, by host alone: an error's own text might tell more.
pub(super) fn explain(web: &Web, url: &Url, error: &reqwest::Error) -> Failure {
    let host = url.host_str().unwrap_or_default();
    let mut cause = error.source();
    let mut last = String::new();
    while let Some(inner) = cause {
        if let Some(private) = inner.downcast_ref::<Private>() {
            return fail::denied(private.to_string(), "private_addresses");
        }
        last = inner.to_string();
        cause = inner.source();
    }
    let last = web.secrets.hide_text(&last);
    if error.is_connect() {
        return fail::unavailable(format!("`{host}` cannot be reached: {last}"));
    }
    fail::failed(format!("the exchange with `{host}` broke off: {last}"))
}

/// Whether a URL may be requested.
pub(super) fn check(web: &Web, url: &Url, what: &str) -> Result<(), Failure> {
    if !web.allowed.iter().any(|prefix| prefix.allows(url)) {
        let all: Vec<String> = web.allowed.iter().map(ToString::to_string).collect();
        let shown = web.secrets.hide_text(url.as_str());
        let why = format!("{what} `{shown}` is not below {}", all.join(", "));
        return Err(fail::denied(why, "allow"));
    }
    if web.private_addresses {
        return Ok(());
    }
    address::check_host(url.host())
        .map_err(|private| fail::denied(private.to_string(), "private_addresses"))
}

fn own_headers(web: &Web, given: &BTreeMap<String, String>) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let shown: String = name.chars().take(80).collect();
        let wrong = |why: &str| {
            fail::invalid(format!("headers.{shown}"), format!("the header `{shown}` {why}"))
        };
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("has no possible name"))?;
        if web.secrets.owns(&name) {
            return Err(fail::denied(
                format!("only the operator sets the header `{shown}`"),
                "header",
            ));
        }
        if CARRIAGE.contains(&name) {
            return Err(wrong("is set by the tool itself"));
        }
        let value =
            HeaderValue::from_str(value).map_err(|_| wrong("has a value that is not possible"))?;
        headers.insert(name, value);
    }
    Ok(headers)
}
