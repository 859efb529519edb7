//! The tool of the laws: it hands out objects in every way there is, and knows its own when it sees one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use capnp_rpc::CapabilityServerSet;
use remit_core::Value;
use remit_schema::object_capnp::object;
use remit_vat::wire;
use tokio::sync::watch;

/// The references of the tool's own: nobody else may ever hold one.
pub(super) type Own = Rc<RefCell<CapabilityServerSet<Tool, object::Client>>>;

/// The numbers of the calls that do not end by themselves: those that reached the tool, and those of
/// them that were stopped.
#[derive(Default)]
pub(super) struct Hung(watch::Sender<(BTreeSet<u64>, BTreeSet<u64>)>);

impl Hung {
    /// Waits for this to hold of those that reached the tool and those that were stopped.
    pub(super) async fn until(
        &self,
        holds: impl Fn(&BTreeSet<u64>, &BTreeSet<u64>) -> bool,
    ) -> (BTreeSet<u64>, BTreeSet<u64>) {
        let mut seen = self.0.subscribe();
        seen.wait_for(|(reached, stopped)| holds(reached, stopped)).await.unwrap().clone()
    }
}

/// A call that reached the tool, stopped when it is dropped.
struct Hanging(Rc<Hung>, u64);

impl Hanging {
    fn new(hung: &Rc<Hung>, number: u64) -> Self {
        hung.0.send_modify(|(reached, _)| {
            reached.insert(number);
        });
        Self(Rc::clone(hung), number)
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.0.send_modify(|(_, stopped)| {
            stopped.insert(self.1);
        });
    }
}

/// An object of the tool.
pub(super) struct Tool {
    path: String,
    own: Own,
    hung: Rc<Hung>,
}

impl Tool {
    /// The tool's root.
    pub(super) fn root(own: &Own, hung: &Rc<Hung>) -> object::Client {
        Self { path: String::new(), own: Rc::clone(own), hung: Rc::clone(hung) }.wrap()
    }

    fn below(&self, name: &str) -> object::Client {
        let path = format!("{}{name}.", self.path);
        Self { path, own: Rc::clone(&self.own), hung: Rc::clone(&self.hung) }.wrap()
    }

    fn wrap(self) -> object::Client {
        let own = Rc::clone(&self.own);
        let mut own = own.borrow_mut();
        own.gc();
        own.new_client(self)
    }
}

impl object::Server for Tool {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let method = wire::text(params.get_method())?;
        let (args, lent) = wire::value::read(params.get_args()?)?;
        for client in &lent {
            assert!(
                !is_in(&self.own, client).await,
                "the tool saw an object of its own, unwrapped"
            );
        }
        let value = results.get().init_value();
        match method.as_str() {
            "open" | "make" => results.get().set_object(self.below(&method)),
            "all" => {
                let record = Value::Fields(vec![("it".into(), Value::Object(1))]);
                let both = Value::List(vec![Value::Object(0), Value::List(vec![record])]);
                wire::value::write(value, &both, &[self.below("all0"), self.below("all1")]);
            }
            "use" => {
                let what = args.field("what").cloned().unwrap_or(Value::Null);
                wire::value::write(value, &what, &lent);
            }
            "hang" => {
                let number = params.get_key()?.last_chunk().copied().map(u64::from_be_bytes);
                let _hanging = Hanging::new(&self.hung, number.unwrap());
                std::future::pending::<()>().await;
            }
            _ => wire::value::write(value, &Value::Text(format!("{}{method}", self.path)), &[]),
        }
        Ok(())
    }
}

/// Whether a reference is one of the tool's own, unwrapped.
pub(super) async fn is_in(own: &Own, client: &object::Client) -> bool {
    let client = capnp::capability::get_resolved_cap(client.clone()).await;
    own.borrow().get_local_server_of_resolved(&client).is_some()
}
