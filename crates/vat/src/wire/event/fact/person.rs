//! Questions to people, and their answers.

use remit_core::event::{
    Approval, ApprovalDecided, ApprovalRequested, CapabilityDecided, CapabilityRequested, Fact,
    Ledger, OnUnknown, Remember, Settlement, SettlementDecided, SettlementRequested,
};
use remit_core::{CallNumber, GrantId};
use remit_schema::event_capnp::{
    self, approval_decided, approval_requested, capability_decided, capability_requested, event,
};
use remit_schema::event_settle_capnp::{
    settlement_decided, settlement_requested, settlement_withdrawn,
};

use super::call::{digest, read_requested, write_requested};
use crate::wire::value::{read_held, write_held};
use crate::wire::{Malformed, text};

pub(super) fn read_approval_requested(
    r: approval_requested::Reader<'_>,
) -> Result<Fact, Malformed> {
    Ok(Fact::ApprovalRequested(Box::new(ApprovalRequested {
        request: read_requested(r.get_request()?)?,
        caveat: text(r.get_caveat())?,
        summary: text(r.get_summary())?,
        destructive: r.get_destructive(),
        user: text(r.get_user())?,
        until_ms: r.get_until_ms(),
    })))
}

pub(super) fn read_approval_decided(r: approval_decided::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::ApprovalDecided(Box::new(ApprovalDecided {
        call: CallNumber(r.get_call()),
        digest: digest(r.get_digest()?)?,
        approval: match r.which()? {
            approval_decided::Approve(()) => Approval::Approve,
            approval_decided::Deny(()) => Approval::Deny,
            approval_decided::Change(args) => Approval::Change(read_held(args?)?),
        },
        who: text(r.get_who())?,
        reason: text(r.get_reason())?,
        remember: match r.get_remember().which()? {
            approval_decided::remember::Nothing(()) => Remember::Nothing,
            approval_decided::remember::Arguments(until_ms) => Remember::Arguments(until_ms),
            approval_decided::remember::Method(until_ms) => Remember::Method(until_ms),
        },
    })))
}

pub(super) fn read_capability_requested(
    r: capability_requested::Reader<'_>,
) -> Result<Fact, Malformed> {
    Ok(Fact::CapabilityRequested(Box::new(CapabilityRequested {
        operation: CallNumber(r.get_operation()),
        tool: text(r.get_tool())?,
        reason: text(r.get_reason())?,
        until_ms: r.get_until_ms(),
    })))
}

pub(super) fn read_capability_decided(
    r: capability_decided::Reader<'_>,
) -> Result<Fact, Malformed> {
    let grant = r.get_grant();
    Ok(Fact::CapabilityDecided(Box::new(CapabilityDecided {
        operation: CallNumber(r.get_operation()),
        grant: (grant != 0).then_some(GrantId(grant)),
        reason: text(r.get_reason())?,
        who: text(r.get_who())?,
    })))
}

pub(super) fn read_settlement_requested(
    r: settlement_requested::Reader<'_>,
) -> Result<Fact, Malformed> {
    use settlement_requested::Ledger as Wire;
    Ok(Fact::SettlementRequested(Box::new(SettlementRequested {
        call: CallNumber(r.get_call()),
        reason: text(r.get_reason())?,
        ledger: match r.get_ledger()? {
            Wire::Started => Ledger::Started,
            Wire::Forgotten => Ledger::Forgotten,
            Wire::Away => Ledger::Away,
            Wire::None => Ledger::None,
        },
    })))
}

pub(super) fn read_settlement_withdrawn(
    r: settlement_withdrawn::Reader<'_>,
) -> Result<Fact, Malformed> {
    Ok(Fact::SettlementWithdrawn { call: CallNumber(r.get_call()), reason: text(r.get_reason())? })
}

pub(super) fn read_settlement_decided(
    r: settlement_decided::Reader<'_>,
) -> Result<Fact, Malformed> {
    Ok(Fact::SettlementDecided(Box::new(SettlementDecided {
        call: CallNumber(r.get_call()),
        settlement: match r.which()? {
            settlement_decided::Retry(()) => Settlement::Retry,
            settlement_decided::Abandon(()) => Settlement::Abandon,
            settlement_decided::Outcome(value) => Settlement::Outcome(read_held(value?)?),
        },
        who: text(r.get_who())?,
    })))
}

/// Writes a fact about a question to a person.
pub(super) fn write(builder: event::Builder<'_>, fact: &Fact) {
    match fact {
        Fact::ApprovalRequested(asked) => {
            let mut b = builder.init_approval_requested();
            write_requested(b.reborrow().init_request(), &asked.request);
            b.set_caveat(&asked.caveat);
            b.set_summary(&asked.summary);
            b.set_destructive(asked.destructive);
            b.set_user(&asked.user);
            b.set_until_ms(asked.until_ms);
        }
        Fact::ApprovalDecided(decided) => {
            write_approval_decided(builder.init_approval_decided(), decided);
        }
        Fact::CapabilityRequested(asked) => {
            let mut b = builder.init_capability_requested();
            b.set_operation(asked.operation.0);
            b.set_tool(&asked.tool);
            b.set_reason(&asked.reason);
            b.set_until_ms(asked.until_ms);
        }
        Fact::CapabilityDecided(decided) => {
            let mut b = builder.init_capability_decided();
            b.set_operation(decided.operation.0);
            b.set_grant(decided.grant.unwrap_or_default().0);
            b.set_reason(&decided.reason);
            b.set_who(&decided.who);
        }
        Fact::SettlementRequested(asked) => {
            use settlement_requested::Ledger as Wire;
            let mut b = builder.init_settlement_requested();
            b.set_call(asked.call.0);
            b.set_reason(&asked.reason);
            b.set_ledger(match asked.ledger {
                Ledger::Started => Wire::Started,
                Ledger::Forgotten => Wire::Forgotten,
                Ledger::Away => Wire::Away,
                Ledger::None => Wire::None,
            });
        }
        Fact::SettlementWithdrawn { call, reason } => {
            let mut b = builder.init_settlement_withdrawn();
            b.set_call(call.0);
            b.set_reason(reason);
        }
        Fact::SettlementDecided(decided) => {
            let mut b = builder.init_settlement_decided();
            b.set_call(decided.call.0);
            b.set_who(&decided.who);
            match &decided.settlement {
                Settlement::Retry => b.set_retry(()),
                Settlement::Abandon => b.set_abandon(()),
                Settlement::Outcome(value) => write_held(b.init_outcome(), value),
            }
        }
        _ => {}
    }
}

fn write_approval_decided(mut b: approval_decided::Builder<'_>, decided: &ApprovalDecided) {
    b.set_call(decided.call.0);
    b.set_digest(&decided.digest);
    b.set_who(&decided.who);
    b.set_reason(&decided.reason);
    let mut remember = b.reborrow().init_remember();
    match decided.remember {
        Remember::Nothing => remember.set_nothing(()),
        Remember::Arguments(until_ms) => remember.set_arguments(until_ms),
        Remember::Method(until_ms) => remember.set_method(until_ms),
    }
    match &decided.approval {
        Approval::Approve => b.set_approve(()),
        Approval::Deny => b.set_deny(()),
        Approval::Change(args) => write_held(b.init_change(), args),
    }
}

/// Reads the policy for calls of unknown outcome.
pub const fn read_on_unknown(wire: event_capnp::OnUnknown) -> OnUnknown {
    match wire {
        event_capnp::OnUnknown::Inherit => OnUnknown::Inherit,
        event_capnp::OnUnknown::Retry => OnUnknown::Retry,
        event_capnp::OnUnknown::Fail => OnUnknown::Fail,
        event_capnp::OnUnknown::Ask => OnUnknown::Ask,
    }
}

/// Converts the policy for calls of unknown outcome to its form on the wire.
pub const fn wire_on_unknown(policy: OnUnknown) -> event_capnp::OnUnknown {
    match policy {
        OnUnknown::Inherit => event_capnp::OnUnknown::Inherit,
        OnUnknown::Retry => event_capnp::OnUnknown::Retry,
        OnUnknown::Fail => event_capnp::OnUnknown::Fail,
        OnUnknown::Ask => event_capnp::OnUnknown::Ask,
    }
}
