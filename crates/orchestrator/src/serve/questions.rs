//! Questions to people on the wire, and the answers that come back.

use remit_core::event::{Approval, ApprovalDecided, Remember, Settlement};
use remit_core::{CallNumber, Identity, Value};
use remit_schema::mesh_capnp::{approval_decision, inbox_item, settlement};
use remit_vat::wire::{self, Malformed};

use crate::tasks::inbox::{Asks, Item};

/// Writes a question.
pub(super) fn write(mut b: inbox_item::Builder<'_>, item: &Item) {
    b.set_task(item.task.to_string());
    b.set_name(&item.name);
    b.set_operation(item.operation.0);
    b.set_event(item.at.number.0);
    b.set_asked_ms(item.at.time_ms);
    b.set_until_ms(item.until_ms.unwrap_or_default());
    b.set_summary(&item.summary);
    match &item.asks {
        Asks::Approval { digest, args, caveat, destructive } => {
            let mut b = b.init_approval();
            b.set_digest(digest);
            b.set_caveat(caveat);
            b.set_destructive(*destructive);
            wire::value::write(b.init_args(), &wire::outcome::without_objects(args), &[]);
        }
        Asks::CapabilityRequest { tool, reason, offers } => {
            let mut b = b.init_capability_request();
            b.set_tool(tool);
            b.set_reason(reason);
            let mut list = b.init_offers(u32::try_from(offers.len()).unwrap_or(u32::MAX));
            for (at, offer) in (0..).zip(offers) {
                let mut b = list.reborrow().get(at);
                b.set_grant(&offer.grant);
                wire::write_texts(&offer.unbounded, |count| b.init_unbounded(count));
            }
        }
        Asks::Settlement { reason, ledger } => {
            let mut b = b.init_settlement();
            b.set_reason(reason);
            b.set_ledger(ledger.as_str());
        }
    }
}

/// Reads a decision on a held call.
pub(super) fn read_approval(
    r: approval_decision::Reader<'_>,
    who: &Identity,
) -> Result<ApprovalDecided, Malformed> {
    let digest = r.get_digest()?;
    let most = remit_core::limits::MAX_REASON_BYTES;
    Ok(ApprovalDecided {
        call: CallNumber(r.get_call()),
        digest: digest
            .try_into()
            .map_err(|_| Malformed(format!("a digest of {} bytes; it has 32", digest.len())))?,
        approval: match r.which()? {
            approval_decision::Approve(()) => Approval::Approve,
            approval_decision::Deny(()) => Approval::Deny,
            approval_decision::Change(args) => Approval::Change(plain(args?)?),
        },
        who: who.to_string(),
        reason: r.get_reason()?.to_str()?.chars().take(most).collect(),
        remember: match r.get_remember().which()? {
            approval_decision::remember::Nothing(()) => Remember::Nothing,
            approval_decision::remember::Arguments(until_ms) => Remember::Arguments(until_ms),
            approval_decision::remember::Method(until_ms) => Remember::Method(until_ms),
        },
    })
}

/// Reads a decision on a call of unknown outcome.
pub(super) fn read_settlement(r: settlement::Reader<'_>) -> Result<Settlement, Malformed> {
    Ok(match r.which()? {
        settlement::Retry(()) => Settlement::Retry,
        settlement::Abandon(()) => Settlement::Abandon,
        settlement::Outcome(value) => Settlement::Outcome(plain(value?)?),
    })
}

/// A value without objects: a person writes data.
fn plain(reader: remit_schema::object_capnp::value::Reader<'_>) -> Result<Value, Malformed> {
    let (value, table) = wire::value::read(reader)?;
    value.try_map(&mut |_| {
        Err(Malformed(format!("{} objects in a decision: it holds plain data", table.len())))
    })
}
