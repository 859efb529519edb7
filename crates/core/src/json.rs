//! JSON: text to values and back, with every number exact or refused.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value as Json};

use crate::value::Value;

/// The field that marks bytes, which JSON cannot spell: `{"$data": "aGVsbG8="}`.
const DATA: &str = "$data";

/// The field that marks numbers that JSON cannot spell: `{"$float": "NaN"}`.
const FLOAT: &str = "$float";

/// The field that marks an object. There is no way back.
const OBJECT: &str = "$object";

/// A text that is no JSON, or has a number in it that would not stay what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line} column {column}")]
pub struct BadJson {
    /// What is wrong.
    pub message: String,
    /// The line of it, from 1.
    pub line: usize,
    /// The column of it, in bytes, from 1.
    pub column: usize,
}

/// Reads a JSON text. A byte-order mark before it is passed over. A `\u` escape of half a
/// surrogate pair reads as U+FFFD, for there is no text that holds one.
///
/// A number with a fraction or an exponent is a floating-point number, the nearest one there is. One
/// without is a whole number, and exact.
///
/// ```
/// use remit_core::json;
///
/// assert_eq!(json::parse("18446744073709551615").unwrap().as_u64(), Some(u64::MAX));
/// assert_eq!(json::parse(r#""\ud83d!""#).unwrap(), "\u{fffd}!");
/// assert_eq!(json::parse("[1,\n 18446744073709551616]").unwrap_err().line, 2);
/// ```
///
/// # Errors
/// The text is no JSON, or has a whole number in it that needs more than 64 bits.
pub fn parse(text: &str) -> Result<Json, BadJson> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = Scanner { text, at: 0, copied: 0, mended: String::new() }.run()?;
    serde_json::from_str(&text).map_err(|error| {
        let whole = error.to_string();
        let message = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(what, _)| what);
        BadJson { message: message.into(), line: error.line(), column: error.column().max(1) }
    })
}

/// A value from JSON. Whole numbers are exact; `{"$data": base64}` becomes bytes, and
/// `{"$float": "NaN"}`, `"Infinity"` or `"-Infinity"` that number. An object with one such field
/// that means itself is written with one more `$`: `{"$$data": "x"}`.
///
/// ```
/// use remit_core::{Value, json};
///
/// let value: Value = json::to_value(json::parse(r#"{ "raw": { "$data": "aGk=" } }"#).unwrap());
/// assert_eq!(value.field("raw"), Some(&Value::Data(b"hi".to_vec())));
/// ```
pub fn to_value<O>(json: Json) -> Value<O> {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(b),
        Json::Number(n) => number(&n),
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().map(to_value).collect()),
        Json::Object(fields) => match marked(&fields) {
            Some(value) => value,
            None => Value::Fields(
                fields.into_iter().map(|(name, json)| (plain_name(name), to_value(json))).collect(),
            ),
        },
    }
}

/// The value that a number of JSON is.
pub fn number<O>(number: &Number) -> Value<O> {
    match (number.as_i64(), number.as_u64()) {
        (Some(whole), _) => Value::Integer(whole),
        (None, Some(whole)) => Value::Unsigned(whole),
        (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}

/// JSON from a value, from which [`to_value`] makes the same value. Objects, from which it does not,
/// become `{"$object": "grant 1"}`.
///
/// ```
/// use remit_core::{Value, json};
///
/// let value: Value = Value::List(vec![Value::Unsigned(u64::MAX), Value::Data(vec![0, 255])]);
/// let text = r#"[18446744073709551615,{"$data":"AP8="}]"#;
/// assert_eq!(json::from_value(&value).to_string(), text);
/// ```
pub fn from_value<O: std::fmt::Display>(value: &Value<O>) -> Json {
    let mark = |mark: &str, text: String| {
        Json::Object(Map::from_iter([(mark.to_owned(), Json::String(text))]))
    };
    match value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Integer(i) => Json::Number((*i).into()),
        Value::Unsigned(n) => Json::Number((*n).into()),
        Value::Float(x) => match Number::from_f64(*x) {
            Some(number) => Json::Number(number),
            None if x.is_nan() => mark(FLOAT, "NaN".into()),
            None if *x > 0.0 => mark(FLOAT, "Infinity".into()),
            None => mark(FLOAT, "-Infinity".into()),
        },
        Value::Text(text) => Json::String(text.clone()),
        Value::Data(bytes) => mark(DATA, STANDARD.encode(bytes)),
        Value::List(items) => Json::Array(items.iter().map(from_value).collect()),
        Value::Fields(fields) => Json::Object(match &fields[..] {
            [(name, value)] if is_mark(name) && is_misread(name, value) => {
                Map::from_iter([(format!("${name}"), from_value(value))])
            }
            fields => fields.iter().map(|(n, v)| (n.clone(), from_value(v))).collect(),
        }),
        Value::Object(object) => mark(OBJECT, object.to_string()),
    }
}

/// What an object of JSON stands for that has one field, a mark.
fn marked<O>(fields: &Map<String, Json>) -> Option<Value<O>> {
    let (name, Json::String(text)) = fields.iter().next()? else { return None };
    match (fields.len(), name.as_str(), text.as_str()) {
        (1, DATA, text) => STANDARD.decode(text).ok().map(Value::Data),
        (1, FLOAT, "NaN") => Some(Value::Float(f64::NAN)),
        (1, FLOAT, "Infinity") => Some(Value::Float(f64::INFINITY)),
        (1, FLOAT, "-Infinity") => Some(Value::Float(f64::NEG_INFINITY)),
        _ => None,
    }
}

/// Whether a name is a mark, or one that means itself.
fn is_mark(name: &str) -> bool {
    let unmarked = name.trim_start_matches('$');
    name.starts_with('$') && [DATA, FLOAT, OBJECT].iter().any(|mark| mark[1..] == *unmarked)
}

/// Whether a field of this name alone would be read as something else.
fn is_misread<O>(name: &str, value: &Value<O>) -> bool {
    name.starts_with("$$") || matches!(value, Value::Text(_))
}

/// The name that is meant by a mark that means itself.
fn plain_name(name: String) -> String {
    if name.starts_with("$$") && is_mark(&name) { name[1..].to_owned() } else { name }
}

/// Looks through a JSON text for what `serde_json` reads otherwise than is wanted.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Up to where `mended` holds the text.
    copied: usize,
    mended: String,
}

impl<'a> Scanner<'a> {
    fn run(mut self) -> Result<Cow<'a, str>, BadJson> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => self.string(),
                b'-' | b'0'..=b'9' => self.number()?,
                _ => self.at += 1,
            }
        }
        if self.copied == 0 {
            return Ok(Cow::Borrowed(self.text));
        }
        self.mended.push_str(&self.text[self.copied..]);
        Ok(Cow::Owned(self.mended))
    }

    fn string(&mut self) {
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => match (self.unit(self.at), self.unit(self.at + 6)) {
                    (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => self.at += 12,
                    (Some(0xd800..=0xdfff), _) => {
                        self.mended.push_str(&self.text[self.copied..self.at]);
                        self.mended.push_str("\\ufffd");
                        self.at += 6;
                        self.copied = self.at;
                    }
                    _ => self.at += 2,
                },
                _ => self.at += 1,
            }
        }
    }

    /// The code unit of the `\u` escape at this place, if there is one.
    fn unit(&self, at: usize) -> Option<u16> {
        let escape = self.text.as_bytes().get(at..at + 6)?;
        let digits = escape.strip_prefix(b"\\u")?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    fn number(&mut self) -> Result<(), BadJson> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let token = &rest[..end.unwrap_or(rest.len())];
        let digits = token.strip_prefix('-').unwrap_or(token);
        let fits = || token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok();
        if digits.len() > 18 && digits.bytes().all(|b| b.is_ascii_digit()) && !fits() {
            let before = &self.text[..self.at];
            let shown: String = token.chars().take(40).collect();
            return Err(BadJson {
                message: format!(
                    "the whole number {shown} needs more than 64 bits, and would be rounded: write \
                     it as text"
                ),
                line: before.matches('\n').count() + 1,
                column: self.at - before.rfind('\n').map_or(0, |end| end + 1) + 1,
            });
        }
        self.at += token.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{GrantId, ObjectId};

    #[test]
    fn json_comes_back_as_it_went_in() {
        for json in [
            "null",
            r#"[true,-3,2.5,"x",{"$data":""}]"#,
            r#"{"z":1,"a":{"b":[]},"__proto__":{"c":1}}"#,
            r#"{"$data":"x","other":1}"#,
            r#"{"$$data":"aGk="}"#,
            r#"{"$$$data":"aGk="}"#,
            r#"{"$float":"NaN"}"#,
            "[9007199254740993,1234567890123456789,18446744073709551615]",
            "[-9223372036854775808,9223372036854775807,9223372036854775808]",
            "[-0.0,0.0,1e+300,5e-324]",
        ] {
            let value: Value = to_value(parse(json).unwrap());
            assert_eq!(from_value(&value).to_string(), json);
        }
    }

    #[test]
    fn a_value_comes_back_from_json_as_it_went_in() {
        let field = |name: &str, value| Value::Fields(vec![(name.to_owned(), value)]);
        for value in [
            field("$data", Value::Text("aGk=".into())),
            field("$data", Value::Text("not base64!".into())),
            field("$float", Value::Text("NaN".into())),
            field("$$object", Value::Null),
            Value::Float(f64::NEG_INFINITY),
            Value::Float(-0.0),
            Value::Data(vec![0, 255]),
            Value::Unsigned(1 << 63),
            Value::Text("\u{0}\u{2028}\u{fffd}🚀".into()),
        ] {
            let text = from_value::<ObjectId>(&value).to_string();
            assert_eq!(to_value::<ObjectId>(parse(&text).unwrap()), value, "{text}");
        }
        let object = Value::Object(ObjectId::Grant(GrantId(1)));
        assert_eq!(from_value(&object).to_string(), r#"{"$object":"grant 1"}"#);
    }

    #[test]
    fn a_number_that_would_be_rounded_is_refused_with_its_place() {
        for (text, line, column) in [
            ("18446744073709551616", 1, 1),
            ("{\"a\":\n [1, -9223372036854775809]}", 2, 6),
            ("[\"1\", 100000000000000000000000000000000000000000000000]", 1, 7),
        ] {
            let why = parse(text).unwrap_err();
            assert_eq!((why.line, why.column), (line, column), "{why}");
            assert!(why.message.contains("64 bits"), "{why}");
        }
        assert!(parse("1e30").is_ok() && parse("\"18446744073709551616\"").is_ok());
    }

    #[test]
    fn half_a_surrogate_pair_reads_as_the_replacement_character() {
        for (json, text) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""a\uDE80\ud83d\ude80b\ud83d\ud83d\ude80""#, "a\u{fffd}🚀b\u{fffd}🚀"),
            (r#""\\ud83d""#, "\\ud83d"),
        ] {
            assert_eq!(parse(json).unwrap(), text, "{json}");
        }
        assert_eq!(parse("{\"\\ud83d\":1}").unwrap()["\u{fffd}"], 1);
        assert!(parse("\u{feff}1").is_ok());
        for wrong in ["", "[1", "\"\\u", "\"\\", "01", "--1", "\"\\ud8"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
