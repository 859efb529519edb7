//! Text in the character set that a server says it is in.

use encoding_rs::Encoding;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use crate::kit::Text;

/// The character set that an answer declares; `None`: none, or one that is not known.
pub(super) fn declared(headers: &HeaderMap) -> Option<&'static Encoding> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let charset = value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    })?;
    Encoding::for_label(charset.trim().trim_matches(['"', '\'']).as_bytes())
}

/// The text; a byte-order mark wins over what was declared and is left out, and what is no character
/// becomes U+FFFD and is counted.
pub(super) fn read(declared: &'static Encoding, bytes: &[u8]) -> Text {
    let (text, _, odd) = declared.decode(bytes);
    let replaced = if odd { text.matches(char::REPLACEMENT_CHARACTER).count() } else { 0 };
    Text { text: text.into_owned(), replaced: replaced as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_in_the_set_that_it_declares() {
        for (value, bytes, text) in [
            ("text/html; charset=Shift_JIS", &b"\x93\xfa\x96{"[..], "日本"),
            ("text/plain;charset=\"iso-8859-1\"", b"caf\xe9", "café"),
            ("text/plain; format=flowed; Charset = utf-8", b"\xef\xbb\xbfa\xff", "a\u{fffd}"),
            ("application/json; charset=utf-16le", b"a\0b\0", "ab"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            let read = read(declared(&headers).unwrap(), bytes);
            assert_eq!(read.text, text, "{value}");
            assert_eq!(read.replaced, u64::from(text.contains('\u{fffd}')), "{value}");
        }
        for value in ["text/html", "text/html; charset=klingon", "text/html; charset"] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            assert_eq!(declared(&headers), None, "{value}");
        }
    }
}
