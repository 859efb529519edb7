//! Calls of one line begin in the order in which they arrive.

use std::rc::Rc;

use futures::FutureExt as _;
use futures::future::join_all;
use remit_core::{Code, Value};
use remit_vat::connection::within;
use remit_vat::exception::to_failure;

use super::desk::{Desk, LONG, connect, request, vat};
use super::lab::Lab;
use super::open;

/// A call of a line, on its way.
fn sent(
    desk: &Desk,
    method: &str,
    key: &[u8],
    line: u64,
) -> impl Future<Output = Value<u32>> + use<> {
    let mut request = request(&desk.root, method, &Value::Null, key);
    request.get().set_line(line);
    let promise = request.send();
    async move {
        let answer = within(LONG, promise).await.unwrap();
        super::wire::value::read(answer.get().unwrap().get_value().unwrap()).unwrap().0
    }
}

#[test]
fn calls_of_a_line_begin_in_order_whatever_each_waits_for() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let desk = connect(&open(&Rc::default(), dir.path()).await).await;
        // One is on disk before it begins, one is not, one has no record at all.
        let methods = ["count", "next", "set", "count", "count", "next", "next", "set", "set"];
        let calls = (0_u32..900).zip(methods.iter().cycle());
        let calls = calls.map(|(n, method)| sent(&desk, method, &n.to_be_bytes(), 5));
        let told = join_all(calls.collect::<Vec<_>>()).await;
        let wanted = (1..=900).map(Value::Integer).collect::<Vec<_>>();
        assert_eq!(told, wanted, "each takes the number of its beginning");
    });
}

#[test]
fn a_line_waits_for_beginnings_and_not_for_ends() {
    vat(async {
        let (dir, lab) = (tempfile::tempdir().unwrap(), Rc::<Lab>::default());
        let desk = connect(&open(&lab, dir.path()).await).await;
        let waits = sent(&desk, "wait", b"k1", 5);
        assert_eq!(sent(&desk, "next", b"", 5).await, Value::Integer(2));
        lab.gate.notify_one();
        assert_eq!(waits.await, Value::Integer(1));
    });
}

#[test]
fn a_call_that_ends_before_it_begins_holds_nobody_up() {
    vat(async {
        let (dir, lab) = (tempfile::tempdir().unwrap(), Rc::<Lab>::default());
        let desk = connect(&open(&lab, dir.path()).await).await;
        let first = sent(&desk, "count", b"k1", 5);
        let mut refused = request(&desk.root, "shred", &Value::Null, b"k2");
        refused.get().set_line(5);
        let refused = refused.send().promise;
        // The same key again: it joins the first, and does not begin.
        let again = sent(&desk, "count", b"k1", 5);
        let mut given_up = Box::pin(sent(&desk, "next", b"", 5));
        assert!(given_up.as_mut().now_or_never().is_none());
        drop(given_up);
        let last = sent(&desk, "next", b"", 5);
        let (first, refused, again, last) = futures::join!(first, refused, again, last);
        assert_eq!(first, again);
        assert_eq!(to_failure(&refused.err().unwrap()).code, Code::NotFound);
        let last = if let Value::Integer(last) = last { last } else { panic!("{last:?}") };
        assert!(first == Value::Integer(1) && last > 1, "{first:?}, then {last}");
    });
}
