//! Events as JSON, for programs: `{"number", "timeMs", "event", ...}`, names as in the schema.

mod person;

use remit_client::{Event, Fact, Failure, value_to_json};
use remit_core::event::{CallDenied, CallRequested, Grant, Level, SourceFile, TaskCreated};
use remit_core::grant::text::caveat_text;
use remit_core::{CallNumber, Outcome};
use serde_json::{Map, Value as Json, json};

/// An event.
pub(crate) fn event(event: &Event) -> Json {
    let mut object = Map::new();
    object.insert("number".into(), json!(event.number.0));
    object.insert("timeMs".into(), json!(event.time_ms));
    object.insert("event".into(), json!(event.fact.name()));
    if let Json::Object(more) = fact(&event.fact) {
        object.extend(more);
    }
    Json::Object(object)
}

fn fact(fact: &Fact) -> Json {
    match fact {
        Fact::TaskCreated(made) => created(made),
        Fact::AttemptStarted { .. } | Fact::AttemptEnded { .. } => attempt(fact),
        Fact::GrantAdded(grant) => added(grant),
        Fact::GrantEnded { grant, reason } => json!({ "grant": grant.0, "reason": reason }),
        Fact::GrantRepinned { grant, manifest, accepted } => json!({
            "grant": grant.0, "version": manifest.version,
            "accepted": hex::encode(accepted),
        }),
        Fact::GrantRevoked { grant, reason, by } => {
            json!({ "grant": grant.0, "reason": reason, "by": by })
        }
        Fact::CallRequested(call) => requested(call),
        Fact::CallCompleted { call, outcome, cost, refused } => {
            completed(*call, outcome, *cost, *refused)
        }
        Fact::CallDenied(denied) => refused(denied),
        Fact::CallRecalled { call, from } => json!({ "call": call.0, "from": from.0 }),
        Fact::ResultOffloaded(_) | Fact::Introduced(_) | Fact::NotIntroduced { .. } => direct(fact),
        Fact::CallUnknown { call, reason } => json!({ "call": call.0, "reason": reason }),
        Fact::LogEmitted { line, level, text } => {
            json!({ "line": line, "level": level_name(*level), "text": text })
        }
        Fact::InputAccepted { input, value, sender, key, steer } => json!({
            "input": input.0, "value": value_to_json(value), "sender": sender, "key": key,
            "steer": steer,
        }),
        Fact::SteersRequested { operation, wait } => {
            json!({ "operation": operation.0, "wait": wait })
        }
        Fact::SteersDelivered { operation, inputs } => {
            let inputs: Vec<u64> = inputs.iter().map(|input| input.0).collect();
            json!({ "operation": operation.0, "inputs": inputs })
        }
        Fact::InputRequested { operation } | Fact::TimerFired { operation } => {
            json!({ "operation": operation.0 })
        }
        Fact::InputDelivered { operation, input } => {
            json!({ "operation": operation.0, "input": input.0 })
        }
        Fact::TimerSet { operation, due_ms } => {
            json!({ "operation": operation.0, "dueMs": due_ms })
        }
        Fact::TaskCompleted(value) => json!({ "value": value_to_json(value) }),
        Fact::TaskFailed(why) => json!({ "failure": failure(why) }),
        Fact::TaskCancelled(reason) => json!({ "reason": reason }),
        Fact::ApprovalRequested(_)
        | Fact::ApprovalDecided(_)
        | Fact::CapabilityRequested(_)
        | Fact::CapabilityDecided(_)
        | Fact::SettlementRequested(_)
        | Fact::SettlementDecided(_)
        | Fact::SettlementWithdrawn { .. } => person::fact(fact),
        Fact::TaskPaused { reason, who, call } => {
            json!({ "reason": reason, "who": who, "call": call.map(|call| call.0) })
        }
        Fact::TaskResumed { who } => json!({ "who": who }),
        Fact::CancelRequested(cancel) => json!({ "why": failure(&cancel.why), "who": cancel.who }),
        Fact::TaskForked(forked) => json!({
            "task": forked.task.to_string(), "at": forked.at.0, "who": forked.who,
            "dropped": numbers(&forked.dropped),
        }),
        Fact::TaskUpgraded(upgraded) => json!({
            "source": paths(&upgraded.source), "entry": upgraded.entry, "who": upgraded.who,
            "at": upgraded.at.0, "dropped": numbers(&upgraded.dropped), "lines": upgraded.lines,
        }),
    }
}

/// About an attempt.
fn attempt(fact: &Fact) -> Json {
    match fact {
        Fact::AttemptStarted { attempt, node } => json!({ "attempt": attempt.0, "node": node }),
        Fact::AttemptEnded { attempt, reason, fruitless } => json!({
            "attempt": attempt.0, "reason": reason, "fruitless": fruitless,
        }),
        _ => Json::Null,
    }
}

/// About a direct path.
fn direct(fact: &Fact) -> Json {
    match fact {
        Fact::ResultOffloaded(kept) => json!({
            "call": kept.call.0, "key": hex::encode(&kept.key), "digest": hex::encode(kept.digest),
            "bytes": kept.bytes,
        }),
        Fact::NotIntroduced { grant, attempt, reason } => json!({
            "grant": grant.0, "attempt": attempt.0, "reason": reason,
        }),
        Fact::Introduced(introduced) => json!({
            "grant": introduced.grant.0, "attempt": introduced.attempt.0,
            "agent": introduced.agent, "node": introduced.node,
        }),
        _ => Json::Null,
    }
}

fn created(made: &TaskCreated) -> Json {
    json!({
        "name": made.name, "agent": made.agent, "source": paths(&made.source), "entry": made.entry,
        "input": value_to_json(&made.input), "labels": made.labels, "creator": made.creator,
        "deadlineMs": made.deadline_ms, "memoryBytes": made.memory_bytes,
        "timeLimitMs": made.limits.task_ms, "attemptLimitMs": made.limits.attempt_ms,
        "callTimeoutMs": made.limits.call_ms, "keptMs": made.limits.retention_ms,
    })
}

fn paths(source: &[SourceFile]) -> Vec<&str> {
    source.iter().map(|file| file.path.as_str()).collect()
}

fn numbers(calls: &[CallNumber]) -> Vec<u64> {
    calls.iter().map(|call| call.0).collect()
}

fn added(grant: &Grant) -> Json {
    let caveats: Vec<String> = grant.caveats.iter().map(caveat_text).collect();
    json!({
        "grant": grant.grant.0, "parent": grant.parent.map(|parent| parent.0),
        "name": grant.name, "tool": grant.tool, "version": grant.version, "node": grant.node,
        "path": grant.path, "caveats": caveats, "holder": grant.holder, "by": grant.by,
    })
}

fn completed(call: CallNumber, outcome: &Outcome, cost: u64, refused: bool) -> Json {
    let mut completed = json!({ "call": call.0, "outcome": ended(outcome) });
    if cost > 0 {
        completed["cost"] = json!(cost);
    }
    if refused {
        completed["refused"] = json!(true);
    }
    completed
}

fn requested(call: &CallRequested) -> Json {
    json!({
        "call": call.call.0, "attempt": call.attempt.0, "object": call.object.to_string(),
        "method": call.method, "args": value_to_json(&call.args), "grant": call.grant.0,
        "path": call.path, "returns": call.returns, "readOnly": call.read_only,
        "idempotent": call.idempotent, "through": call.through.map(|through| through.0),
    })
}

fn refused(denied: &CallDenied) -> Json {
    json!({
        "call": denied.call.0, "attempt": denied.attempt.0, "object": denied.object.to_string(),
        "method": denied.method, "grant": denied.grant.0, "failure": failure(&denied.failure),
        "through": denied.through.map(|through| through.0),
    })
}

fn ended(outcome: &Outcome) -> Json {
    match outcome {
        Outcome::Value { value, object } => {
            json!({ "value": value_to_json(value), "object": object })
        }
        Outcome::Failure(why) => json!({ "failure": failure(why) }),
    }
}

fn failure(failure: &Failure) -> Json {
    json!({
        "code": failure.code.as_str(), "message": failure.message, "detail": failure.detail,
    })
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_client::{Code, EventNumber};

    #[test]
    fn an_event_is_one_object_with_its_facts_beside_its_number() {
        let why = Failure::new(Code::NotFound, "no such file");
        let outcome = Outcome::Failure(why);
        let fact = Fact::CallCompleted { call: CallNumber(3), outcome, cost: 0, refused: false };
        let shown = event(&Event { number: EventNumber(9), time_ms: 1, fact });
        assert_eq!(
            shown.to_string(),
            r#"{"number":9,"timeMs":1,"event":"call-completed","call":3,"outcome":{"failure":{"code":"not-found","message":"no such file","detail":""}}}"#
        );
    }
}
