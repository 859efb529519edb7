//! Direct connections to tool nodes, and values that come over them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use remit_core::{Code, Failure, Value};
use remit_schema::direct_capnp::direct_port;
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;
use remit_vat::connection::{Connection, ConnectionOptions, within};
use remit_vat::exception::to_failure;
use remit_vat::limits::ConnectionLimits;
use remit_vat::wire::{self, Malformed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::direct_channel;

/// How long a value, of four MiB at most, may take over a direct connection. After that the owner
/// is asked for it.
const BODY: Duration = Duration::from_secs(20);

/// The direct connections of this attempt, by number.
#[derive(Clone, Default)]
pub struct Paths {
    ports: Rc<RefCell<HashMap<u32, direct_port::Client>>>,
}

/// Where to fetch a value that did not come with its reply.
pub(super) struct OffloadedResult {
    digest: [u8; 32],
    /// The size that the tool node reported, and that was charged.
    bytes: u64,
    token: Vec<u8>,
    path: u32,
}

impl Paths {
    /// Takes in the connections that the agent node hands in, until the agent node is gone.
    pub(super) async fn take_in(self, direct_channel: UnixStream) {
        loop {
            match direct_channel::next(&direct_channel).await {
                Ok(Some((number, stream))) => self.add(number, stream),
                Ok(None) => return,
                Err(error) => {
                    eprintln!("receiving direct connections failed: {error}");
                    return;
                }
            }
        }
    }

    /// Adds a direct connection.
    pub fn add<S>(&self, number: u32, stream: S)
    where
        S: AsyncRead + AsyncWrite + 'static,
    {
        let options =
            ConnectionOptions { peer: "a tool node".into(), limits: ConnectionLimits::attempt() };
        let (port, _) = Connection::connect::<direct_port::Client, _>(stream, None, options);
        self.ports.borrow_mut().insert(number, port);
    }

    /// Fetches the value of an operation: over its direct connection if there is one, else from the
    /// owner.
    pub(super) async fn fetch(
        self,
        context: task_context::Client,
        operation: u64,
        kept: OffloadedResult,
    ) -> Result<Value<u32>, Failure> {
        let port = self.ports.borrow().get(&kept.path).cloned();
        if let Some(port) = port.filter(|_| !kept.token.is_empty()) {
            match directly(&port, &kept).await {
                Ok(value) => return Ok(value),
                Err(failure) => {
                    // A connection that failed once is not tried again.
                    self.ports.borrow_mut().remove(&kept.path);
                    eprintln!("fetching a value over a direct connection failed: {failure}");
                }
            }
        }
        let mut request = context.body_request();
        request.get().set_operation(operation);
        let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
        let value = response.get().and_then(|results| results.get_value());
        checked(value.map_err(|error| to_failure(&error))?, &kept)
    }
}

async fn directly(
    port: &direct_port::Client,
    kept: &OffloadedResult,
) -> Result<Value<u32>, Failure> {
    let mut request = port.body_request();
    request.get().set_token(&kept.token);
    let response = within(BODY, request.send()).await?;
    let value = response.get().and_then(|results| results.get_value());
    checked(value.map_err(|error| to_failure(&error))?, kept)
}

/// The value, if its digest and size are those that the owner recorded. Its sender is not trusted
/// to give that one.
fn checked(
    value: remit_schema::object_capnp::value::Reader<'_>,
    kept: &OffloadedResult,
) -> Result<Value<u32>, Failure> {
    let value = wire::value::read(value)?.0;
    if value.digest() != Some(kept.digest) {
        let why = "the value is another than the one that was recorded";
        return Err(Failure::new(Code::Failed, why));
    }
    if value.weight() as u64 != kept.bytes {
        let (weight, said) = (value.weight(), kept.bytes);
        let why = format!("the value has {weight} bytes, and {said} were charged");
        return Err(Failure::new(Code::Failed, why));
    }
    Ok(value)
}

/// Reads where to fetch the value of a reply. `None`: the value came with the reply.
pub(super) fn read(
    results: &object::call_results::Reader<'_>,
) -> Result<Option<OffloadedResult>, Failure> {
    if !results.has_kept() {
        return Ok(None);
    }
    let read = || {
        let kept = results.get_kept()?;
        let wrong = |_| Malformed("a digest has 32 bytes".into());
        let digest = kept.get_digest()?.try_into().map_err(wrong)?;
        let (bytes, token, path) = (kept.get_bytes(), kept.get_token()?.to_vec(), kept.get_path());
        Ok::<_, Malformed>(OffloadedResult { digest, bytes, token, path })
    };
    Ok(Some(read()?))
}

#[cfg(test)]
mod tests;
