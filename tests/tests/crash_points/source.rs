//! Every crash point in the source has a row, and every row is a crash point in the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::Row;

/// Pairs of events: the row of the first one covers the second one too. An owner records each of
/// them as the first event of a command, and the steps do not depend on the event.
const SAME_AS: [(&str, &str); 15] = [
    ("attempt-started", "attempt-ended"),
    ("call-requested", "call-recalled"),
    ("call-completed", "result-offloaded"),
    ("call-completed", "introduced"),
    ("call-completed", "not-introduced"),
    ("call-completed", "settlement-withdrawn"),
    ("call-denied", "grant-added"),
    ("grant-revoked", "grant-ended"),
    ("grant-revoked", "grant-repinned"),
    ("approval-requested", "capability-requested"),
    ("approval-decided", "capability-decided"),
    ("input-accepted", "log-emitted"),
    ("steers-requested", "steers-delivered"),
    ("task-created", "task-forked"),
    ("task-paused", "task-upgraded"),
];

/// Events that are never recorded first: another event always precedes them in the batch.
const BEHIND_ANOTHER: [&str; 4] =
    ["input-delivered", "task-completed", "task-failed", "task-cancelled"];

/// Fails for a crash point without a row, and for a row without a crash point.
pub(crate) fn check(rows: &[Row]) {
    let listed: BTreeSet<(String, String)> =
        rows.iter().map(|row| (row.step.name().to_owned(), row.what.to_owned())).collect();
    let (written, of_events) = points();
    assert!(written.len() > 20 && of_events.len() == 3, "{written:?} {of_events:?}");
    for point in &written {
        assert!(listed.contains(point), "the crash point {point:?} has no row");
    }
    let whats: BTreeSet<&str> = rows.iter().map(|row| row.what).collect();
    let stand_ins: BTreeSet<&str> = SAME_AS.iter().map(|(like, _)| *like).collect();
    assert!(stand_ins.is_subset(&whats), "{stand_ins:?} of {whats:?}");
    let events = events();
    for event in &events {
        let known = whats.contains(event.as_str())
            || SAME_AS.iter().any(|(_, other)| other == event)
            || BEHIND_ANOTHER.contains(&event.as_str());
        assert!(known, "the event {event} passes crash points and has no row");
    }
    for (step, what) in &listed {
        let of_event = events.contains(what) && of_events.contains(step);
        let point = (step.clone(), what.clone());
        assert!(of_event || written.contains(&point), "{point:?} is no crash point any more");
    }
}

/// The crash points with a fixed name, and the steps of those that are named after an event.
fn points() -> (BTreeSet<(String, String)>, BTreeSet<String>) {
    let point =
        r#"crash::point(?:_after_turn)?\(\s*(?:crash::)?Step::(\w+),\s*(?:"([\w-]+)"|\w+),?\s*\)"#;
    let (point, call) = (Regex::new(point).unwrap(), Regex::new(r"crash::point").unwrap());
    let (mut written, mut of_events) = (BTreeSet::new(), BTreeSet::new());
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("crates");
    for file in sources(&crates) {
        let text = fs::read_to_string(&file).unwrap();
        let found: Vec<_> = point.captures_iter(&text).collect();
        assert_eq!(found.len(), call.find_iter(&text).count(), "{}", file.display());
        for found in found {
            let step = found[1].to_lowercase();
            match found.get(2) {
                Some(what) => drop(written.insert((step, what.as_str().to_owned()))),
                None => drop(of_events.insert(step)),
            }
        }
    }
    (written, of_events)
}

/// The names of all events.
fn events() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/core/src/event.rs");
    let text = fs::read_to_string(file).unwrap();
    let name = Regex::new(r#"Self::\w+(?:\(_\)| \{ \.\. \}) => "([\w-]+)""#).unwrap();
    let names: BTreeSet<String> =
        name.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    assert!(names.len() > 30, "{names:?}");
    names
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
