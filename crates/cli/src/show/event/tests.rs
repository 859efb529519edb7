//! How events read: whole stories, as a person sees them.

use std::sync::Arc;

use remit_client::{Caveat, Code, EventNumber, Manifest, SourceFile};
use remit_core::event::TaskCreated;
use remit_core::grant::Budgets;
use remit_core::{Attempt, InputId};

use super::*;

fn told(facts: Vec<Fact>) -> Vec<String> {
    let mut lines = Lines::new(Paint::Plain);
    (0..)
        .zip(facts)
        .map(|(at, fact)| {
            let event = Event { number: EventNumber(at + 1), time_ms: 5_000 + at * 250, fact };
            lines.line(&event)
        })
        .collect()
}

fn created() -> Fact {
    Fact::TaskCreated(Box::new(TaskCreated {
        name: "notes".into(),
        agent: "script".into(),
        source: vec![SourceFile { path: "notes.ts".into(), text: String::new() }],
        entry: "notes.ts".into(),
        input: Value::Null,
        seed: vec![],
        labels: vec![],
        creator: String::new(),
        deadline_ms: 0,
        memory_bytes: 0,
        export: String::new(),
        parent: None,
        detached: false,
        limits: remit_core::event::TimeLimits::default(),
    }))
}

fn granted() -> Fact {
    Fact::GrantAdded(Box::new(Grant {
        grant: GrantId(1),
        parent: None,
        name: "repo".into(),
        tool: "fs".into(),
        version: "1.0.0".into(),
        node: "local".into(),
        path: "src".into(),
        caveats: vec![Caveat::Methods(vec!["read".into(), "dir".into()])],
        manifest: Arc::new(Manifest::default()),
        holder: "task".into(),
        derived: None,
        origin: None,
        interface: String::new(),
        reserve: Budgets::NONE,
        by: String::new(),
        on_unknown: remit_core::event::OnUnknown::Inherit,
    }))
}

fn requested(call: u64, object: ObjectId, method: &str, returns: &str, argument: &str) -> Fact {
    Fact::CallRequested(std::sync::Arc::new(CallRequested {
        call: CallNumber(call),
        attempt: Attempt(1),
        object,
        method: method.into(),
        args: Value::Fields(vec![("path".into(), Value::Text(argument.into()))]),
        digest: [0; 32],
        grant: GrantId(1),
        path: String::new(),
        returns: returns.into(),
        read_only: true,
        idempotent: true,
        through: None,
        delegate: None,
        approval: None,
        max_cost: 0,
    }))
}

fn completed(call: u64, outcome: Outcome) -> Fact {
    Fact::CallCompleted { call: CallNumber(call), outcome, cost: 0, refused: false }
}

#[test]
fn a_chain_reads_as_it_was_written() {
    let object = Outcome::Value { value: Value::Null.into(), object: true };
    let text = Outcome::value(Value::Text("hello".into()));
    assert_eq!(
        told(vec![
            created(),
            granted(),
            requested(1, ObjectId::Grant(GrantId(1)), "dir", "Dir", "a"),
            requested(2, ObjectId::Result(CallNumber(1)), "read", "", "b.rs"),
            completed(1, object),
            completed(2, text),
            Fact::TaskCompleted(Value::Integer(7)),
        ]),
        [
            "   0.000  task notes (notes.ts, 1 file)",
            "   0.250  grant repo = fs@1.0.0:src?methods=read,dir",
            "   0.500  → repo.dir(\"a\")",
            "   0.750  → repo.dir(\"a\").read(\"b.rs\")",
            "   1.000  ✓ repo.dir(\"a\")  500 ms",
            "   1.250  ✓ repo.dir(\"a\").read(\"b.rs\"): \"hello\"  500 ms",
            "   1.500  completed: 7",
        ]
    );
}

#[test]
fn a_refusal_shows_its_caveat() {
    let failure = Failure::new(Code::Denied, "the grant does not allow the method `write`")
        .with_detail("methods=read,dir");
    let denied = Fact::CallDenied(Box::new(CallDenied {
        call: CallNumber(3),
        attempt: Attempt(1),
        object: ObjectId::Grant(GrantId(1)),
        method: "write".into(),
        digest: [0; 32],
        grant: GrantId(1),
        failure,
        through: None,
        delegate: None,
    }));
    assert_eq!(
        told(vec![granted(), denied])[1],
        "   0.250  ✗ repo.write(…): denied: the grant does not allow the method `write`  [methods=read,dir]"
    );
}

#[test]
fn sleeping_waiting_and_logging_read_plainly() {
    let operation = CallNumber(1);
    assert_eq!(
        told(vec![
            Fact::TimerSet { operation, due_ms: 8_000 },
            Fact::TimerFired { operation },
            Fact::InputRequested { operation },
            Fact::InputAccepted {
                input: InputId(1),
                value: Value::Integer(50),
                sender: "me".into(),
                key: String::new(),
                steer: false,
            },
            Fact::LogEmitted { line: 1, level: Level::Info, text: "one\n\x1b[31mtwo".into() },
            Fact::TaskCancelled("enough".into()),
        ]),
        [
            "   0.000  sleeps 3.0 s",
            "   0.250  wakes",
            "   0.500  waits for input: `remit send`",
            "   0.750  input 1: 50 from me",
            "   1.000  log: one\n            \\u{1b}[31mtwo",
            "   1.250  cancelled: enough",
        ]
    );
}
