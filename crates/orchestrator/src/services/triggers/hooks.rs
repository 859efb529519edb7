//! Webhooks: an HTTP endpoint to which others post, one secret for each trigger.
//!
//! It speaks plain HTTP, for a loopback address or behind a proxy that ends TLS.

use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, PROXY_AUTHORIZATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use remit_core::{Code, Failure, Value, json};
use remit_identity::accept::accept;
use remit_identity::handshakes::{Handshakes, Place};
use remit_identity::tls::Hint;
use remit_vat::turn;
use remit_vat::wire::MAX_DEPTH;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Done, Shown, Triggers};
use crate::limits;
use crate::services::secrets;

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

/// The header with the signature of a body, in the form of GitHub.
const SIGNATURE: &str = "x-hub-signature-256";

fn refuse(status: StatusCode, why: &str) -> Refused {
    (status, why.to_owned())
}

fn unknown() -> Refused {
    refuse(
        StatusCode::UNAUTHORIZED,
        "no webhook of this name has this secret: send `Authorization: Bearer SECRET`, or sign the body as the webhook asks for",
    )
}

async fn post(
    triggers: &Triggers,
    tenant: &str,
    place: &Place,
    request: Request<Incoming>,
) -> Result<Done, Refused> {
    let Some(name) = request.uri().path().strip_prefix("/hooks/").map(str::to_owned) else {
        return Err(refuse(StatusCode::NOT_FOUND, "post to /hooks/NAME"));
    };
    if request.method() != Method::POST {
        return Err(refuse(StatusCode::METHOD_NOT_ALLOWED, "a webhook takes a POST"));
    }
    let (head, body) = request.into_parts();
    let occasion = occasion(&head.headers)?;
    let takes = async |shown| triggers.takes(tenant, &name, shown).await.map_err(told);
    let (taken, body) = match bearer(&head.headers) {
        Some(secret) => {
            // Before a byte of the body is read: a stranger keeps no place with a slow one.
            takes(Shown::Secret(&secret)).await?.ok_or_else(unknown)?;
            place.vouch(Hint::of_ticket(secret.as_bytes()));
            let body = whole(body).await?;
            // It may have been replaced meanwhile.
            (takes(Shown::Secret(&secret)).await?, body)
        }
        None => {
            let given = head.headers.get(SIGNATURE).and_then(|given| given.to_str().ok());
            let signature = given.and_then(secrets::signature).ok_or_else(unknown)?;
            let body = whole(body).await?;
            (takes(Shown::Signature(&signature, &body)).await?, body)
        }
    };
    let taken = taken.ok_or_else(unknown)?;
    let mut input = read(&body)?;
    if !taken.headers.is_empty() {
        let headers = chosen(&head.headers, &taken.headers)?;
        input = Value::Fields(vec![("headers".to_owned(), headers), ("body".to_owned(), input)]);
    }
    triggers.posted(tenant, &name, &taken, &occasion, input).await.map_err(told)
}

/// What makes a post the same as one before: the sender's word for it, or else nothing does.
fn occasion(headers: &HeaderMap) -> Result<String, Refused> {
    let named = ["idempotency-key", "x-github-delivery"].into_iter().find_map(|n| headers.get(n));
    match named {
        Some(key) if key.len() <= 128 => key
            .to_str()
            .map(str::to_owned)
            .map_err(|_| refuse(StatusCode::BAD_REQUEST, "Idempotency-Key is no text")),
        Some(_) => Err(refuse(StatusCode::BAD_REQUEST, "Idempotency-Key is over 128 bytes")),
        None => Ok(super::secret()),
    }
}

/// A body that is not too long.
async fn whole(body: Incoming) -> Result<Bytes, Refused> {
    let body = Limited::new(body, limits::WEBHOOK_BYTES).collect().await;
    let body = body.map_err(|_| {
        let why = format!("the body is over {} bytes, or broke off", limits::WEBHOOK_BYTES);
        (StatusCode::PAYLOAD_TOO_LARGE, why)
    })?;
    Ok(body.to_bytes())
}

/// The value that a body of JSON is.
fn read(body: &[u8]) -> Result<Value, Refused> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let not_json = |why: String| (StatusCode::BAD_REQUEST, format!("the body is no JSON: {why}"));
    let text = std::str::from_utf8(body).map_err(|error| not_json(error.to_string()))?;
    let json = json::parse(text).map_err(|error| not_json(error.to_string()))?;
    // What nests deeper could be written to a journal, and not be read again.
    value(json, MAX_DEPTH).ok_or_else(|| {
        (StatusCode::BAD_REQUEST, format!("the body nests more than {MAX_DEPTH} deep"))
    })
}

/// The headers that the trigger asks for, as far as the post has them.
fn chosen(headers: &HeaderMap, wanted: &[String]) -> Result<Value, Refused> {
    let mut fields = Vec::new();
    let mut bytes = 0;
    for name in wanted {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values.map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
        if values.is_empty() {
            continue;
        }
        let text = values.join(", ");
        bytes += name.len() + text.len();
        fields.push((name.clone(), Value::Text(text)));
    }
    if bytes > limits::WEBHOOK_HEADER_BYTES {
        let why =
            format!("the headers that it takes are over {} bytes", limits::WEBHOOK_HEADER_BYTES);
        return Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, why));
    }
    Ok(Value::Fields(fields))
}

/// Refuses headers that no webhook hands on.
pub fn check_headers(names: &[String]) -> Result<(), Failure> {
    let refused = |why: String| Failure::new(Code::InvalidArgument, why).with_detail("headers");
    if names.len() > limits::WEBHOOK_HEADERS {
        let why = format!("{} headers; at most {}", names.len(), limits::WEBHOOK_HEADERS);
        return Err(refused(why));
    }
    for name in names {
        if HeaderName::from_lowercase(name.as_bytes()).is_err() {
            return Err(refused(format!("`{name}` is no name of a header in lower case")));
        }
        if name == AUTHORIZATION.as_str() || name == PROXY_AUTHORIZATION.as_str() {
            let why = format!("`{name}` holds a secret, which would stand in the task's journal");
            return Err(refused(why));
        }
    }
    Ok(())
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
    fn only_headers_that_hold_no_secret_of_ours_are_handed_on_and_few() {
        let named = |name: &str| check_headers(&[name.to_owned()]).map_err(|not| not.message);
        named("x-github-event").unwrap();
        named("cookie").unwrap();
        assert!(named("authorization").unwrap_err().contains("journal"));
        assert!(named("X-Event").is_err() && named("a b").is_err() && named("").is_err());
        assert!(check_headers(&vec!["x".to_owned(); 17]).is_err());
        let mut headers = HeaderMap::new();
        headers.append("x-event", "push".parse().unwrap());
        headers.append("x-event", "again".parse().unwrap());
        headers.append("cookie", "secret".parse().unwrap());
        let wanted = ["x-event".to_owned(), "x-missing".to_owned()];
        let event = ("x-event".to_owned(), Value::Text("push, again".into()));
        assert_eq!(chosen(&headers, &wanted).unwrap(), Value::Fields(vec![event]));
        headers.append("x-event", "x".repeat(limits::WEBHOOK_HEADER_BYTES).parse().unwrap());
        assert_eq!(chosen(&headers, &wanted).unwrap_err().0.as_u16(), 431);
    }

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
