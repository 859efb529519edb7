//! Small records as they are stored: a format byte, MessagePack, CRC-32.

use remit_store::DiskError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The stored form of a record.
pub(super) fn pack(format: u8, record: &impl Serialize) -> Result<Vec<u8>, DiskError> {
    let mut bytes = vec![format];
    rmp_serde::encode::write(&mut bytes, record)
        .map_err(|error| DiskError(format!("a record cannot be written: {error}")))?;
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    Ok(bytes)
}

/// Reads the stored form of a task's record, which an error calls by `name`.
pub(super) fn unpack<T: DeserializeOwned>(
    format: u8,
    bytes: &[u8],
    name: &str,
) -> Result<T, String> {
    let cut_short = || format!("its {name} is cut short");
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(cut_short)?;
    if crc32fast::hash(body) != u32::from_be_bytes(*sum) {
        return Err(format!("the checksum of its {name} is wrong"));
    }
    let (stored, body) = body.split_first().ok_or_else(cut_short)?;
    if *stored != format {
        return Err(format!("its {name} has the form of another version"));
    }
    rmp_serde::from_slice(body).map_err(|error| format!("its {name} makes no sense: {error}"))
}
