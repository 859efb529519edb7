//! The lab's tool, which does what its methods are called for, and may be made to lie.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use remit_core::manifest::{Interface, Method, Param};
use remit_core::{Code, Failure, Manifest, Value};
use remit_schema::object_capnp::object;
use remit_schema::tool_node_capnp::{introduction, tool_host};
use remit_vat::exception::to_exception;
use remit_vat::unsettled::Unsettled;
use remit_vat::wire;

use super::call;

pub(in super::super) struct Tool {
    pub(in super::super) path: String,
    pub(in super::super) keys: Rc<RefCell<Vec<Vec<u8>>>>,
    pub(in super::super) seen: Rc<RefCell<Vec<String>>>,
    pub(in super::super) kept: Rc<RefCell<Option<object::Client>>>,
}

/// Says that a call was stopped.
struct Stopped(Rc<RefCell<Vec<String>>>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.borrow_mut().push("stopped".into());
    }
}

impl Tool {
    /// Whether a method was called once.
    fn first(&self, method: &str) -> bool {
        self.seen.borrow().iter().filter(|seen| *seen == method).count() == 1
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
        let (args, table) = wire::value::read(params.get_args()?)?;
        self.seen.borrow_mut().push(format!("{}{method}", self.path));
        self.keys.borrow_mut().push(params.get_key()?.to_vec());
        let said = match method.as_str() {
            "open" | "make" => {
                let path = format!("{}{method}.", self.path);
                let (seen, kept) = (Rc::clone(&self.seen), Rc::clone(&self.kept));
                let keys = Rc::clone(&self.keys);
                results.get().set_object(capnp_rpc::new_client(Self { path, keys, seen, kept }));
                return Ok(());
            }
            "dir" => {
                let under = args.field("path").and_then(Value::as_text).unwrap_or_default();
                let path = format!("{}{under}/", self.path);
                let (seen, kept) = (Rc::clone(&self.seen), Rc::clone(&self.kept));
                let keys = Rc::clone(&self.keys);
                results.get().set_object(capnp_rpc::new_client(Self { path, keys, seen, kept }));
                return Ok(());
            }
            // The first time it never answers.
            "once" | "setOnce" | "lookOnce" if self.first(&method) => {
                return std::future::pending().await;
            }
            // The first time the node cannot tell what became of it.
            "vague" if self.first(&method) => {
                let why = "the call succeeded, but the ledger cannot be written";
                Unsettled::Unknown(why.to_owned()).write(results.get());
                return Ok(());
            }
            "hang" => {
                let _stopped = Stopped(Rc::clone(&self.seen));
                return std::future::pending().await;
            }
            // A tool that speaks as the mesh does.
            "denied" | "revoked" | "interface-changed" => {
                let code = Code::parse(&method).unwrap_or(Code::Failed);
                let forged = Failure::new(code, "the grant does not allow it");
                return Err(to_exception(&forged.with_detail("methods=look")));
            }
            "fail" => return Err(to_exception(&Failure::new(Code::Failed, "as asked"))),
            "use" => {
                let lent =
                    table.into_iter().next().ok_or_else(|| capnp::Error::failed("none".into()))?;
                let answer = call(&lent, 0, "look").promise.await;
                *self.kept.borrow_mut() = Some(lent);
                wire::value::read(answer?.get()?.get_value()?)?.0
            }
            _ => {
                let _ = args;
                Value::Text(format!("{}{method}", self.path))
            }
        };
        wire::value::write(results.get().init_value(), &said, &[]);
        Ok(())
    }

    async fn describe(
        self: Rc<Self>,
        _: object::DescribeParams,
        _: object::DescribeResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

/// The tool node, as far as its ledger and introductions go.
#[derive(Default)]
pub(in super::super) struct Host {
    pub(in super::super) seen: Rc<RefCell<Vec<String>>>,
    pub(in super::super) started: Rc<Cell<bool>>,
    pub(in super::super) ledger: Rc<RefCell<Option<Value<u32>>>>,
    /// What an agent node is introduced to, if it can be.
    pub(in super::super) root: Option<object::Client>,
    pub(in super::super) introduced: Rc<Cell<usize>>,
}

/// An introduction that stands for as long as its owner holds this.
struct Introduced(Rc<Cell<usize>>);

impl introduction::Server for Introduced {}

impl Drop for Introduced {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl tool_host::Server for Host {
    async fn settle(
        self: Rc<Self>,
        _: tool_host::SettleParams,
        mut results: tool_host::SettleResults,
    ) -> Result<(), capnp::Error> {
        let mut state = results.get().init_state();
        match (&*self.ledger.borrow(), self.started.get()) {
            (Some(value), _) => wire::value::write(state.init_value(), value, &[]),
            (None, true) => state.set_started(()),
            (None, false) => state.set_never_started(()),
        }
        Ok(())
    }

    async fn introduce(
        self: Rc<Self>,
        _: tool_host::IntroduceParams,
        mut results: tool_host::IntroduceResults,
    ) -> Result<(), capnp::Error> {
        let root = self.root.clone().ok_or_else(|| capnp::Error::failed("not here".into()))?;
        self.introduced.set(self.introduced.get() + 1);
        let introduced = Introduced(Rc::clone(&self.introduced));
        results.get().set_introduction(capnp_rpc::new_client(introduced));
        results.get().set_object(root);
        Ok(())
    }

    async fn reopen(
        self: Rc<Self>,
        _: tool_host::ReopenParams,
        _: tool_host::ReopenResults,
    ) -> Result<(), capnp::Error> {
        self.seen.borrow_mut().push("reopened".into());
        self.started.set(false);
        Ok(())
    }
}

/// What a test may give to any method, of any kind.
const ARGS: &str = r#"{"properties":{"n":{},"text":{},"value":{},"what":{},"object":{},"x":{}}}"#;

pub(in super::super) fn manifest() -> Manifest {
    let method = |name: &str, read_only: bool, returns: &str| Method {
        name: name.into(),
        args_schema: ARGS.into(),
        read_only,
        returns: returns.into(),
        ..Method::default()
    };
    let path = || Param { name: "path".into(), required: true, path: true, ..Param::default() };
    let thing = Interface {
        name: "Thing".into(),
        methods: vec![
            method("open", true, "Thing"),
            method("make", false, "Thing"),
            method("look", true, ""),
            method("all", true, ""),
            method("put", false, ""),
            Method { params: vec![path()], ..method("dir", true, "Thing") },
            Method { params: vec![path()], ..method("read", true, "") },
            method("fail", false, ""),
            method("denied", false, ""),
            method("revoked", false, ""),
            method("interface-changed", false, ""),
            method("hang", false, ""),
            method("once", false, ""),
            method("vague", false, ""),
            method("lookOnce", true, ""),
            Method { idempotent: true, ..method("setOnce", false, "") },
            Method { idempotent: true, ..method("set", false, "") },
            Method {
                params: vec![Param { name: "what".into(), ..Default::default() }],
                ..method("use", false, "")
            },
        ],
        ..Interface::default()
    };
    Manifest {
        tool: "lab".into(),
        version: "1".into(),
        root: "Thing".into(),
        interfaces: vec![thing],
        descend: "dir".into(),
        ..Manifest::default()
    }
}
