//! Facts: one arm for each kind.

mod call;
mod control;
mod direct;
mod person;
mod task;
mod wait;

pub use self::person::{read_on_unknown, wire_on_unknown};

use std::sync::Arc;

use remit_core::event::Level;
use remit_core::{CallNumber, Fact};
use remit_schema::event_capnp::{event, log_emitted};

use crate::wire::outcome::{read_failure, write_failure};
use crate::wire::value::{read_held, write_held};
use crate::wire::{Malformed, text};

/// Reads a fact.
pub(super) fn read(reader: event::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(match reader.which()? {
        event::TaskCreated(r) => Fact::TaskCreated(Box::new(task::read_created(r?)?)),
        event::AttemptStarted(r) => task::read_attempt_started(r?)?,
        event::AttemptEnded(r) => task::read_attempt_ended(r?)?,
        event::GrantAdded(r) => Fact::GrantAdded(Box::new(task::read_grant(r?)?)),
        event::GrantRepinned(r) => task::read_repinned(r?)?,
        event::GrantRevoked(r) => task::read_revoked(r?)?,
        event::GrantEnded(r) => task::read_ended(r?)?,
        event::CallRequested(r) => Fact::CallRequested(Arc::new(call::read_requested(r?)?)),
        event::CallCompleted(r) => call::read_completed(r?)?,
        event::CallDenied(r) => Fact::CallDenied(Box::new(call::read_denied(r?)?)),
        event::ResultOffloaded(r) => direct::read_kept(r?)?,
        event::Introduced(r) => direct::read_introduced(r?)?,
        event::NotIntroduced(r) => direct::read_not_introduced(r?)?,
        event::CallRecalled(r) => call::read_recalled(r?),
        event::CallUnknown(r) => call::read_unknown(r?)?,
        event::ApprovalRequested(r) => person::read_approval_requested(r?)?,
        event::ApprovalDecided(r) => person::read_approval_decided(r?)?,
        event::CapabilityRequested(r) => person::read_capability_requested(r?)?,
        event::CapabilityDecided(r) => person::read_capability_decided(r?)?,
        event::SettlementRequested(r) => person::read_settlement_requested(r?)?,
        event::SettlementDecided(r) => person::read_settlement_decided(r?)?,
        event::SettlementWithdrawn(r) => person::read_settlement_withdrawn(r?)?,
        event::LogEmitted(r) => read_log(r?)?,
        event::InputAccepted(r) => wait::read_input(r?)?,
        event::InputRequested(number) => Fact::InputRequested { operation: CallNumber(number) },
        event::InputDelivered(r) => wait::read_delivered(r?),
        event::SteersRequested(r) => wait::read_steers(r?),
        event::SteersDelivered(r) => wait::read_steers_delivered(r?)?,
        event::TimerSet(r) => wait::read_timer(r?),
        event::TimerFired(r) => Fact::TimerFired { operation: CallNumber(r?.get_operation()) },
        event::TaskCompleted(value) => Fact::TaskCompleted(read_held(value?)?),
        event::TaskFailed(failure) => Fact::TaskFailed(read_failure(failure?)?),
        event::TaskCancelled(reason) => Fact::TaskCancelled(text(reason)?),
        event::TaskPaused(r) => control::read_paused(r?)?,
        event::TaskResumed(who) => Fact::TaskResumed { who: text(who)? },
        event::CancelRequested(r) => control::read_cancel(r?)?,
        event::TaskForked(r) => control::read_forked(r?)?,
        event::TaskUpgraded(r) => control::read_upgraded(r?)?,
    })
}

/// Writes a fact.
pub(super) fn write(mut builder: event::Builder<'_>, fact: &Fact) {
    match fact {
        Fact::TaskCreated(created) => task::write_created(builder.init_task_created(), created),
        Fact::AttemptStarted { attempt, node } => {
            let mut b = builder.init_attempt_started();
            b.set_attempt(attempt.0);
            b.set_node(node);
        }
        Fact::AttemptEnded { attempt, reason, fruitless } => {
            let mut b = builder.init_attempt_ended();
            b.set_attempt(attempt.0);
            b.set_reason(reason);
            b.set_fruitless(*fruitless);
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
        | Fact::CallUnknown { .. } => call::write(builder, fact),
        Fact::ResultOffloaded(_) | Fact::Introduced(_) | Fact::NotIntroduced { .. } => {
            direct::write(builder, fact);
        }
        Fact::ApprovalRequested(_)
        | Fact::ApprovalDecided(_)
        | Fact::CapabilityRequested(_)
        | Fact::CapabilityDecided(_)
        | Fact::SettlementRequested(_)
        | Fact::SettlementDecided(_)
        | Fact::SettlementWithdrawn { .. } => person::write(builder, fact),
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
        | Fact::TimerFired { .. } => wait::write(builder, fact),
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
