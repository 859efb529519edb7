//! A node and an orchestrator's end of it, over an in-memory stream.

mod desk;
mod introduced;
mod lab;
mod marks;
mod member;
mod order;

use std::path::Path;
use std::rc::Rc;

use remit_core::{Code, Outcome, Value};
use remit_schema::object_capnp::object;
use remit_vat::wire;

use self::desk::{UNSETTLED, call, connect, request, settle, vat};
use self::lab::{Lab, tool};
use crate::ledger::Ledger;
use crate::node::Node;

async fn open(lab: &Rc<Lab>, dir: &Path) -> Rc<Node> {
    Rc::new(Node::open(vec![tool(lab)], vec![], dir).await.unwrap())
}

#[test]
fn a_registered_tool_describes_itself_and_its_objects_are_pipelined() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let desk = connect(&open(&Rc::default(), dir.path()).await).await;
        let described = desk.root.describe_request().send().promise.await.unwrap();
        let described = described.get().unwrap();
        assert_eq!(described.get_interface().unwrap().to_str().unwrap(), "Lab");
        let manifest = wire::manifest::read(described.get_manifest().unwrap()).unwrap();
        let shelf = manifest.method("Lab", "shelf").unwrap();
        assert!(shelf.params[0].path && shelf.read_only && shelf.returns == "Shelf");
        assert_eq!(manifest.descend, "shelf");
        let positions = Value::List(vec![Value::Text("a/./b".into())]);
        let opened = request(&desk.root, "shelf", &positions, &[]).send();
        let place = call(&opened.pipeline.get_object(), "place", Value::Null, &[]).await;
        assert_eq!(place.unwrap(), Value::Text("a/b".into()));
    });
}

#[test]
fn wrong_calls_say_what_is_wrong() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let desk = connect(&open(&Rc::default(), dir.path()).await).await;
        let field = |name: &str, value| Value::Fields(vec![(name.to_owned(), value)]);
        let out = field("path", Value::Text("../x".into()));
        let refused = call(&desk.root, "shelf", out, &[]).await.unwrap_err();
        assert_eq!((refused.code, refused.detail.as_str()), (Code::InvalidArgument, "path"));
        let stranger = field("depth", Value::Integer(1));
        let refused = call(&desk.root, "count", stranger, &[]).await.unwrap_err();
        assert_eq!((refused.code, refused.detail.as_str()), (Code::InvalidArgument, "depth"));
        let unknown = call(&desk.root, "shred", Value::Null, &[]).await.unwrap_err();
        assert_eq!(unknown.code, Code::NotFound);
        assert!(unknown.message.contains("count"), "{unknown}");
        let long = call(&desk.root, "count", Value::Null, &[0; 300]).await.unwrap_err();
        assert_eq!(long.code, Code::Limit);
    });
}

#[test]
fn a_repeated_key_runs_once_even_after_a_restart() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let lab = Rc::<Lab>::default();
        let node = open(&lab, dir.path()).await;
        let desk = connect(&node).await;
        for _ in 0..3 {
            let answer = call(&desk.root, "count", Value::Null, b"k1").await.unwrap();
            assert_eq!(answer, Value::Integer(1));
        }
        assert_eq!(call(&desk.root, "set", Value::Null, b"k2").await.unwrap(), Value::Integer(2));
        let boom = call(&desk.root, "boom", Value::Null, b"k3").await.unwrap_err();
        assert!(boom.code == Code::Unknown && boom.message.contains("beaker"), "{boom}");
        desk.connection.abort("the orchestrator restarts");
        node.drain().await;
        drop((desk, node));
        until_closed(dir.path()).await;
        let desk = connect(&open(&lab, dir.path()).await).await;
        for (key, answer) in [(&b"k1"[..], 1), (b"k2", 2)] {
            let again = call(&desk.root, "count", Value::Null, key).await.unwrap();
            assert_eq!(again, Value::Integer(answer));
        }
        assert_eq!(call(&desk.root, "boom", Value::Null, b"k3").await.unwrap_err(), boom);
        assert_eq!(settle(&desk, b"k3").await, "unknown");
        assert_eq!(settle(&desk, b"k4").await, "never started");
        assert_eq!(lab.runs.get(), 2);
    });
}

#[test]
fn a_repeated_key_costs_what_it_cost_even_after_a_restart() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let lab = Rc::<Lab>::default();
        let cost = async |desk: &desk::Desk, method: &str, key: &[u8]| {
            let answer = request(&desk.root, method, &Value::Null, key).send().promise.await;
            answer.unwrap().get().unwrap().get_cost()
        };
        let node = open(&lab, dir.path()).await;
        let desk = connect(&node).await;
        assert_eq!(cost(&desk, "count", b"k1").await, 3);
        assert_eq!(cost(&desk, "count", b"k1").await, 3);
        assert_eq!(cost(&desk, "set", b"k2").await, 0);
        desk.connection.abort("the orchestrator restarts");
        node.drain().await;
        drop((desk, node));
        until_closed(dir.path()).await;
        let desk = connect(&open(&lab, dir.path()).await).await;
        assert_eq!(cost(&desk, "count", b"k1").await, 3);
        let mut asked = desk.host.settle_request();
        asked.get().set_key(b"k1");
        let settled = asked.send().promise.await.unwrap();
        assert_eq!(settled.get().unwrap().get_state().unwrap().get_cost(), 3);
        assert_eq!(lab.runs.get(), 2);
    });
}

/// Waits until the ledger in `dir` was let go by the tasks of a connection that ended.
async fn until_closed(dir: &Path) {
    while Ledger::open(dir).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_repeated_key_joins_the_call_that_runs() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let lab = Rc::<Lab>::default();
        let desk = connect(&open(&lab, dir.path()).await).await;
        let wait = || call(&desk.root, "wait", Value::Null, b"k");
        let release = async {
            lab.began.notified().await;
            // Both calls and the question are on their way before the gate opens.
            call(&desk.root, "set", Value::Null, b"other").await.unwrap();
            lab.gate.notify_one();
        };
        let (one, two, settled, ()) = tokio::join!(wait(), wait(), settle(&desk, b"k"), release);
        assert_eq!(one.unwrap(), Value::Integer(1));
        assert_eq!(two.unwrap(), Value::Integer(1));
        assert_eq!(settled, "Integer(1)");
    });
}

#[test]
fn an_interrupted_call_is_not_run_again() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).await.unwrap();
        ledger.started(b"k").await.unwrap();
        drop(ledger);
        let lab = Rc::<Lab>::default();
        let desk = connect(&open(&lab, dir.path()).await).await;
        assert_eq!(settle(&desk, b"k").await, "started");
        let again = call(&desk.root, "count", Value::Null, b"k").await.unwrap_err();
        assert_eq!((again.code, again.detail.as_str()), (Code::Unknown, UNSETTLED));
        assert_eq!(lab.runs.get(), 0);
    });
}

#[test]
fn what_a_tool_throws_is_the_outcome_whatever_it_says() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let lab = Rc::<Lab>::default();
        let node = open(&lab, dir.path()).await;
        let desk = connect(&node).await;
        for code in Code::ALL {
            let args = || Value::Fields(vec![("code".into(), Value::Text(code.as_str().into()))]);
            let key = code.as_str().as_bytes();
            let thrown = call(&desk.root, "throw", args(), key).await.unwrap_err();
            assert_eq!((thrown.code, thrown.detail.as_str()), (code, "owner-away"));
            assert_eq!(settle(&desk, key).await, code.as_str(), "it is recorded");
            assert_eq!(call(&desk.root, "throw", args(), key).await.unwrap_err(), thrown);
        }
        assert_eq!(lab.runs.get() as usize, Code::ALL.len(), "each ran once");
    });
}

#[test]
fn a_cancelled_call_is_told_and_its_end_recorded() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let lab = Rc::<Lab>::default();
        let mut desk = connect(&open(&lab, dir.path()).await).await;
        let sent = request(&desk.root, "wait", &Value::Null, b"k").send();
        lab.began.notified().await;
        assert_eq!(desk.output.recv().await.unwrap(), (b"k".to_vec(), "waiting".to_owned()));
        drop(sent);
        assert_eq!(settle(&desk, b"k").await, "cancelled");
        assert!(lab.saw_cancel.get());
    });
}

#[test]
fn a_call_whose_connection_is_lost_runs_to_its_end() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let lab = Rc::<Lab>::default();
        let node = open(&lab, dir.path()).await;
        let desk = connect(&node).await;
        let sent = request(&desk.root, "wait", &Value::Null, b"k").send();
        lab.began.notified().await;
        desk.connection.abort("the wire was cut");
        assert!(sent.promise.await.is_err());
        let desk = connect(&node).await;
        let release = async {
            call(&desk.root, "set", Value::Null, b"other").await.unwrap();
            lab.gate.notify_one();
        };
        let (settled, ()) = tokio::join!(settle(&desk, b"k"), release);
        assert_eq!(settled, "Integer(1)");
        assert!(!lab.saw_cancel.get());
    });
}

/// An object that its caller lends.
struct Named;

impl object::Server for Named {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let args = wire::value::read(params.get()?.get_args()?)?.0;
        let text = Value::Text(format!("{args:?}"));
        wire::value::write(results.get().init_value(), &text, &[]);
        Ok(())
    }
}

#[test]
fn a_lent_object_can_be_called() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let desk = connect(&open(&Rc::default(), dir.path()).await).await;
        let mut request = desk.root.call_request();
        request.get().set_method("relay");
        let args = Value::List(vec![Value::Object(0), Value::Integer(7)]);
        let lent = [capnp_rpc::new_client(Named)];
        wire::value::write(request.get().init_args(), &args, &lent);
        let answer = request.send().promise.await.unwrap();
        let value = wire::value::read(answer.get().unwrap().get_value().unwrap()).unwrap().0;
        assert_eq!(value, Value::Text("List([Integer(7)])".into()));
        let wrong = Value::List(vec![Value::Integer(1), Value::Integer(7)]);
        let refused = call(&desk.root, "relay", wrong, &[]).await.unwrap_err();
        assert_eq!(refused.detail, "what");
    });
}

#[test]
fn outcomes_in_the_ledger_name_no_objects() {
    let outcome = Outcome::Value { value: Value::Null.into(), object: true };
    let state = crate::ledger::CallState::Completed(outcome, 9);
    let bytes = super::state::to_bytes(&state);
    assert_eq!(super::state::from_bytes(&bytes).unwrap(), state);
    assert!(super::state::from_bytes(&bytes[..7]).is_err());
}
