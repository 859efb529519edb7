//! The text of scripts, in which U+FFFD replaces each half of a surrogate pair.

use rquickjs::{Atom, Ctx, Error, FromAtom, FromJs, Value};

/// Text that came out of a script. U+FFFD stands for each half of a surrogate pair, as
/// `toWellFormed` does it.
pub(super) struct Text(pub(super) String);

impl Text {
    pub(super) fn of(text: &rquickjs::String<'_>) -> rquickjs::Result<String> {
        match text.to_string() {
            Err(Error::Utf8(_)) => {
                let held = text.clone().to_cstring()?;
                // SAFETY: the engine keeps the bytes until `held` is dropped, below.
                let bytes = unsafe { std::slice::from_raw_parts(held.as_ptr().cast(), held.len()) };
                Ok(well_formed(bytes))
            }
            read => read,
        }
    }
}

impl<'js> FromJs<'js> for Text {
    fn from_js(_: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<Self> {
        match value.as_string() {
            Some(text) => Self::of(text).map(Self),
            None => Err(Error::new_from_js(value.type_name(), "text")),
        }
    }
}

impl<'js> FromAtom<'js> for Text {
    fn from_atom(atom: Atom<'js>) -> rquickjs::Result<Self> {
        Self::of(&atom.to_js_string()?).map(Self)
    }
}

/// Cuts `text` to at most `most` bytes. A cut text says how long it was.
pub(super) fn shortened(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let rest = format!("… ({} bytes in all)", text.len());
    let kept = text.floor_char_boundary(most.saturating_sub(rest.len()));
    format!("{}{rest}", &text[..kept])
}

/// The engine writes half of a surrogate pair as three bytes, which are not UTF-8.
fn well_formed(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    loop {
        match std::str::from_utf8(bytes) {
            Ok(rest) => {
                text.push_str(rest);
                return text;
            }
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                text.push(char::REPLACEMENT_CHARACTER);
                bytes = rest.get(3..).unwrap_or_default();
            }
        }
    }
}
