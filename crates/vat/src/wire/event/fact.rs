//! Facts: one arm for each.

mod call;
mod control;
mod person;
mod task;

pub use self::person::{read_on_unknown, wire_on_unknown};

use remit_core::event::Level;
use remit_core::{Attempt, CallNumber, Fact, GrantId, InputId};
use remit_schema::event_capnp::{event, input_accepted, log_emitted};

use crate::wire::outcome::{read_failure, read_held as read_outcome};
use crate::wire::outcome::{write_failure, write_held as write_outcome};
use crate::wire::value::{read_held, write_held};
use crate::wire::{Malformed, len, text};

/// Reads what happened.
pub(super) fn read(reader: event::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(match reader.which()? {
        event::TaskCreated(r) => Fact::TaskCreated(Box::new(task::read_created(r?)?)),
        event::AttemptStarted(r) => {
            let r = r?;
            Fact::AttemptStarted { attempt: Attempt(r.get_attempt()), node: text(r.get_node())? }
        }
        event::AttemptEnded(r) => {
            let r = r?;
            Fact::AttemptEnded { attempt: Attempt(r.get_attempt()), reason: text(r.get_reason())? }
        }
        event::GrantAdded(r) => Fact::GrantAdded(Box::new(task::read_grant(r?)?)),
        event::GrantRepinned(r) => task::read_repinned(r?)?,
        event::GrantRevoked(r) => task::read_revoked(r?)?,
        event::CallRequested(r) => Fact::CallRequested(Box::new(call::read_requested(r?)?)),
        event::GrantEnded(r) => {
            let r = r?;
            Fact::GrantEnded { grant: GrantId(r.get_grant()), reason: text(r.get_reason())? }
        }
        event::CallCompleted(r) => {
            let r = r?;
            let (call, outcome) = (CallNumber(r.get_call()), read_outcome(r.get_outcome()?)?);
            Fact::CallCompleted { call, outcome, cost: r.get_cost() }
        }
        event::CallDenied(r) => Fact::CallDenied(Box::new(call::read_denied(r?)?)),
        event::CallRecalled(r) => {
            let r = r?;
            Fact::CallRecalled { call: CallNumber(r.get_call()), from: CallNumber(r.get_from()) }
        }
        event::CallUnknown(r) => {
            let r = r?;
            Fact::CallUnknown { call: CallNumber(r.get_call()), reason: text(r.get_reason())? }
        }
        event::ApprovalRequested(r) => {
            Fact::ApprovalRequested(Box::new(person::read_approval_requested(r?)?))
        }
        event::ApprovalDecided(r) => {
            Fact::ApprovalDecided(Box::new(person::read_approval_decided(r?)?))
        }
        event::PowerRequested(r) => {
            Fact::PowerRequested(Box::new(person::read_power_requested(r?)?))
        }
        event::PowerDecided(r) => Fact::PowerDecided(Box::new(person::read_power_decided(r?)?)),
        event::SettlementRequested(r) => {
            Fact::SettlementRequested(Box::new(person::read_settlement_requested(r?)?))
        }
        event::SettlementDecided(r) => {
            Fact::SettlementDecided(Box::new(person::read_settlement_decided(r?)?))
        }
        event::LogEmitted(r) => read_log(r?)?,
        event::InputAccepted(r) => read_input(r?)?,
        event::InputRequested(operation) => {
            Fact::InputRequested { operation: CallNumber(operation) }
        }
        event::InputDelivered(r) => {
            let r = r?;
            let (operation, input) = (CallNumber(r.get_operation()), InputId(r.get_input()));
            Fact::InputDelivered { operation, input }
        }
        event::SteersRequested(r) => {
            let r = r?;
            Fact::SteersRequested { operation: CallNumber(r.get_operation()), wait: r.get_wait() }
        }
        event::SteersDelivered(r) => {
            let r = r?;
            let inputs = r.get_inputs()?.iter().map(InputId).collect();
            Fact::SteersDelivered { operation: CallNumber(r.get_operation()), inputs }
        }
        event::TimerSet(r) => {
            let r = r?;
            Fact::TimerSet { operation: CallNumber(r.get_operation()), due_ms: r.get_due_ms() }
        }
        event::TimerFired(r) => Fact::TimerFired { operation: CallNumber(r?.get_operation()) },
        event::TaskCompleted(value) => Fact::TaskCompleted(read_held(value?)?),
        event::TaskFailed(failure) => Fact::TaskFailed(read_failure(failure?)?),
        event::TaskCancelled(reason) => Fact::TaskCancelled(text(reason)?),
        event::TaskPaused(r) => {
            let r = r?;
            Fact::TaskPaused { reason: text(r.get_reason())?, who: text(r.get_who())? }
        }
        event::TaskResumed(who) => Fact::TaskResumed { who: text(who)? },
        event::CancelRequested(r) => control::read_cancel(r?)?,
        event::TaskForked(r) => control::read_forked(r?)?,
        event::TaskUpgraded(r) => control::read_upgraded(r?)?,
    })
}

/// Writes what happened.
pub(super) fn write(mut builder: event::Builder<'_>, fact: &Fact) {
    match fact {
        Fact::TaskCreated(created) => task::write_created(builder.init_task_created(), created),
        Fact::AttemptStarted { attempt, node } => {
            let mut b = builder.init_attempt_started();
            b.set_attempt(attempt.0);
            b.set_node(node);
        }
        Fact::AttemptEnded { attempt, reason } => {
            let mut b = builder.init_attempt_ended();
            b.set_attempt(attempt.0);
            b.set_reason(reason);
        }
        Fact::GrantAdded(grant) => task::write_grant(builder.init_grant_added(), grant),
        Fact::GrantRepinned { grant, manifest, accepted } => {
            task::write_repinned(builder.init_grant_repinned(), *grant, manifest, accepted);
        }
        Fact::GrantRevoked { grant, reason, by } => {
            let mut b = builder.init_grant_revoked();
            b.set_grant(grant.0);
            b.set_reason(reason);
            b.set_by(by);
        }
        Fact::GrantEnded { grant, reason } => {
            let mut b = builder.init_grant_ended();
            b.set_grant(grant.0);
            b.set_reason(reason);
        }
        Fact::CallRequested(_)
        | Fact::CallCompleted { .. }
        | Fact::CallDenied(_)
        | Fact::CallRecalled { .. }
        | Fact::CallUnknown { .. } => write_call(builder, fact),
        Fact::ApprovalRequested(_)
        | Fact::ApprovalDecided(_)
        | Fact::PowerRequested(_)
        | Fact::PowerDecided(_)
        | Fact::SettlementRequested(_)
        | Fact::SettlementDecided(_) => person::write(builder, fact),
        Fact::LogEmitted { line, level, text } => {
            let mut b = builder.init_log_emitted();
            b.set_line(*line);
            b.set_level(wire_level(*level));
            b.set_text(text);
        }
        Fact::InputAccepted { .. }
        | Fact::InputRequested { .. }
        | Fact::InputDelivered { .. }
        | Fact::SteersRequested { .. }
        | Fact::SteersDelivered { .. }
        | Fact::TimerSet { .. }
        | Fact::TimerFired { .. } => write_wait(builder, fact),
        Fact::TaskCompleted(value) => write_held(builder.init_task_completed(), value),
        Fact::TaskFailed(failure) => write_failure(builder.init_task_failed(), failure),
        Fact::TaskCancelled(reason) => builder.set_task_cancelled(reason),
        Fact::TaskPaused { .. }
        | Fact::TaskResumed { .. }
        | Fact::CancelRequested(_)
        | Fact::TaskForked(_)
        | Fact::TaskUpgraded(_) => control::write(builder, fact),
    }
}

fn write_call(builder: event::Builder<'_>, fact: &Fact) {
    match fact {
        Fact::CallRequested(request) => {
            call::write_requested(builder.init_call_requested(), request);
        }
        Fact::CallCompleted { call, outcome, cost } => {
            let mut b = builder.init_call_completed();
            b.set_call(call.0);
            b.set_cost(*cost);
            write_outcome(b.init_outcome(), outcome);
        }
        Fact::CallDenied(denied) => call::write_denied(builder.init_call_denied(), denied),
        Fact::CallRecalled { call, from } => {
            let mut b = builder.init_call_recalled();
            b.set_call(call.0);
            b.set_from(from.0);
        }
        Fact::CallUnknown { call, reason } => {
            let mut b = builder.init_call_unknown();
            b.set_call(call.0);
            b.set_reason(reason);
        }
        _ => {}
    }
}

fn write_wait(mut builder: event::Builder<'_>, fact: &Fact) {
    match fact {
        Fact::SteersRequested { operation, wait } => {
            let mut b = builder.init_steers_requested();
            b.set_operation(operation.0);
            b.set_wait(*wait);
        }
        Fact::SteersDelivered { operation, inputs } => {
            let mut b = builder.init_steers_delivered();
            b.set_operation(operation.0);
            let mut list = b.init_inputs(len(inputs.len()));
            for (at, input) in (0..).zip(inputs) {
                list.set(at, input.0);
            }
        }
        Fact::InputAccepted { input, value, sender, key, steer } => {
            let mut b = builder.init_input_accepted();
            b.set_steer(*steer);
            b.set_input(input.0);
            b.set_sender(sender);
            b.set_key(key);
            write_held(b.init_value(), value);
        }
        Fact::InputRequested { operation } => builder.set_input_requested(operation.0),
        Fact::InputDelivered { operation, input } => {
            let mut b = builder.init_input_delivered();
            b.set_operation(operation.0);
            b.set_input(input.0);
        }
        Fact::TimerSet { operation, due_ms } => {
            let mut b = builder.init_timer_set();
            b.set_operation(operation.0);
            b.set_due_ms(*due_ms);
        }
        Fact::TimerFired { operation } => {
            builder.init_timer_fired().set_operation(operation.0);
        }
        _ => {}
    }
}

fn read_log(r: log_emitted::Reader<'_>) -> Result<Fact, Malformed> {
    let level = match r.get_level()? {
        log_emitted::Level::Debug => Level::Debug,
        log_emitted::Level::Info => Level::Info,
        log_emitted::Level::Warn => Level::Warn,
        log_emitted::Level::Error => Level::Error,
    };
    Ok(Fact::LogEmitted { line: r.get_line(), level, text: text(r.get_text())? })
}

const fn wire_level(level: Level) -> log_emitted::Level {
    match level {
        Level::Debug => log_emitted::Level::Debug,
        Level::Info => log_emitted::Level::Info,
        Level::Warn => log_emitted::Level::Warn,
        Level::Error => log_emitted::Level::Error,
    }
}

fn read_input(r: input_accepted::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::InputAccepted {
        input: InputId(r.get_input()),
        value: read_held(r.get_value()?)?,
        sender: text(r.get_sender())?,
        key: text(r.get_key())?,
        steer: r.get_steer(),
    })
}
