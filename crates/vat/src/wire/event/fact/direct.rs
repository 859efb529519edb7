//! Introductions, and results that a tool node keeps.

use remit_core::event::{Introduced, OffloadedResult};
use remit_core::{Attempt, CallNumber, Fact, GrantId};
use remit_schema::event_capnp::event;
use remit_schema::event_direct_capnp::{introduced, not_introduced, result_offloaded};

use super::call::digest;
use crate::wire::{Malformed, text};

pub(super) fn read_kept(r: result_offloaded::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::ResultOffloaded(Box::new(OffloadedResult {
        call: CallNumber(r.get_call()),
        key: r.get_key()?.to_vec(),
        digest: digest(r.get_digest()?)?,
        bytes: r.get_bytes(),
    })))
}

pub(super) fn read_introduced(r: introduced::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::Introduced(Box::new(Introduced {
        grant: GrantId(r.get_grant()),
        attempt: Attempt(r.get_attempt()),
        agent: text(r.get_agent())?,
        node: text(r.get_node())?,
    })))
}

pub(super) fn read_not_introduced(r: not_introduced::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::NotIntroduced {
        grant: GrantId(r.get_grant()),
        attempt: Attempt(r.get_attempt()),
        reason: text(r.get_reason())?,
    })
}

/// Writes a fact about a direct path.
pub(super) fn write(builder: event::Builder<'_>, fact: &Fact) {
    match fact {
        Fact::ResultOffloaded(kept) => {
            let mut b = builder.init_result_offloaded();
            b.set_call(kept.call.0);
            b.set_key(&kept.key);
            b.set_digest(&kept.digest);
            b.set_bytes(kept.bytes);
        }
        Fact::Introduced(introduced) => {
            let mut b = builder.init_introduced();
            b.set_grant(introduced.grant.0);
            b.set_attempt(introduced.attempt.0);
            b.set_agent(&introduced.agent);
            b.set_node(&introduced.node);
        }
        Fact::NotIntroduced { grant, attempt, reason } => {
            let mut b = builder.init_not_introduced();
            b.set_grant(grant.0);
            b.set_attempt(attempt.0);
            b.set_reason(reason);
        }
        _ => {}
    }
}
