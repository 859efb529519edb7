//! Text from scripts and tools, made safe and short enough for a terminal.

use remit_client::{Value, value_to_json};

/// `text` without characters that a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("  "),
            c if c.is_control() || is_bidi(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// The same on one line of at most `most` characters.
pub(crate) fn short(text: &str, most: usize) -> String {
    let one_line = text.replace("\r\n", "\n").replace('\n', "⏎");
    if one_line.chars().count() <= most {
        return harmless(&one_line);
    }
    let kept: String = one_line.chars().take(most.saturating_sub(1)).collect();
    harmless(&kept) + "…"
}

/// A value in a few words: short ones whole, long ones by their size.
pub(crate) fn value(value: &Value, most: usize) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Data(bytes) => count(bytes.len(), "byte"),
        Value::Text(text) if text.chars().count() > most => {
            let head: String = text.chars().take(most / 2).collect();
            let size = count(text.len(), "byte");
            format!("\"{}…\" ({size})", short(&head, most))
        }
        Value::List(items) => {
            let whole = json(value);
            if whole.chars().count() <= most {
                harmless(&whole)
            } else {
                count(items.len(), "item")
            }
        }
        Value::Object(object) => format!("<{object}>"),
        other => short(&json(other), most),
    }
}

/// The arguments of a call as they would stand between its parentheses.
pub(crate) fn args(args: &Value, most: usize) -> String {
    let Value::Fields(fields) = args else { return value(args, most) };
    let shown: Vec<String> = match &fields[..] {
        [(_, only)] => vec![value(only, most)],
        many => {
            many.iter().map(|(n, v)| format!("{}={}", harmless(n), value(v, most / 2))).collect()
        }
    };
    let whole = shown.join(", ");
    if whole.chars().count() <= most * 2 { whole } else { short(&whole, most) }
}

/// `1 call`, `2 calls`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A span of milliseconds as people say it: `12 ms`, `3.4 s`, `5 min`, `2 h`.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}

fn json(value: &Value) -> String {
    value_to_json(&spelled(value)).to_string()
}

/// The value with each object in it spelled out.
fn spelled(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Text(format!("<{object}>")),
        Value::List(items) => Value::List(items.iter().map(spelled).collect()),
        Value::Fields(fields) => Value::Fields(
            fields.iter().map(|(name, value)| (name.clone(), spelled(value))).collect(),
        ),
        other => other.clone(),
    }
}

/// Characters that turn the direction of the text around them, and so can lie about it.
const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(harmless("a\x1b[2Jb\u{202e}"), "a\\u{1b}[2Jb\\u{202e}");
        assert_eq!(short("one\ntwo", 10), "one⏎two");
        assert_eq!(short("abcdef", 4), "abc…");
    }

    #[test]
    fn values_are_short() {
        assert_eq!(value(&Value::Data(vec![1]), 20), "1 byte");
        let object = Value::Object(remit_core::ObjectId::Grant(remit_core::GrantId(3)));
        assert_eq!(value(&Value::List(vec![object]), 20), "[\"<grant 3>\"]");
        assert_eq!(value(&Value::List(vec![Value::Integer(1); 2]), 20), "[1,1]");
        assert_eq!(value(&Value::List(vec![Value::Integer(1); 99]), 20), "99 items");
        let long = value(&Value::Text("x".repeat(100)), 20);
        assert_eq!(long, "\"xxxxxxxxxx…\" (100 bytes)");
    }

    #[test]
    fn one_argument_needs_no_name() {
        let field = |name: &str, v: i64| (name.to_owned(), Value::Integer(v));
        assert_eq!(args(&Value::Fields(vec![field("path", 1)]), 20), "1");
        assert_eq!(args(&Value::Fields(vec![field("a", 1), field("b", 2)]), 20), "a=1, b=2");
        assert_eq!(args(&Value::Fields(vec![]), 20), "");
    }

    #[test]
    fn spans_are_as_people_say_them() {
        for (ms, text) in [(7, "7 ms"), (3_456, "3.4 s"), (300_000, "5 min"), (7_200_000, "2 h")] {
            assert_eq!(span(ms), text);
        }
    }
}
