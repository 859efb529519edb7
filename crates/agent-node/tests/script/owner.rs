//! An owner that answers every call at once and records the requests.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use remit_agent_node::worker::{Options, attend};
use remit_core::{Code, Failure, Outcome, Value};
use remit_schema::object_capnp::object;
use remit_schema::peer_capnp::peer;
use remit_schema::task_capnp::task_context;
use remit_vat::connection::{Connection, ConnectionOptions};
use remit_vat::exception::to_exception;
use remit_vat::limits::ConnectionLimits;
use remit_vat::wire;

/// The result of running a script.
pub(crate) struct Run {
    pub(crate) outcome: Outcome<u32>,
    pub(crate) calls: Vec<String>,
    pub(crate) lines: Vec<String>,
    pub(crate) most_open: usize,
}

#[derive(Default)]
struct Notes {
    calls: RefCell<Vec<String>>,
    lines: RefCell<Vec<String>>,
    outcome: RefCell<Option<Outcome<u32>>>,
    events: Cell<u64>,
    open: Cell<usize>,
    most_open: Cell<usize>,
}

impl Notes {
    fn next(&self) -> u64 {
        self.events.set(self.events.get() + 1);
        self.events.get()
    }
}

struct Owner {
    source: Vec<(String, String)>,
    input: Value<u32>,
    notes: Rc<Notes>,
}

struct Thing {
    path: String,
    notes: Rc<Notes>,
}

/// Runs the script made of these files. The first file is its entry.
pub(crate) async fn run(source: &[(&str, &str)]) -> Run {
    let input = Value::Fields(vec![("from".into(), Value::Text("input".into()))]);
    run_with(source, input).await
}

/// As [`run`], with this input.
pub(crate) async fn run_with(source: &[(&str, &str)], input: Value<u32>) -> Run {
    let notes = Rc::new(Notes::default());
    let owner = Owner {
        source: source.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect(),
        input,
        notes: Rc::clone(&notes),
    };
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let context: task_context::Client = capnp_rpc::new_client(owner);
            let options =
                ConnectionOptions { peer: "worker".into(), limits: ConnectionLimits::attempt() };
            let connection = Connection::serve(ours, context.client, options);
            let options = Options {
                deadline: Duration::from_millis(300),
                memory_bytes: 32 << 20,
                strict: false,
            };
            attend(theirs, options).await.unwrap();
            connection.abort("the test is over");
        })
        .await;
    let outcome = notes.outcome.take().expect("the script has a last word");
    Run {
        outcome,
        calls: notes.calls.take(),
        lines: notes.lines.take(),
        most_open: notes.most_open.get(),
    }
}

impl object::Server for Thing {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let method = params.get_method()?.to_string()?;
        let number = u64::from_be_bytes(params.get_key()?.try_into().unwrap());
        let (args, table) = wire::value::read(params.get_args()?)?;
        let path = format!("{}/{method}", self.path);
        self.notes.calls.borrow_mut().push(format!("{number} {path} {args:?}"));
        self.notes.open.set(self.notes.open.get() + 1);
        self.notes.most_open.set(self.notes.most_open.get().max(self.notes.open.get()));
        if method == "dir" || method == "file" {
            let thing = Self { path: path.clone(), notes: Rc::clone(&self.notes) };
            results.get().set_object(capnp_rpc::new_client(thing));
            results.set_pipeline()?;
        }
        // All requests that were sent at the same time arrive before the first answer.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.notes.open.set(self.notes.open.get() - 1);
        results.get().init_recorded().set_number(self.notes.next());
        match method.as_str() {
            "deny" => Err(to_exception(&Failure::new(Code::Denied, "no").with_detail("calls=0"))),
            "exhaust" => {
                let why = "InternalError: out of memory";
                Err(to_exception(&Failure::new(Code::Unavailable, why)))
            }
            "dir" | "file" => Ok(()),
            "echo" => {
                wire::value::write(results.get().init_value(), &args, &table);
                Ok(())
            }
            _ => {
                wire::value::write(results.get().init_value(), &Value::Text(path), &[]);
                Ok(())
            }
        }
    }

    async fn describe(
        self: Rc<Self>,
        _: object::DescribeParams,
        _: object::DescribeResults,
    ) -> Result<(), capnp::Error> {
        Err(capnp::Error::unimplemented("nobody asks in these tests".into()))
    }
}

impl peer::Server for Owner {
    async fn ping(
        self: Rc<Self>,
        _: peer::PingParams,
        _: peer::PingResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

impl task_context::Server for Owner {
    async fn begin(
        self: Rc<Self>,
        _: task_context::BeginParams,
        mut results: task_context::BeginResults,
    ) -> Result<(), capnp::Error> {
        let mut script = results.get().init_script();
        script.set_entry(&self.source[0].0);
        script.set_seed(&[7; 32]);
        script.set_time_ms(1_000_000);
        wire::value::write(script.reborrow().init_input(), &self.input, &[]);
        let mut files = script.reborrow().init_source(u32::try_from(self.source.len()).unwrap());
        for (at, (path, text)) in (0..).zip(&self.source) {
            files.reborrow().get(at).set_path(path);
            files.reborrow().get(at).set_text(text);
        }
        let mut grant = script.init_grants(1).get(0);
        grant.set_name("repo");
        let thing = Thing { path: String::new(), notes: Rc::clone(&self.notes) };
        grant.set_object(capnp_rpc::new_client(thing));
        Ok(())
    }

    async fn sleep(
        self: Rc<Self>,
        _: task_context::SleepParams,
        mut results: task_context::SleepResults,
    ) -> Result<(), capnp::Error> {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let mut recorded = results.get().init_recorded();
        recorded.set_number(self.notes.next());
        recorded.set_time_ms(1_000_001);
        Ok(())
    }

    async fn input(
        self: Rc<Self>,
        params: task_context::InputParams,
        mut results: task_context::InputResults,
    ) -> Result<(), capnp::Error> {
        let line = format!("{} input", params.get()?.get_operation());
        self.notes.calls.borrow_mut().push(line);
        wire::value::write(results.get().init_value(), &Value::Text("hello".into()), &[]);
        results.get().init_recorded().set_number(self.notes.next());
        Ok(())
    }

    async fn log(
        self: Rc<Self>,
        params: task_context::LogParams,
        _: task_context::LogResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let line = format!(
            "{} {:?} {}",
            params.get_line(),
            params.get_level()?,
            params.get_text()?.to_string()?
        );
        self.notes.lines.borrow_mut().push(line);
        Ok(())
    }

    async fn request(
        self: Rc<Self>,
        params: task_context::RequestParams,
        mut results: task_context::RequestResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (number, tool) = (params.get_operation(), params.get_tool()?.to_string()?);
        let line = format!("{number} request {tool}: {}", params.get_reason()?.to_string()?);
        self.notes.calls.borrow_mut().push(line);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        if tool == "vault" {
            return Err(to_exception(&Failure::new(Code::Denied, "the request was refused")));
        }
        let thing = Thing { path: format!("given-{tool}"), notes: Rc::clone(&self.notes) };
        results.get().set_object(capnp_rpc::new_client(thing));
        results.get().init_recorded().set_number(self.notes.next());
        Ok(())
    }

    async fn finish(
        self: Rc<Self>,
        params: task_context::FinishParams,
        _: task_context::FinishResults,
    ) -> Result<(), capnp::Error> {
        let (outcome, _) = wire::outcome::read(params.get()?.get_outcome()?)?;
        *self.notes.outcome.borrow_mut() = Some(outcome);
        Ok(())
    }

    async fn cancelled(
        self: Rc<Self>,
        _: task_context::CancelledParams,
        _: task_context::CancelledResults,
    ) -> Result<(), capnp::Error> {
        std::future::pending().await
    }
}
