//! How people steer a task: pause, cancel, fork, upgrade.

use remit_core::event::{CancelRequested, TaskForked, TaskUpgraded};
use remit_core::id::NotATaskId;
use remit_core::{CallNumber, EventNumber, Fact};
use remit_schema::event_capnp::{cancel_requested, event, task_forked, task_paused, task_upgraded};

use super::task::{read_source, write_source};
use crate::wire::outcome::{read_failure, write_failure};
use crate::wire::{Malformed, len, text};

pub(super) fn read_paused(r: task_paused::Reader<'_>) -> Result<Fact, Malformed> {
    let call = Some(CallNumber(r.get_call())).filter(|call| call.0 > 0);
    Ok(Fact::TaskPaused { reason: text(r.get_reason())?, who: text(r.get_who())?, call })
}

pub(super) fn read_cancel(r: cancel_requested::Reader<'_>) -> Result<Fact, Malformed> {
    let (why, who) = (read_failure(r.get_why()?)?, text(r.get_who())?);
    Ok(Fact::CancelRequested(Box::new(CancelRequested { why, who })))
}

pub(super) fn read_forked(r: task_forked::Reader<'_>) -> Result<Fact, Malformed> {
    let task = text(r.get_task())?.parse().map_err(|not: NotATaskId| Malformed(not.to_string()))?;
    Ok(Fact::TaskForked(Box::new(TaskForked {
        task,
        at: EventNumber(r.get_at()),
        who: text(r.get_who())?,
        dropped: r.get_dropped()?.iter().map(CallNumber).collect(),
    })))
}

pub(super) fn read_upgraded(r: task_upgraded::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::TaskUpgraded(Box::new(TaskUpgraded {
        source: read_source(r.get_source()?)?,
        entry: text(r.get_entry())?,
        who: text(r.get_who())?,
        at: EventNumber(r.get_at()),
        dropped: r.get_dropped()?.iter().map(CallNumber).collect(),
        lines: r.get_lines(),
    })))
}

pub(super) fn write(mut builder: event::Builder<'_>, fact: &Fact) {
    match fact {
        Fact::TaskPaused { reason, who, call } => {
            let mut b = builder.init_task_paused();
            b.set_reason(reason);
            b.set_who(who);
            b.set_call(call.unwrap_or_default().0);
        }
        Fact::TaskResumed { who } => builder.set_task_resumed(who),
        Fact::CancelRequested(cancel) => {
            let mut b = builder.init_cancel_requested();
            write_failure(b.reborrow().init_why(), &cancel.why);
            b.set_who(&cancel.who);
        }
        Fact::TaskForked(forked) => {
            let mut b = builder.init_task_forked();
            b.set_task(forked.task.to_string());
            b.set_at(forked.at.0);
            b.set_who(&forked.who);
            write_calls(b.init_dropped(len(forked.dropped.len())), &forked.dropped);
        }
        Fact::TaskUpgraded(upgraded) => {
            let mut b = builder.init_task_upgraded();
            write_source(&upgraded.source, |count| b.reborrow().init_source(count));
            b.set_entry(&upgraded.entry);
            b.set_who(&upgraded.who);
            b.set_at(upgraded.at.0);
            b.set_lines(upgraded.lines);
            write_calls(b.init_dropped(len(upgraded.dropped.len())), &upgraded.dropped);
        }
        _ => {}
    }
}

fn write_calls(mut list: capnp::primitive_list::Builder<'_, u64>, calls: &[CallNumber]) {
    for (at, call) in (0..).zip(calls) {
        list.set(at, call.0);
    }
}
