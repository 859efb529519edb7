//! The comparison of journals: the part of each that must be equal in every run.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, LazyLock};

use regex::Regex;
use remit_core::event::{CallRequested, Grant};
use remit_core::{CallNumber, Event, Fact, GrantId};

/// The events before the first attempt: the creation of the task and its grants.
pub(crate) fn beginning(events: &[Event]) -> Vec<Event> {
    let first = |event: &&Event| !matches!(event.fact, Fact::AttemptStarted { .. });
    events.iter().take_while(first).cloned().collect()
}

/// The number of attempts.
pub(crate) fn attempts(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event.fact, Fact::AttemptStarted { .. })).count()
}

/// The journal without times, attempts, ids and event numbers, grouped by operation, since
/// concurrent operations may be recorded in another order. An event that occurs twice is listed
/// twice.
pub(crate) fn normal(events: &[Event]) -> Vec<String> {
    let names = Names::of(events);
    let mut lines: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for event in events {
        let Some((what, number, step)) = place(&event.fact) else { continue };
        let number = match what {
            Place::Granted => rank(&names.grants, number),
            Place::Operation if number >= CallNumber::FIRST_LENT.0 => {
                CallNumber::FIRST_LENT.0 + rank(&names.lent, number)
            }
            _ => number,
        };
        let text = match &event.fact {
            Fact::GrantAdded(grant) => without_manifest(grant),
            fact => format!("{fact:?}"),
        };
        lines.entry((what, number, step)).or_default().push(names.rename(&plain(&text)));
    }
    lines.values_mut().for_each(|lines| lines.sort());
    lines.into_values().flatten().collect()
}

/// The normalized journals of a task and of the tasks that it spawned, each with its name.
pub(crate) fn normal_family(family: &[(String, Vec<Event>)]) -> Vec<(String, Vec<String>)> {
    let mut normal: Vec<_> =
        family.iter().map(|(name, events)| (name.clone(), self::normal(events))).collect();
    normal.sort();
    normal
}

/// Labels for numbers that are assigned in the order of time: grants, and calls of lent
/// capabilities. A label describes the origin, which is the same in every run.
#[derive(Default)]
struct Names {
    grants: BTreeMap<u64, String>,
    lent: BTreeMap<u64, String>,
}

impl Names {
    fn of(events: &[Event]) -> Self {
        let mut names = Self::default();
        for event in events {
            match &event.fact {
                Fact::GrantAdded(grant) => {
                    let label = without_manifest(&Grant { grant: GrantId(0), ..(**grant).clone() });
                    names.grants.insert(grant.grant.0.into(), names.rename(&plain(&label)));
                }
                Fact::CallRequested(asked) if asked.call >= CallNumber::FIRST_LENT => {
                    let label = CallRequested { call: CallNumber(0), ..(**asked).clone() };
                    let label = names.rename(&plain(&format!("{label:?}")));
                    names.lent.insert(asked.call.0, label);
                }
                _ => {}
            }
        }
        names
    }

    fn rename(&self, text: &str) -> String {
        static NUMBER: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"(GrantId|Grant|CallNumber)\((\d+)\)").unwrap());
        let renamed = NUMBER.replace_all(text, |found: &regex::Captures<'_>| {
            let labels = if &found[1] == "CallNumber" { &self.lent } else { &self.grants };
            match labels.get(&found[2].parse().unwrap()) {
                Some(label) => format!("{}<{:x}>", &found[1], short(label)),
                None => found[0].to_owned(),
            }
        });
        renamed.into_owned()
    }
}

/// The position of `number` among all labels: it does not depend on the order of time.
fn rank(labels: &BTreeMap<u64, String>, number: u64) -> u64 {
    let own = (labels.get(&number), number);
    let before = labels.iter().filter(|(other, label)| (Some(*label), **other) < own);
    before.count() as u64 + 1
}

/// The text of a grant, without the manifest of its tool.
fn without_manifest(grant: &Grant) -> String {
    format!("{:?}", Grant { manifest: Arc::default(), ..grant.clone() })
}

fn short(label: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    label.hash(&mut hash);
    hash.finish() >> 32
}

/// The subject of a fact, in the order of comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Granted,
    Operation,
    Output,
    Input,
    End,
    Other,
}

/// The subject of a fact, its number, and the step within it. `None` for a fact that only some runs
/// have.
fn place(fact: &Fact) -> Option<(Place, u64, u8)> {
    match fact {
        // The grants of a sub-task end when it has ended, or earlier when its parent ends.
        Fact::GrantEnded { .. }
        | Fact::AttemptStarted { .. }
        | Fact::AttemptEnded { .. }
        | Fact::CallUnknown { .. }
        | Fact::NotIntroduced { .. }
        | Fact::SettlementWithdrawn { .. } => None,
        Fact::GrantAdded(grant) => Some((Place::Granted, grant.grant.0.into(), 0)),
        Fact::ApprovalRequested(asked) => Some((Place::Operation, asked.request.call.0, 0)),
        Fact::ApprovalDecided(decided) => Some((Place::Operation, decided.call.0, 1)),
        Fact::CapabilityRequested(asked) => Some((Place::Operation, asked.operation.0, 0)),
        Fact::CapabilityDecided(decided) => Some((Place::Operation, decided.operation.0, 1)),
        Fact::CallRequested(asked) => Some((Place::Operation, asked.call.0, 2)),
        Fact::CallDenied(denied) => Some((Place::Operation, denied.call.0, 2)),
        Fact::CallCompleted { call, .. } => Some((Place::Operation, call.0, 3)),
        Fact::TimerSet { operation, .. } | Fact::InputRequested { operation } => {
            Some((Place::Operation, operation.0, 0))
        }
        Fact::TimerFired { operation } | Fact::InputDelivered { operation, .. } => {
            Some((Place::Operation, operation.0, 1))
        }
        Fact::LogEmitted { line, .. } => Some((Place::Output, *line, 0)),
        Fact::InputAccepted { input, .. } => Some((Place::Input, input.0, 0)),
        Fact::TaskCompleted(_) | Fact::TaskFailed(_) | Fact::TaskCancelled(_) => {
            Some((Place::End, 0, 0))
        }
        _ => Some((Place::Other, 0, 0)),
    }
}

/// Replaces all that differs from run to run.
fn plain(text: &str) -> String {
    static DIFFERS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let all = [
            (r"Attempt\(\d+\)", "Attempt(_)"),
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
            (r"\b1[6-9]\d{11}\b", "<time>"),
            (r"\b20\d\d-\d\d-\d\dT[\d:.]+Z", "<time>"),
            (r"spiffe://home/default/client/(me|local)\b", "<person>"),
            (r#""durationMs", Integer\(\d+\)"#, "\"durationMs\", <time>"),
            // A digest covers the grant's number and the arguments, which are compared themselves.
            (r"\bdigest: \[[\d, ]+\]", "digest: <digest>"),
            (r"\bseed: \[[\d, ]+\]", "seed: <chance>"),
            (r"\bkey: \[[\d, ]+\]", "key: <id>"),
            // The number of the grant at its origin is assigned in the order of time.
            (r"Origin \{ task: TaskId\(<id>\), grant: GrantId\(\d+\) \}", "Origin"),
            (r"/[\w/.-]*/\.tmp\w+", "<folder>"),
        ];
        all.map(|(pattern, instead)| (Regex::new(pattern).unwrap(), instead)).into()
    });
    let mut text = text.to_owned();
    for (pattern, instead) in DIFFERS.iter() {
        text = pattern.replace_all(&text, *instead).into_owned();
    }
    text
}

#[test]
fn what_is_said_twice_is_not_what_is_said_once() {
    let completed = |number| Event {
        number: remit_core::EventNumber(number),
        time_ms: number,
        fact: Fact::CallCompleted {
            call: CallNumber(1),
            outcome: remit_core::Outcome::value(remit_core::Value::Null),
            cost: 0,
            refused: false,
        },
    };
    let paused = |number| Event {
        fact: Fact::TaskPaused { reason: "a look".into(), who: String::new(), call: None },
        ..completed(number)
    };
    assert_eq!(normal(&[completed(1)]), normal(&[completed(2)]));
    assert_ne!(normal(&[completed(1)]), normal(&[completed(1), completed(2)]));
    assert_ne!(normal(&[paused(1)]), normal(&[paused(1), paused(2)]));
}

#[test]
fn only_what_differs_by_itself_is_taken_out() {
    let id = "01a3185c-50b8-76da-9b91-822d5fe3b588";
    let text = format!("Attempt(3), {id}, due_ms: 1800000005180, Integer(1800)");
    assert_eq!(plain(&text), "Attempt(_), <id>, due_ms: <time>, Integer(1800)");
}
