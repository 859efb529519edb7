//! Calls on an object restored from a sturdy reference.

use std::sync::Arc;

use remit_core::{Failure, Manifest, Reference, Value};
use remit_schema::object_capnp::object;
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::unsettled::{NoReply, Unsettled};
use remit_vat::wire::{self, Malformed};

use super::session::Link;
use super::write;
use crate::limits;
use crate::object::Step;

/// The calls that lead from the restored object to the target. They are sent at once, each
/// pipelined on the promise of the one before. Their promises must live until the last call has
/// answered: dropping one cancels it.
struct Way {
    object: object::Client,
    _asked: Vec<capnp::capability::RemotePromise<object::call_results::Owned>>,
}

/// Makes the call `last` on the object that `steps` lead to. Objects in the result become null.
pub(crate) async fn call(
    link: Link,
    by: &Arc<Reference>,
    steps: &[Step],
    last: &Step,
) -> Result<Value, Failure> {
    let way = walk(&link, by, steps)?;
    let response = step(&way.object, last)?.send().promise.await;
    let response = response.map_err(|error| to_failure(&error))?;
    let read = || Ok(response.get()?);
    let results = read().map_err(malformed)?;
    if let Some(why) = Unsettled::read(results).map_err(malformed)? {
        return Err(NoReply::Unsettled(why).into());
    }
    let read = || Ok(wire::value::read(results.get_value()?)?.0);
    read().map(|value| wire::outcome::without_objects(&value)).map_err(malformed)
}

/// Describes the object: the manifest of its tool, and the name of the object's interface.
pub(crate) async fn describe(
    link: Link,
    by: &Arc<Reference>,
    steps: &[Step],
) -> Result<(Manifest, String), Failure> {
    let way = walk(&link, by, steps)?;
    let response = within(limits::CALL, way.object.describe_request().send()).await?;
    let read = || {
        let results = response.get()?;
        let manifest = wire::manifest::read(results.get_manifest()?)?;
        Ok((manifest, wire::text(results.get_interface())?))
    };
    read().map_err(malformed)
}

fn walk(link: &Link, by: &Arc<Reference>, steps: &[Step]) -> Result<Way, Failure> {
    let mut object = link.restored.live(&link.mesh, by).object;
    let mut asked = Vec::with_capacity(steps.len());
    for one in steps {
        let promise = step(&object, one)?.send();
        object = promise.pipeline.get_object();
        asked.push(promise);
    }
    Ok(Way { object, _asked: asked })
}

fn step(
    object: &object::Client,
    step: &Step,
) -> Result<
    capnp::capability::Request<object::call_params::Owned, object::call_results::Owned>,
    Failure,
> {
    let mut request = object.call_request();
    let mut params = request.get();
    params.set_method(&step.method);
    params.set_key(step.key.as_bytes());
    write::plain(params.init_args(), &step.args)?;
    Ok(request)
}

fn malformed(malformed: Malformed) -> Failure {
    Failure::new(remit_core::Code::Failed, format!("the mesh's answer is {malformed}"))
}
