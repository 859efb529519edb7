//! `Object`: a tool's object, for whoever holds a reference to it.

use std::rc::Rc;

use remit_schema::object_capnp::object;
use remit_vat::crash::{self, Step};
use remit_vat::exception::to_exception;
use remit_vat::wire::{self, Malformed};

use crate::calls::{Calls, Link, Request};
use crate::kit::{Instance, Remote};

/// A tool's object on one connection.
pub(crate) struct Served {
    instance: Instance,
    calls: Rc<Calls>,
    link: Link,
}

impl Served {
    /// The object as a capability. `link` tells whether the connection it is served on was lost.
    pub(crate) fn client(instance: Instance, calls: Rc<Calls>, link: Link) -> object::Client {
        capnp_rpc::new_client(Self { instance, calls, link })
    }
}

impl object::Server for Served {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let request = read(params.get()?)?;
        let called = self.calls.call(&self.instance, request, Rc::clone(&self.link));
        let reply = called.await.map_err(|failure| to_exception(&failure))?;
        crash::point_after_turn(Step::Replied, "request");
        let mut builder = results.get();
        builder.set_cost(reply.cost);
        wire::value::write(builder.reborrow().init_value(), &reply.value, &[]);
        if let Some(instance) = reply.object {
            let (calls, link) = (Rc::clone(&self.calls), Rc::clone(&self.link));
            builder.set_object(Self::client(instance, calls, link));
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

fn read(params: object::call_params::Reader<'_>) -> Result<Request, Malformed> {
    let (args, table) = wire::value::read(params.get_args()?)?;
    Ok(Request {
        method: params.get_method()?.to_str()?.to_owned(),
        args,
        objects: table.into_iter().map(Remote::new).collect(),
        key: params.get_key()?.to_vec(),
    })
}
