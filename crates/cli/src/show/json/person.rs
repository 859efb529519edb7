//! Questions to people and their answers as JSON.

use remit_client::{Fact, value_to_json};
use remit_core::event::{
    Approval, ApprovalDecided, ApprovalRequested, Remember, Settlement, SettlementDecided,
};
use serde_json::{Value as Json, json};

/// A fact about a question to a person.
pub(super) fn fact(fact: &Fact) -> Json {
    match fact {
        Fact::ApprovalRequested(asked) => requested(asked),
        Fact::ApprovalDecided(decided) => approval(decided),
        Fact::CapabilityRequested(asked) => json!({
            "operation": asked.operation.0, "tool": asked.tool, "reason": asked.reason,
            "untilMs": asked.until_ms,
        }),
        Fact::CapabilityDecided(decided) => json!({
            "operation": decided.operation.0, "grant": decided.grant.map(|grant| grant.0),
            "reason": decided.reason, "who": decided.who,
        }),
        Fact::SettlementRequested(asked) => json!({
            "call": asked.call.0, "reason": asked.reason, "ledger": asked.ledger.as_str(),
        }),
        Fact::SettlementDecided(decided) => settlement(decided),
        Fact::SettlementWithdrawn { call, reason } => {
            json!({ "call": call.0, "reason": reason })
        }
        _ => Json::Null,
    }
}

fn requested(asked: &ApprovalRequested) -> Json {
    let mut object = super::requested(&asked.request);
    let more = json!({
        "caveat": asked.caveat, "summary": asked.summary, "destructive": asked.destructive,
        "user": asked.user, "untilMs": asked.until_ms, "digest": hex::encode(asked.request.digest),
    });
    if let (Json::Object(object), Json::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

fn approval(decided: &ApprovalDecided) -> Json {
    let (approval, args) = match &decided.approval {
        Approval::Approve => ("approve", Json::Null),
        Approval::Deny => ("deny", Json::Null),
        Approval::Change(args) => ("change", value_to_json(args)),
    };
    let (remember, until_ms) = match decided.remember {
        Remember::Nothing => ("nothing", None),
        Remember::Arguments(until_ms) => ("arguments", Some(until_ms)),
        Remember::Method(until_ms) => ("method", Some(until_ms)),
    };
    json!({
        "call": decided.call.0, "digest": hex::encode(decided.digest), "decision": approval, "args": args,
        "who": decided.who, "reason": decided.reason, "remember": remember, "untilMs": until_ms,
    })
}

fn settlement(decided: &SettlementDecided) -> Json {
    let (settlement, outcome) = match &decided.settlement {
        Settlement::Retry => ("retry", Json::Null),
        Settlement::Abandon => ("abandon", Json::Null),
        Settlement::Outcome(value) => ("outcome", value_to_json(value)),
    };
    json!({
        "call": decided.call.0, "settlement": settlement, "outcome": outcome, "who": decided.who,
    })
}
