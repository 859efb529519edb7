//! Audit records, as they travel and as they are stored.

use remit_core::audit::{Decision, Record};
use remit_core::id::NotATaskId;
use remit_core::{CallNumber, GrantId};
use remit_schema::audit_capnp::audit_record;

use super::{Malformed, len, text};

/// Words that reading one stored record may touch: a record holds names and reasons, none of them
/// large.
const MAX_STORED_WORDS: usize = (4 << 20) / 8;

/// Reads a record.
pub fn read(r: audit_record::Reader<'_>) -> Result<Record, Malformed> {
    let task = text(r.get_task())?;
    let decision = text(r.get_decision())?;
    let digest = r.get_digest()?;
    let hash = r.get_hash()?;
    let operation = r.get_operation();
    Ok(Record {
        number: r.get_number(),
        time_ms: r.get_time_ms(),
        task: match task.as_str() {
            "" => None,
            id => Some(id.parse().map_err(|not: NotATaskId| Malformed(not.to_string()))?),
        },
        who: text(r.get_who())?,
        decision: Decision::parse(&decision)
            .ok_or_else(|| Malformed(format!("the decision `{decision}` is not known here")))?,
        chain: r.get_chain()?.iter().map(GrantId).collect(),
        name: text(r.get_name())?,
        tool: text(r.get_tool())?,
        node: text(r.get_node())?,
        object: text(r.get_object())?,
        method: text(r.get_method())?,
        operation: (operation != 0).then_some(CallNumber(operation)),
        digest: if digest.is_empty() { None } else { Some(bytes_32(digest)?) },
        caveat: text(r.get_caveat())?,
        reason: text(r.get_reason())?,
        subject: text(r.get_subject())?,
        hash: if hash.is_empty() { [0; 32] } else { bytes_32(hash)? },
    })
}

/// Writes a record.
pub fn write(mut b: audit_record::Builder<'_>, record: &Record) {
    b.set_number(record.number);
    b.set_time_ms(record.time_ms);
    if let Some(task) = record.task {
        b.set_task(task.to_string());
    }
    b.set_who(&record.who);
    b.set_decision(record.decision.as_str());
    let mut chain = b.reborrow().init_chain(len(record.chain.len()));
    for (at, grant) in (0..).zip(&record.chain) {
        chain.set(at, grant.0);
    }
    b.set_name(&record.name);
    b.set_tool(&record.tool);
    b.set_node(&record.node);
    b.set_object(&record.object);
    b.set_method(&record.method);
    b.set_operation(record.operation.unwrap_or_default().0);
    if let Some(digest) = &record.digest {
        b.set_digest(digest);
    }
    b.set_caveat(&record.caveat);
    b.set_reason(&record.reason);
    b.set_subject(&record.subject);
    // A record that is not stored yet has no hash.
    if record.hash != [0; 32] {
        b.set_hash(&record.hash);
    }
}

/// Encodes a record for the store. The hash is not part of that form.
pub fn encode(record: &Record) -> Vec<u8> {
    let mut message = capnp::message::Builder::new_default();
    write(message.init_root(), &Record { hash: [0; 32], ..record.clone() });
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let written = capnp::serialize_packed::write_message(&mut bytes, &message);
    debug_assert!(written.is_ok());
    bytes
}

/// Decodes a record of [`encode`], and gives it this hash.
pub fn decode(bytes: &[u8], hash: [u8; 32]) -> Result<Record, Malformed> {
    let mut options = capnp::message::ReaderOptions::new();
    options.traversal_limit_in_words(Some(MAX_STORED_WORDS));
    let message = capnp::serialize_packed::read_message(bytes, options)?;
    Ok(Record { hash, ..read(message.get_root()?)? })
}

fn bytes_32(bytes: &[u8]) -> Result<[u8; 32], Malformed> {
    bytes.try_into().map_err(|_| Malformed(format!("a hash of {} bytes; it has 32", bytes.len())))
}

#[cfg(test)]
mod tests {
    use remit_core::TaskId;

    use super::*;

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        for decision in Decision::ALL {
            let record = Record {
                number: 7,
                time_ms: 9,
                task: Some(TaskId::from_bytes([3; 16])),
                chain: vec![GrantId(3), GrantId(1)],
                operation: Some(CallNumber(4)),
                digest: Some([5; 32]),
                caveat: "calls=3".into(),
                hash: [6; 32],
                ..Record::new("me", decision).because("why").about("what")
            };
            assert_eq!(decode(&encode(&record), [6; 32]).unwrap(), record);
            let bare = Record::new("", decision);
            assert_eq!(decode(&encode(&bare), [0; 32]).unwrap(), bare);
        }
    }
}
