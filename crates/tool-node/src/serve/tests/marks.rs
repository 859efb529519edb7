//! Calls that say from where on they must not be done again, and calls that may be taken once more.

use std::path::Path;
use std::rc::Rc;

use remit_core::{Code, Value};
use tempfile::TempDir;

use super::desk::{Desk, UNSETTLED, call, connect, request, settle, vat};
use super::lab::Lab;
use super::open;

/// The folder of a node as it is on disk when a call with the key `k` is so many gates far: what a
/// node finds that starts again after it was killed there.
fn left_by(method: &'static str, gates: usize) -> TempDir {
    let left = tempfile::tempdir().unwrap();
    let to = left.path().to_owned();
    vat(async move {
        let (dir, lab) = (tempfile::tempdir().unwrap(), Rc::<Lab>::default());
        let desk = connect(&open(&lab, dir.path()).await).await;
        let sent = request(&desk.root, method, &Value::Null, b"k").send().promise;
        let until_there = async {
            lab.began.notified().await;
            for _ in 0..gates {
                lab.gate.notify_one();
                lab.began.notified().await;
            }
        };
        tokio::select! {
            _ = sent => panic!("{method} was to wait"),
            () = until_there => copy(dir.path(), &to),
        }
    });
    left
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

async fn reopen(desk: &Desk, key: &[u8]) {
    let mut request = desk.host.reopen_request();
    request.get().set_key(key);
    request.send().promise.await.unwrap();
}

#[test]
fn a_call_that_died_before_its_point_of_no_return_has_never_begun() {
    let dir = left_by("careful", 0);
    vat(async move {
        let lab = Rc::<Lab>::default();
        let desk = connect(&open(&lab, dir.path()).await).await;
        assert_eq!(settle(&desk, b"k").await, "never started");
        let again = async {
            lab.began.notified().await;
            lab.gate.notify_one();
            lab.began.notified().await;
            lab.gate.notify_one();
        };
        let (answer, ()) = tokio::join!(call(&desk.root, "careful", Value::Null, b"k"), again);
        assert_eq!(answer.unwrap(), Value::Integer(1));
        assert_eq!(settle(&desk, b"k").await, "Integer(1)");
    });
}

#[test]
fn a_call_that_died_after_it_has_begun_and_is_not_done_again() {
    let dir = left_by("careful", 1);
    vat(async move {
        let lab = Rc::<Lab>::default();
        let desk = connect(&open(&lab, dir.path()).await).await;
        assert_eq!(settle(&desk, b"k").await, "started");
        let again = call(&desk.root, "careful", Value::Null, b"k").await.unwrap_err();
        assert_eq!((again.code, again.detail.as_str()), (Code::Unknown, UNSETTLED));
        assert_eq!(lab.runs.get(), 0);
    });
}

#[test]
fn a_call_that_is_to_be_taken_once_more_is_and_one_that_ended_is_not() {
    let dir = left_by("wait", 0);
    vat(async move {
        let lab = Rc::<Lab>::default();
        let desk = connect(&open(&lab, dir.path()).await).await;
        assert_eq!(settle(&desk, b"k").await, "started");
        reopen(&desk, b"k").await;
        reopen(&desk, b"k").await;
        assert_eq!(settle(&desk, b"k").await, "never started");
        assert_eq!(call(&desk.root, "count", Value::Null, b"k").await.unwrap(), Value::Integer(1));
        reopen(&desk, b"k").await;
        assert_eq!(settle(&desk, b"k").await, "Integer(1)", "an outcome is not forgotten");
        assert_eq!(call(&desk.root, "count", Value::Null, b"k").await.unwrap(), Value::Integer(1));
        assert_eq!(lab.runs.get(), 1);
    });
}

#[test]
fn a_call_that_runs_is_not_begun_anew() {
    vat(async {
        let dir = tempfile::tempdir().unwrap();
        let lab = Rc::<Lab>::default();
        let desk = connect(&open(&lab, dir.path()).await).await;
        let run = call(&desk.root, "wait", Value::Null, b"k");
        let meanwhile = async {
            lab.began.notified().await;
            reopen(&desk, b"k").await;
            lab.gate.notify_one();
        };
        let (answer, ()) = tokio::join!(run, meanwhile);
        assert_eq!(answer.unwrap(), Value::Integer(1));
        assert_eq!(settle(&desk, b"k").await, "Integer(1)");
    });
}
