//! Reads tasks, grants, tools, nodes and health from the wire.

use remit_core::grant::RemainingBudget;
use remit_core::{CallNumber, EventNumber, GrantId, TaskId};
use remit_schema::mesh_capnp::{fork, grant_info, health, task_info, trial};
use remit_schema::node_capnp::{node_info, tool_info};
use remit_vat::wire::{self, Malformed};

use crate::info::{
    Difference, Forked, GrantInfo, Health, Holding, NodeInfo, TaskInfo, ToolInfo, Trial,
};

pub(crate) fn id(text: &str) -> Result<TaskId, Malformed> {
    text.parse().map_err(|error: remit_core::id::NotATaskId| Malformed(error.to_string()))
}

pub(crate) fn text(reader: capnp::Result<capnp::text::Reader<'_>>) -> Result<String, Malformed> {
    Ok(reader?.to_str()?.to_owned())
}

pub(crate) fn task(info: task_info::Reader<'_>) -> Result<TaskInfo, Malformed> {
    let parent = text(info.get_parent())?;
    Ok(TaskInfo {
        id: id(&text(info.get_id())?)?,
        name: text(info.get_name())?,
        status: text(info.get_status())?,
        created_ms: info.get_created_ms(),
        events: EventNumber(info.get_events()),
        attempt: info.get_attempt(),
        node: text(info.get_node())?,
        detail: text(info.get_detail())?,
        calls: info.get_calls(),
        parent: if parent.is_empty() { None } else { Some(id(&parent)?) },
        trigger: text(info.get_trigger())?,
    })
}

pub(crate) fn grant(info: grant_info::Reader<'_>) -> Result<GrantInfo, Malformed> {
    let parent = info.get_parent();
    let left = info.get_left()?.iter().map(|budget| Ok((budget.get_name()?, budget.get_amount())));
    let left = left.collect::<capnp::Result<Vec<_>>>()?;
    let left = left.iter().filter_map(|(name, amount)| Some((name.to_str().ok()?, *amount)));
    Ok(GrantInfo {
        grant: GrantId(info.get_grant()),
        parent: (parent != 0).then_some(GrantId(parent)),
        name: text(info.get_name())?,
        tool: text(info.get_tool())?,
        version: text(info.get_version())?,
        node: text(info.get_node())?,
        path: text(info.get_path())?,
        caveats: info
            .get_caveats()?
            .iter()
            .map(wire::event::read_caveat)
            .collect::<Result<_, _>>()?,
        used: info.get_used(),
        spent: wire::event::read_budgets(info.get_spent()?),
        purse: wire::event::read_budgets(info.get_purse()?),
        left: RemainingBudget::of_named(left),
        revoked: info.get_revoked(),
        holder: text(info.get_holder())?,
        last_used_ms: info.get_last_used_ms(),
        manifest: info.get_manifest()?.to_vec(),
        standing: info.get_standing()?.iter().map(text).collect::<Result<_, _>>()?,
    })
}

pub(crate) fn tool(info: tool_info::Reader<'_>) -> Result<ToolInfo, Malformed> {
    Ok(ToolInfo {
        manifest: wire::manifest::read(info.get_manifest()?)?,
        node: text(info.get_node())?,
        available: info.get_available(),
        accepted: if info.has_accepted() {
            Some(wire::manifest::read(info.get_accepted()?)?)
        } else {
            None
        },
    })
}

pub(crate) fn node(info: node_info::Reader<'_>) -> Result<NodeInfo, Malformed> {
    Ok(NodeInfo {
        identity: text(info.get_identity())?,
        role: text(info.get_role())?,
        version: text(info.get_version())?,
        state: text(info.get_state())?,
        labels: info.get_labels()?.iter().map(text).collect::<Result<_, _>>()?,
        load: info.get_load(),
        last_contact_ms: info.get_last_contact_ms(),
    })
}

pub(crate) fn health(info: health::Reader<'_>) -> Result<Health, Malformed> {
    Ok(Health {
        version: text(info.get_version())?,
        time_ms: info.get_time_ms(),
        journal: text(info.get_journal())?,
        flush_us: info.get_flush_us(),
        tasks: info.get_tasks(),
        certificate_ends_ms: info.get_certificate_ends_ms(),
        webhooks: text(info.get_webhooks())?,
        long_turns: info.get_long_turns(),
        longest_turn_us: info.get_longest_turn_us(),
        panics: info.get_panics(),
        cut_off: info.get_cut_off(),
        damage: wire::texts(info.get_damage()?)?,
    })
}

pub(crate) fn holding(
    r: remit_schema::mesh_capnp::holding::Reader<'_>,
) -> Result<Holding, Malformed> {
    let task = text(r.get_task())?;
    Ok(Holding {
        task: task.parse().map_err(|not: remit_core::id::NotATaskId| Malformed(not.to_string()))?,
        name: text(r.get_name())?,
        grant: grant(r.get_grant()?)?,
    })
}

pub(crate) fn fork(fork: fork::Reader<'_>) -> Result<Forked, Malformed> {
    Ok(Forked {
        id: id(&text(fork.get_id())?)?,
        at: EventNumber(fork.get_at()),
        dropped: fork.get_dropped()?.iter().map(CallNumber).collect(),
    })
}

pub(crate) fn trial(trial: trial::Reader<'_>) -> Result<Trial, Malformed> {
    let difference = match trial.which()? {
        trial::Same(()) => None,
        trial::Differs(differs) => Some(Difference {
            operation: CallNumber(differs.get_operation()),
            was: text(differs.get_was())?,
            is: text(differs.get_is())?,
        }),
    };
    Ok(Trial { repeated: trial.get_repeated(), difference, switched: trial.get_switched() })
}
