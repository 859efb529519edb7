//! What an agent asks of an object, and what it is told.

use capnp::capability::RemotePromise;
use remit_core::{Failure, Value};
use remit_schema::object_capnp::object;
use remit_vat::exception::to_failure;
use remit_vat::wire;

/// A call on its way.
pub(in super::super) type Call = RemotePromise<object::call_results::Owned>;

pub(in super::super) fn call(object: &object::Client, number: u64, method: &str) -> Call {
    let mut request = object.call_request();
    request.get().set_method(method);
    request.get().set_key(&number.to_be_bytes());
    request.get().init_args().set_null(());
    request.send()
}

/// What a call said, or how it failed.
pub(in super::super) async fn said(promise: Call) -> Result<(Value<u32>, u64), Failure> {
    let response = promise.promise.await.map_err(|error| to_failure(&error))?;
    let results = response.get().unwrap();
    let value = wire::value::read(results.get_value().unwrap()).unwrap().0;
    Ok((value, results.get_recorded().unwrap().get_number()))
}

/// A call with these arguments, by name.
pub(in super::super) fn with(
    object: &object::Client,
    number: u64,
    method: &str,
    args: &[(&str, Value<u32>)],
    lent: &[object::Client],
) -> Call {
    let mut request = object.call_request();
    request.get().set_method(method);
    request.get().set_key(&number.to_be_bytes());
    let fields = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    wire::value::write(request.get().init_args(), &Value::Fields(fields), lent);
    request.send()
}

/// A call that lends the tool an object, as `what`.
pub(in super::super) fn lend(
    object: &object::Client,
    number: u64,
    method: &str,
    lent: &object::Client,
) -> Call {
    with(object, number, method, &[("what", Value::Object(0))], std::slice::from_ref(lent))
}

/// Attenuates by caveats in the text form.
pub(in super::super) fn attenuate(object: &object::Client, number: u64, caveats: &str) -> Call {
    derive(object, number, "attenuate", caveats)
}

/// Takes a purse out of what the object has.
pub(in super::super) fn split(object: &object::Client, number: u64, purse: &str) -> Call {
    derive(object, number, "split", purse)
}

fn derive(object: &object::Client, number: u64, how: &str, caveats: &str) -> Call {
    let mut request = object.call_request();
    request.get().set_method(how);
    request.get().set_key(&number.to_be_bytes());
    request.get().init_args().init_list(1).get(0).set_text(caveats);
    request.send()
}

/// Spawns a task that is passed `object` under the name `it`, and more fields.
pub(in super::super) fn spawn(
    tasks: &object::Client,
    number: u64,
    object: &object::Client,
    more: &[(&str, Value<u32>)],
) -> Call {
    let source = Value::Text("export default () => 1".into());
    let grants = Value::Fields(vec![("it".into(), Value::Object(0))]);
    let args = [&[("source", source), ("grants", grants)][..], more].concat();
    with(tasks, number, "spawn", &args, std::slice::from_ref(object))
}
