//! What lists show, as JSON for programs: one object a line, names as in the schema.

use remit_client::{
    GrantInfo, Holding, NodeInfo, PostProof, RefInfo, TaskInfo, ToolInfo, TriggerInfo, When,
};
use remit_core::grant::text::caveat_text;
use serde_json::{Map, Value as Json, json};

use super::out;
use crate::fault::Fault;

/// Prints each item on a line of its own.
pub(crate) fn print<T>(items: &[T], json: impl Fn(&T) -> Json) -> Result<(), Fault> {
    items.iter().try_for_each(|item| out::json(&json(item)))
}

pub(crate) fn task(task: &TaskInfo) -> Json {
    json!({
        "id": task.id.to_string(), "name": task.name, "status": task.status,
        "createdMs": task.created_ms, "events": task.events.0, "attempt": task.attempt,
        "node": task.node, "detail": task.detail, "calls": task.calls,
        "parent": task.parent.map(|parent| parent.to_string()), "trigger": task.trigger,
    })
}

pub(crate) fn node(node: &NodeInfo) -> Json {
    json!({
        "identity": node.identity, "role": node.role, "version": node.version,
        "state": node.state, "labels": node.labels, "load": node.load,
        "lastContactMs": node.last_contact_ms,
    })
}

pub(crate) fn tool(tool: &ToolInfo) -> Json {
    json!({
        "tool": tool.manifest.tool, "version": tool.manifest.version, "node": tool.node,
        "available": tool.available, "accepted": tool.accepted.is_none(),
        "manifest": tool.manifest,
    })
}

pub(crate) fn reference(saved: &RefInfo) -> Json {
    json!({
        "id": saved.id, "label": saved.label, "owner": saved.owner, "by": saved.by,
        "task": saved.task.to_string(), "grant": saved.grant.map(|grant| grant.0),
        "viewer": saved.viewer, "createdMs": saved.created_ms, "untilMs": saved.until_ms,
        "uses": saved.uses, "state": saved.state,
    })
}

pub(crate) fn trigger(trigger: &TriggerInfo) -> Json {
    let when = match &trigger.when {
        When::Cron { expression, time_zone } => {
            json!({ "cron": expression, "timeZone": time_zone })
        }
        When::Every(ms) => json!({ "everyMs": ms }),
        When::Webhook(hook) => json!({
            "webhook": true, "signed": hook.proof == PostProof::Signature, "headers": hook.headers,
        }),
    };
    json!({
        "name": trigger.name, "when": when, "creates": trigger.creates,
        "sendsTo": trigger.sends_to.map(|task| task.to_string()), "creator": trigger.creator,
        "createdMs": trigger.created_ms, "lastMs": trigger.last_ms, "nextMs": trigger.next_ms,
        "failure": trigger.failure,
    })
}

pub(crate) fn grant(grant: &GrantInfo) -> Json {
    let caveats: Vec<String> = grant.caveats.iter().map(caveat_text).collect();
    let amounts = |named: [(&str, u64); 4]| {
        named
            .into_iter()
            .map(|(name, amount)| (name.to_owned(), json!(amount)))
            .collect::<Map<_, _>>()
    };
    let left = grant.left.named().map(|(name, amount)| (name.into_owned(), json!(amount)));
    json!({
        "grant": grant.grant.0, "parent": grant.parent.map(|parent| parent.0),
        "name": grant.name, "tool": grant.tool, "version": grant.version, "node": grant.node,
        "path": grant.path, "caveats": caveats, "used": grant.used,
        "spent": amounts(grant.spent.named()),
        "purse": amounts(grant.purse.named()),
        "left": left.collect::<Map<_, _>>(),
        "revoked": grant.revoked, "holder": grant.holder, "lastUsedMs": grant.last_used_ms,
        "manifest": hex::encode(&grant.manifest), "approved": grant.standing,
    })
}

pub(crate) fn holding(held: &Holding) -> Json {
    json!({ "task": held.task.to_string(), "name": held.name, "grant": grant(&held.grant) })
}
