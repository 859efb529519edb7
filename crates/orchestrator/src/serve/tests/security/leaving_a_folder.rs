//! Folders: what was granted of one part of a tool reaches no other part of it.

use remit_core::{Code, Value};
use remit_schema::object_capnp::object;

use super::super::lab::{Call, Lab, attenuate, call, over_both_transports, said, with};

over_both_transports!(
    path_that_climbs_out_is_refused,
    object_obtained_below_cannot_climb_out,
    narrowed_path_cannot_be_left_through_an_object_from_above,
    attenuation_to_a_path_above_allows_nothing_more,
    name_that_only_begins_alike_is_outside,
);

fn at(object: &object::Client, number: u64, method: &str, path: &str) -> Call {
    with(object, number, method, &[("path", Value::Text(path.into()))], &[])
}

async fn path_that_climbs_out_is_refused(lab: Lab) {
    let run = lab.begin_with("lab:src?path=in").await;
    for (number, outside) in (1..).zip([
        "..",
        "../lib",
        "in/../../lib",
        "in/../other",
        "/etc/passwd",
        "other",
        "in\0/..",
        "./../in/../..",
    ]) {
        let refused = said(at(&run.granted, number, "read", outside)).await.unwrap_err();
        assert!(matches!(refused.code, Code::Denied | Code::InvalidArgument), "{outside}");
    }
    assert!(!lab.seen.borrow().iter().any(|seen| seen.ends_with("read")));
}

async fn object_obtained_below_cannot_climb_out(lab: Lab) {
    let run = lab.begin_with("lab?path=src").await;
    let dir = at(&run.granted, 1, "dir", "src/deep");
    let below = dir.pipeline.get_object();
    said(dir).await.unwrap();
    for (number, outside) in (2..).zip(["..", "../../lib", "../other/../../x", "/src"]) {
        let refused = said(at(&below, number, "read", outside)).await.unwrap_err();
        assert!(matches!(refused.code, Code::Denied | Code::InvalidArgument), "{outside}");
    }
    said(at(&below, 9, "read", "a")).await.unwrap();
    assert_eq!(*lab.seen.borrow(), ["dir", "src/deep/read"]);
}

async fn narrowed_path_cannot_be_left_through_an_object_from_above(lab: Lab) {
    let run = lab.begin().await;
    let dir = at(&run.granted, 1, "dir", "src");
    let weak = attenuate(&dir.pipeline.get_object(), 2, "path=in");
    let object = weak.pipeline.get_object();
    said(dir).await.unwrap();
    said(weak).await.unwrap();
    for (number, (path, allowed)) in
        (3..).zip([("in/a", true), ("out/a", false), ("in/../out", false), ("a", false)])
    {
        assert_eq!(said(at(&object, number, "read", path)).await.is_ok(), allowed, "{path}");
    }
    let refused = said(call(&object, 7, "put")).await.unwrap_err();
    assert_eq!(refused.code, Code::Denied, "the folder itself is above what was given");
    assert_eq!(*lab.seen.borrow(), ["dir", "src/read"]);
}

async fn attenuation_to_a_path_above_allows_nothing_more(lab: Lab) {
    let run = lab.begin_with("lab?path=src/in").await;
    for (number, above) in [(1, "path=src"), (3, "path=lib"), (5, "path=src/other")] {
        let made = attenuate(&run.granted, number, above);
        let used = at(&made.pipeline.get_object(), number + 1, "read", "src/a");
        let _refused = said(made).await;
        assert!(said(used).await.is_err(), "{above}");
    }
    assert!(lab.seen.borrow().is_empty());
}

async fn name_that_only_begins_alike_is_outside(lab: Lab) {
    let run = lab.begin_with("lab?path=src").await;
    for (number, (path, allowed)) in
        (1..).zip([("src2/a", false), ("src/a", true), ("srcs", false), ("SRC/a", false)])
    {
        assert_eq!(said(at(&run.granted, number, "read", path)).await.is_ok(), allowed, "{path}");
    }
    assert_eq!(*lab.seen.borrow(), ["read"]);
}
