//! An object of the caller's own process, as the mesh calls it.

use std::rc::Rc;
use std::sync::Arc;

use remit_core::{Code, Failure, Manifest, Value};
use remit_schema::object_capnp::object;
use remit_vat::exception::to_exception;
use remit_vat::unsettled::{NoReply, Unsettled};
use remit_vat::wire;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::limits;
use crate::own::{AnyCallback, OwnObject};

/// Why a call was not begun or not finished.
const CLOSING: &str = "the client is closing";

struct OwnServer {
    manifest: Arc<Manifest>,
    callback: Arc<dyn AnyCallback>,
    runtime: Handle,
    room: Semaphore,
}

/// A capability to `own`, whose calls run on `runtime`.
pub(crate) fn client(own: &OwnObject, runtime: Handle) -> object::Client {
    capnp_rpc::new_client(OwnServer {
        manifest: Arc::clone(&own.manifest),
        callback: Arc::clone(&own.callback),
        runtime,
        room: Semaphore::new(limits::OWN_CALLS),
    })
}

impl OwnServer {
    fn read(&self, params: &object::CallParams) -> Result<(String, Value), Failure> {
        let read = || {
            let params = params.get()?;
            let method = params.get_method()?.to_str()?.to_owned();
            Ok::<_, wire::Malformed>((method, wire::value::read(params.get_args()?)?.0))
        };
        let (name, args) = read()?;
        let method = self.manifest.method(&self.manifest.root, &name).ok_or_else(|| {
            let why = format!("`{}` has no method `{name}`", self.manifest.tool);
            Failure::new(Code::NotFound, why)
        })?;
        let args =
            method.named_args(args).map_err(|why| Failure::new(Code::InvalidArgument, why))?;
        let args = Value::Fields(args).try_map(&mut |_: u32| {
            let why = "an object of a client's process takes no objects as arguments";
            Err(Failure::new(Code::InvalidArgument, why))
        })?;
        Ok((name, args))
    }
}

impl object::Server for OwnServer {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let (method, args) = self.read(&params).map_err(|failure| to_exception(&failure))?;
        drop(params);
        let Ok(_room) = self.room.acquire().await else {
            Unsettled::NotBegun(CLOSING.to_owned()).write(results.get());
            return Ok(());
        };
        let answering = Arc::clone(&self.callback).answer(method, args);
        let running = AbortOnDrop(self.runtime.spawn(answering));
        let answer = match running.finish().await {
            Ok(answer) => answer,
            Err(NoReply::Failed(failure)) => return Err(to_exception(&failure)),
            Err(NoReply::Unsettled(why)) => {
                why.write(results.get());
                return Ok(());
            }
        };
        super::write::plain(results.get().init_value(), &answer)
            .map_err(|failure| to_exception(&failure))
    }

    async fn describe(
        self: Rc<Self>,
        _: object::DescribeParams,
        mut results: object::DescribeResults,
    ) -> Result<(), capnp::Error> {
        wire::manifest::write(results.get().init_manifest(), &self.manifest);
        results.get().set_interface(&self.manifest.root);
        Ok(())
    }
}

/// A call that runs on the caller's runtime and is aborted when its caller drops it.
struct AbortOnDrop(tokio::task::JoinHandle<Result<Value, Failure>>);

impl AbortOnDrop {
    async fn finish(mut self) -> Result<Value, NoReply> {
        match (&mut self.0).await {
            Ok(answer) => Ok(answer?),
            Err(error) if error.is_panic() => {
                let why = "the client's object panicked: it may or may not have done its work";
                Err(Failure::new(Code::Unknown, why).into())
            }
            Err(_) => Err(NoReply::Unsettled(Unsettled::Unknown(CLOSING.to_owned()))),
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
