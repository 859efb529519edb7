//! A tool node that is not honest: its answers are whatever a test makes of them.

use std::rc::Rc;

use futures::future::LocalBoxFuture;
use remit_schema::object_capnp::object;
use remit_vat::wire;

use super::Lab;

/// A call as the tool hears it.
pub(in super::super) struct Heard {
    pub(in super::super) method: String,
    /// The objects that it was lent for this call.
    pub(in super::super) lent: Vec<object::Client>,
    /// Whether its value may stay with the tool node.
    pub(in super::super) direct: bool,
}

/// How an answer is made.
pub(in super::super) type Answering = LocalBoxFuture<'static, Result<(), capnp::Error>>;

struct Liar {
    answer: Box<dyn Fn(Heard, object::CallResults) -> Answering>,
    lab: Rc<std::cell::RefCell<Vec<String>>>,
}

impl object::Server for Liar {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let heard = {
            let params = params.get()?;
            let method = wire::text(params.get_method())?;
            let lent = wire::value::read(params.get_args()?)?.1;
            Heard { method, lent, direct: params.get_direct() }
        };
        self.lab.borrow_mut().push(heard.method.clone());
        (self.answer)(heard, results).await
    }

    async fn describe(
        self: Rc<Self>,
        _: object::DescribeParams,
        _: object::DescribeResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

impl Lab {
    /// An object that answers so.
    pub(in super::super) fn liar(
        &self,
        answer: impl Fn(Heard, object::CallResults) -> Answering + 'static,
    ) -> object::Client {
        capnp_rpc::new_client(Liar { answer: Box::new(answer), lab: Rc::clone(&self.seen) })
    }

    /// Lets the tool node serve this, from the next start on.
    pub(in super::super) fn serves(&self, root: object::Client) {
        *self.root.borrow_mut() = Some(root);
    }

    /// Lets the tool answer so, from the next start on.
    pub(in super::super) fn lies(
        &self,
        answer: impl Fn(Heard, object::CallResults) -> Answering + 'static,
    ) {
        self.serves(self.liar(answer));
    }
}
