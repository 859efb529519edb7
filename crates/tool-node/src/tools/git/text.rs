//! Names and messages of a repository: bytes, which are UTF-8 most of the time.

use crate::kit::Content;

/// The text of `bytes`, with U+FFFD for bytes that are no UTF-8.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The bytes themselves, if they are not UTF-8.
pub(super) fn raw(bytes: &[u8]) -> Option<Content> {
    std::str::from_utf8(bytes).is_err().then(|| Content::Data(bytes.to_vec()))
}
