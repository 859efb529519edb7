//! Webhooks: an HTTP endpoint to which others post, one secret for each trigger.
//!
//! It speaks plain HTTP, for a loopback address or behind a proxy that ends TLS.

use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use remit_core::{Code, Failure, Value, json};
use remit_vat::accept::accept;
use remit_vat::handshakes::{Handshakes, Place};
use remit_vat::tls::Hint;
use remit_vat::turn;
use remit_vat::wire::MAX_DEPTH;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Done, Triggers};
use crate::limits;

/// Serves webhooks, for ever. A connection that showed no secret yet may be dropped for another.
pub async fn serve(tcp: TcpListener, triggers: Rc<Triggers>, tenant: &'static str) {
    let handshakes = Handshakes::new(limits::WEBHOOK_CONNECTIONS);
    let never = CancellationToken::new();
    accept(&tcp, &handshakes, &never, |stream, place| {
        let triggers = Rc::clone(&triggers);
        turn::spawn("a webhook", async move {
            let place = Rc::new(place);
            place.begin();
            let poster = Rc::clone(&place);
            let answer = service_fn(move |request| {
                let (triggers, place) = (Rc::clone(&triggers), Rc::clone(&poster));
                async move { Ok::<_, Infallible>(answer(&triggers, tenant, &place, request).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::WEBHOOK)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            tokio::select! {
                biased;
                () = place.taken_away() => tracing::debug!("a silent connection made room"),
                served = tokio::time::timeout(limits::WEBHOOK * 3, served) => match served {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "a post to a webhook broke off"),
                    Err(_) => tracing::debug!("a post to a webhook took too long"),
                },
            }
        });
    })
    .await;
}

type Answer = Response<Full<Bytes>>;

async fn answer(
    triggers: &Triggers,
    tenant: &str,
    place: &Place,
    request: Request<Incoming>,
) -> Answer {
    let posting = post(triggers, tenant, place, request);
    let posted = tokio::time::timeout(limits::WEBHOOK, posting).await;
    let (status, said) = match posted {
        Ok(Ok(Done::Created(task))) => (StatusCode::ACCEPTED, json!({ "task": task.to_string() })),
        Ok(Ok(Done::Sent(task))) => {
            (StatusCode::ACCEPTED, json!({ "task": task.to_string(), "sent": true }))
        }
        Ok(Err((status, why))) => (status, json!({ "error": why })),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, json!({ "error": "the post took too long" })),
    };
    let mut response = Response::new(Full::new(Bytes::from(said.to_string())));
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}

type Refused = (StatusCode, String);

async fn post(
    triggers: &Triggers,
    tenant: &str,
    place: &Place,
    request: Request<Incoming>,
) -> Result<Done, Refused> {
    let refuse = |status: StatusCode, why: &str| (status, why.to_owned());
    let Some(name) = request.uri().path().strip_prefix("/hooks/").map(str::to_owned) else {
        return Err(refuse(StatusCode::NOT_FOUND, "post to /hooks/NAME"));
    };
    if request.method() != Method::POST {
        return Err(refuse(StatusCode::METHOD_NOT_ALLOWED, "a webhook takes a POST"));
    }
    let secret = bearer(request.headers()).unwrap_or_default();
    let occasion = match request.headers().get("idempotency-key") {
        Some(key) if key.len() <= 128 => match key.to_str() {
            Ok(key) => key.to_owned(),
            Err(_) => return Err(refuse(StatusCode::BAD_REQUEST, "Idempotency-Key is no text")),
        },
        Some(_) => {
            return Err(refuse(StatusCode::BAD_REQUEST, "Idempotency-Key is over 128 bytes"));
        }
        None => super::secret(),
    };
    let unknown = || {
        refuse(
            StatusCode::UNAUTHORIZED,
            "no webhook of this name has this secret: send `Authorization: Bearer SECRET`",
        )
    };
    // Before a byte of the body is read: a stranger keeps no place with a slow one.
    if !triggers.takes_posts(tenant, &name, &secret).map_err(told)? {
        return Err(unknown());
    }
    place.vouch(Hint::of_ticket(secret.as_bytes()));
    let body = Limited::new(request.into_body(), limits::WEBHOOK_BYTES).collect().await;
    let body = body.map_err(|_| {
        let why = format!("the body is over {} bytes, or broke off", limits::WEBHOOK_BYTES);
        (StatusCode::PAYLOAD_TOO_LARGE, why)
    })?;
    let body = body.to_bytes();
    let body = if body.is_empty() {
        Value::Null
    } else {
        let not_json =
            |why: String| (StatusCode::BAD_REQUEST, format!("the body is no JSON: {why}"));
        let text = std::str::from_utf8(&body).map_err(|error| not_json(error.to_string()))?;
        let json = json::parse(text).map_err(|error| not_json(error.to_string()))?;
        // What nests deeper could be written to a journal, and not be read again.
        value(json, MAX_DEPTH).ok_or_else(|| {
            (StatusCode::BAD_REQUEST, format!("the body nests more than {MAX_DEPTH} deep"))
        })?
    };
    match triggers.posted(tenant, &name, &secret, &occasion, body).await {
        Ok(Some(done)) => Ok(done),
        Ok(None) => Err(unknown()),
        Err(failure) => Err(told(failure)),
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = given.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim().to_owned())
}

fn told(failure: Failure) -> Refused {
    let status = match failure.code {
        Code::InvalidArgument | Code::NotFound => StatusCode::UNPROCESSABLE_ENTITY,
        Code::Limit => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, failure.message)
}

/// JSON as a value that nests at most so deep.
fn value(body: serde_json::Value, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    Some(match body {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(yes) => Value::Bool(yes),
        serde_json::Value::Number(number) => json::number(&number),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => {
            let items = items.into_iter().map(|item| value(item, depth));
            Value::List(items.collect::<Option<_>>()?)
        }
        serde_json::Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, field)| Some((name, value(field, depth)?)));
            Value::Fields(fields.collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_and_the_text_of_a_body_are_what_was_posted() {
        let body =
            r#"{"id":1234567890123456789,"top":18446744073709551615,"x":0.1,"half":"\ud83d"}"#;
        let read = value(json::parse(body).unwrap(), MAX_DEPTH).unwrap();
        assert_eq!(read.field("id"), Some(&Value::Integer(1_234_567_890_123_456_789)));
        assert_eq!(read.field("top"), Some(&Value::Unsigned(u64::MAX)));
        assert_eq!(read.field("x"), Some(&Value::Float(0.1)));
        assert_eq!(read.field("half"), Some(&Value::Text("\u{fffd}".into())));
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(value(json::parse(&deep).unwrap(), MAX_DEPTH).is_some());
        assert!(value(json::parse(&format!("[{deep}]")).unwrap(), MAX_DEPTH).is_none());
    }
}
