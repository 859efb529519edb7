//! Bytes as text: one rule for every method that gives text.

/// Text that was made of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// The text. A U+FFFD stands for each sequence of bytes that is no UTF-8.
    pub text: String,
    /// How many U+FFFD stand for such bytes.
    pub replaced: u64,
}

impl Text {
    /// The text that `bytes` are. Bytes that are no UTF-8 become U+FFFD, as in a `TextDecoder`, and
    /// are counted.
    ///
    /// ```
    /// use remit_tool_node::kit::Text;
    ///
    /// let text = Text::of(b"caf\xe9 \xf0\x9f\x98");
    /// assert_eq!((text.text.as_str(), text.replaced), ("caf\u{fffd} \u{fffd}", 2));
    /// ```
    pub fn of(bytes: &[u8]) -> Self {
        Self::within(bytes, 0, bytes.len())
    }

    /// The text of bytes that were cut off at their end: a character of which only the beginning is
    /// left is left out.
    pub fn of_cut(bytes: &[u8]) -> Self {
        Self::of(&bytes[..bytes.len() - Self::cut_character(bytes)])
    }

    /// How many bytes at the end of `bytes` are the beginning of a character whose rest is not there.
    pub fn cut_character(bytes: &[u8]) -> usize {
        let last = &bytes[bytes.len().saturating_sub(3)..];
        let first = last.iter().rposition(|byte| *byte >= 0b1100_0000);
        let begun = first.map_or(&[][..], |at| &last[at..]);
        match std::str::from_utf8(begun) {
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => begun.len(),
            _ => 0,
        }
    }

    /// The last characters of `bytes`, in `length` bytes at most.
    pub fn last(bytes: &[u8], length: usize) -> Self {
        let skip = bytes.len().saturating_sub(length);
        Self::within(bytes, skip, length)
    }

    /// The characters that begin in `length` bytes after the first `skip` of `bytes`: one that is
    /// cut at the end is given whole, and one that began earlier is left out. So the texts of parts
    /// that follow each other are together the text of the whole.
    ///
    /// `bytes` holds three bytes more than the part on each side, as far as there are any.
    pub fn within(bytes: &[u8], skip: usize, length: usize) -> Self {
        let (skip, end) = (skip.min(bytes.len()), skip.saturating_add(length).min(bytes.len()));
        let begins = |byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
        // No character has more than three bytes after its first.
        let mut at = bytes[..skip].iter().rposition(begins).unwrap_or(skip);
        let mut given = Self::default();
        for chunk in bytes[at..].utf8_chunks() {
            let valid = chunk.valid();
            let from = valid.ceil_char_boundary(skip.saturating_sub(at));
            let to = valid.ceil_char_boundary(end.saturating_sub(at));
            given.text.push_str(&valid[from..to.max(from)]);
            at += valid.len();
            if at >= end {
                break;
            }
            if at >= skip && !chunk.invalid().is_empty() {
                given.text.push(char::REPLACEMENT_CHARACTER);
                given.replaced += 1;
            }
            at += chunk.invalid().len();
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes with characters of every length, cut ones, and bytes that no character has.
    fn odd_bytes() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop_oneof![
            Just(&b"a"[..]),
            Just("ä".as_bytes()),
            Just("€".as_bytes()),
            Just("🚀".as_bytes()),
            Just(&b"\xff"[..]),
            Just(&b"\x80"[..]),
            Just(&b"\xe2\x82"[..]),
            Just(&b"\xf0\x9f\x98"[..]),
            Just(&b"\xed\xa0\xbd"[..]),
        ];
        proptest::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn a_cut_character_is_left_out_and_not_replaced() {
        for (bytes, text, replaced) in [
            (&"aä🚀".as_bytes()[..5], "aä", 0),
            (b"\xff\xe2\x82", "\u{fffd}", 1),
            (b"a\xe9b", "a\u{fffd}b", 1),
            (b"a\x80", "a\u{fffd}", 1),
            (b"\xe2\x82\xac", "€", 0),
            (b"", "", 0),
        ] {
            let cut = Text::of_cut(bytes);
            assert_eq!((cut.text.as_str(), cut.replaced), (text, replaced), "{bytes:?}");
        }
        assert_eq!(Text::last("a🚀b".as_bytes(), 3).text, "b");
        assert_eq!(Text::last("a🚀b".as_bytes(), 50).text, "a🚀b");
    }

    proptest! {
        #[test]
        fn parts_of_any_size_add_up_to_the_whole(bytes in odd_bytes(), size in 1_usize..9) {
            let whole = Text::of(&bytes);
            prop_assert_eq!(&whole.text, &*String::from_utf8_lossy(&bytes));
            let mut sum = Text::default();
            for offset in (0..bytes.len()).step_by(size) {
                let from = offset.saturating_sub(3);
                let to = (offset + size + 3).min(bytes.len());
                let part = Text::within(&bytes[from..to], offset - from, size);
                sum.text.push_str(&part.text);
                sum.replaced += part.replaced;
            }
            prop_assert_eq!(sum, whole);
        }
    }
}
