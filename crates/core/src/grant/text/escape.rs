//! Percent-escapes, as in a URL.

use std::fmt::Write as _;

use super::NotAGrant;

/// A text that stands before the `?`.
pub(super) fn escape_root(text: &str) -> String {
    escape(text, "%?&,=:@ ")
}

/// One item of a caveat's value.
pub(super) fn escape_item(text: &str) -> String {
    escape(text, "%&, ")
}

/// One step of a guard's path.
pub(super) fn escape_step(text: &str) -> String {
    match text {
        // Unescaped it stands for every element.
        "*" => "%2A".into(),
        text => escape(text, "%?&,=. "),
    }
}

fn escape(text: &str, special: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || special.contains(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Undoes every escape.
pub(super) fn unescape(text: &str) -> Result<String, NotAGrant> {
    let wrong = || NotAGrant(format!("`{text}`: after % two hexadecimal digits are needed"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok()).ok_or_else(wrong)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}
