//! `Object`: a tool's object, for whoever holds a reference to it.

use std::rc::Rc;
use std::sync::Arc;

use remit_core::Failure;
use remit_faults::crash::{self, Step};
use remit_schema::object_capnp::object;
use remit_vat::exception::to_exception;
use remit_vat::unsettled::NoReply;
use remit_vat::wire::{self, Malformed};

use crate::calls::{Calls, Link, Request};
use crate::introductions::Guard;
use crate::kit::{Instance, Remote, Reply};
use crate::limits;

/// A tool's object on one connection.
pub(crate) struct Served {
    instance: Instance,
    calls: Rc<Calls>,
    link: Link,
    /// Set on what an introduction is for.
    guard: Option<Guard>,
}

impl Served {
    /// The object as a capability. `link` tells whether the connection it is served on was lost.
    pub(crate) fn client(instance: Instance, calls: Rc<Calls>, link: Link) -> object::Client {
        capnp_rpc::new_client(Self { instance, calls, link, guard: None })
    }

    /// The same for an object of an introduction.
    pub(crate) fn guarded(
        instance: Instance,
        calls: Rc<Calls>,
        link: Link,
        guard: Guard,
    ) -> object::Client {
        capnp_rpc::new_client(Self { instance, calls, link, guard: Some(guard) })
    }

    /// Leaves the value of a direct call here if it is large and the agent node can get it. The
    /// outcome is on disk before anyone hears of it: a replay asks for it again.
    async fn keep(
        &self,
        guard: &Guard,
        request: (&str, &[u8]),
        reply: &Reply,
    ) -> Option<OffloadedResult> {
        let (method, key) = request;
        let introduction = guard.introduction();
        let weight = reply.value.weight();
        let large = weight >= limits::KEPT_FROM_BYTES;
        if !large || reply.object.is_some() || !introduction.stands() {
            return None;
        }
        let digest = reply.value.digest()?;
        let entry = &self.instance.method(method).ok()?.meta;
        let repeatable = entry.read_only || entry.idempotent;
        if let Err(error) = self.calls.keep_body(key, reply, repeatable).await {
            tracing::warn!(%error, "a value was not kept, and goes through the task's owner");
            return None;
        }
        let token = introduction.keep(Arc::clone(&reply.value))?;
        Some(OffloadedResult { digest, bytes: weight as u64, token })
    }
}

/// Where a value is, in place of the value.
struct OffloadedResult {
    digest: [u8; 32],
    bytes: u64,
    token: [u8; 32],
}

impl object::Server for Served {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (request, direct) = (read(params, &self.calls)?, params.get_direct());
        let inner = match &self.guard {
            Some(guard) => match guard.admit(&self.instance, &request, direct) {
                Ok(inner) => inner,
                Err(failure) => {
                    refuse(&failure, results.get());
                    return Ok(());
                }
            },
            None => None,
        };
        let direct = self.guard.as_ref().filter(|_| direct && !request.key.is_empty());
        let (method, key) = (request.method.clone(), request.key.clone());
        let called = self.calls.call(&self.instance, request, Rc::clone(&self.link));
        let reply = match called.await {
            Ok(reply) => reply,
            Err(NoReply::Failed(failure)) => return Err(to_exception(&failure)),
            Err(NoReply::Unsettled(why)) => {
                why.write(results.get());
                return Ok(());
            }
        };
        crash::point_after_turn(Step::Replied, "request");
        let mut kept = None;
        if let Some(guard) = direct {
            let bytes = reply.value.weight() as u64;
            if let Err(failure) = guard.introduction().check_result(&method, bytes) {
                refuse(&failure, results.get());
                return Ok(());
            }
            kept = self.keep(guard, (&method, &key), &reply).await;
        }
        let mut builder = results.get();
        builder.set_cost(reply.cost);
        match kept {
            Some(OffloadedResult { digest, bytes, token }) => {
                let mut builder = builder.reborrow().init_kept();
                builder.set_digest(&digest);
                builder.set_bytes(bytes);
                builder.set_token(&token);
            }
            None => wire::value::write(builder.reborrow().init_value(), &reply.value, &[]),
        }
        if let Some(instance) = reply.object {
            let (calls, link) = (Rc::clone(&self.calls), Rc::clone(&self.link));
            let served = Self { instance, calls, link, guard: inner };
            builder.set_object(capnp_rpc::new_client(served));
        }
        Ok(())
    }

    async fn describe(
        self: Rc<Self>,
        _: object::DescribeParams,
        mut results: object::DescribeResults,
    ) -> Result<(), capnp::Error> {
        let mut builder = results.get();
        builder.set_interface(self.instance.interface());
        wire::manifest::write(builder.init_manifest(), self.instance.tool().manifest());
        Ok(())
    }
}

/// Says that this node refuses the call, in a field that no tool can write. Calls that are pipelined
/// on the result fail alike.
fn refuse(failure: &Failure, mut results: object::call_results::Builder<'_>) {
    wire::outcome::write_failure(results.reborrow().init_refused(), failure);
    let broken = std::future::ready(Err(to_exception(failure)));
    results.set_object(capnp_rpc::new_future_client(broken));
}

/// Reads a call that arrives now.
fn read(params: object::call_params::Reader<'_>, calls: &Calls) -> Result<Request, Malformed> {
    let (args, table) = wire::value::read(params.get_args()?)?;
    Ok(Request {
        method: params.get_method()?.to_str()?.to_owned(),
        args,
        objects: table.into_iter().map(Remote::new).collect(),
        key: params.get_key()?.to_vec(),
        turn: calls.arrive(params.get_line()),
    })
}
