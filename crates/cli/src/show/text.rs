//! Text from scripts and tools, made safe and short enough for a terminal.

use remit_client::{Value, value_to_json};

use super::lookalike;
use super::paint::Paint;

/// `text` on one line, with every character spelled out that a terminal would obey, or that hides,
/// reorders or imitates others: what a person reads is what is there.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let spelled = lookalike::spelled(text);
    for (at, c) in text.char_indices() {
        match c {
            '\t' => out.push_str("\\t"),
            c if is_deceptive(c) || spelled.binary_search(&at).is_ok() => {
                out.extend(c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}

/// The last look at a text before it is printed: line ends and our own colours stay as they are,
/// and whatever [`harmless`] spells out is spelled out.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let spelled = lookalike::spelled(&without_styles(text));
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(style) = Paint::STYLES.iter().find(|style| rest.starts_with(**style)) {
            out.push_str(style);
            rest = &rest[style.len()..];
            continue;
        }
        let at = text.len() - rest.len();
        match c {
            '\n' => out.push(c),
            '\t' => out.push_str("\\t"),
            c if is_deceptive(c) || spelled.binary_search(&at).is_ok() => {
                out.extend(c.escape_unicode());
            }
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// The text with blanks in place of our own colours, which end a word and have letters themselves.
fn without_styles(text: &str) -> String {
    Paint::STYLES
        .iter()
        .fold(text.to_owned(), |text, style| text.replace(style, &" ".repeat(style.len())))
}

/// JSON in which the same characters stand as JSON's own escapes, so that it means what it meant.
pub(crate) fn printable_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let spelled = lookalike::spelled(json);
    for (at, c) in json.char_indices() {
        // Line ends between the members of pretty JSON; those in a string are escaped already.
        if c == '\n' || !(is_deceptive(c) || spelled.binary_search(&at).is_ok()) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out
}

/// `text` made [`harmless`], on one line. Of a longer one than `most` characters the beginning is
/// shown, with how long it is and how to see the whole.
pub(crate) fn short(text: &str, most: usize) -> String {
    let one_line = text.replace("\r\n", "\n").replace('\n', "⏎");
    let length = one_line.chars().count();
    if length <= most {
        return harmless(&one_line);
    }
    let kept: String = one_line.chars().take(most.saturating_sub(1)).collect();
    format!("{}{}", harmless(&kept), cut(&count(length, "character")))
}

/// Follows what is left of something of this size.
fn cut(size: &str) -> String {
    format!("… ({size}; --json shows all)")
}

/// A value in a few words: short ones whole, of long ones the beginning and the size.
pub(crate) fn value(value: &Value, most: usize) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Data(bytes) if bytes.len() * 2 <= most => format!("0x{}", hex::encode(bytes)),
        Value::Data(bytes) => {
            let head = bytes.get(..most / 4).unwrap_or_default();
            format!("0x{}{}", hex::encode(head), cut(&count(bytes.len(), "byte")))
        }
        Value::Text(text) if text.chars().count() > most => {
            let head: String = text.chars().take(most / 2).collect();
            let size = count(text.chars().count(), "character");
            format!("\"{}\"{}", short(&head, most), cut(&size))
        }
        Value::List(items) => {
            let whole = json(value);
            if whole.chars().count() <= most {
                harmless(&whole)
            } else {
                let head: String = whole.chars().take(most / 2).collect();
                format!("{}{}", harmless(&head), cut(&count(items.len(), "item")))
            }
        }
        Value::Object(object) => format!("<{object}>"),
        other => short(&json(other), most),
    }
}

/// The arguments of a call as they would stand between its parentheses.
pub(crate) fn args(args: &Value, most: usize) -> String {
    let Value::Fields(fields) = args else { return value(args, most) };
    // The root of a tool is kept as the empty path; people write it so.
    let root = Value::Text(".".into());
    let fields: Vec<(&str, &Value)> = fields
        .iter()
        .map(|(name, value)| match value {
            Value::Text(text) if name == "path" && text.is_empty() => (&**name, &root),
            value => (&**name, value),
        })
        .collect();
    let shown: Vec<String> = match &fields[..] {
        [(_, only)] => vec![value(only, most)],
        many => {
            many.iter().map(|(n, v)| format!("{}={}", harmless(n), value(v, most / 2))).collect()
        }
    };
    let whole = shown.join(", ");
    if whole.chars().count() <= most * 2 {
        return whole;
    }
    let kept: String = whole.chars().take(most).collect();
    kept + &cut(&count(json(args).chars().count(), "character"))
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

/// Characters that a terminal obeys, that show as nothing or as a blank, or that turn or join what
/// is around them: those that Unicode lets a renderer ignore, all blanks but the space, line
/// separators, private use and what only marks a place.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Blanks that look like a space, and the two separators of lines.
            '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}'
            | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{2800}'
            // Direction, joining, and what has no width.
            | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff0}'..='\u{fffc}'
            // Fillers.
            | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
            // Variation selectors, tags, marks of shorthand and of music.
            | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // What looks like the dashes, dots, slashes, colons and signs of ASCII.
            | '\u{2010}' | '\u{2011}' | '\u{2212}' | '\u{2043}' | '\u{2024}' | '\u{2044}'
            | '\u{2215}' | '\u{2236}' | '\u{29f5}' | '\u{29f8}' | '\u{a789}' | '\u{a4f8}' | '\u{37e}'
            | '\u{201a}' | '\u{2571}' | '\u{ff0d}'..='\u{ff0f}' | '\u{ff20}' | '\u{ff3c}'
            // Private use, which looks as each font likes.
            | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::paint::Ink;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(harmless("a\x1b[2Jb\u{202e}"), "a\\u{1b}[2Jb\\u{202e}");
        assert_eq!(short("one\ntwo", 10), "one⏎two");
        assert_eq!(short("abcdef", 4), "abc… (6 characters; --json shows all)");
    }

    /// One of each kind that hides, reorders or imitates.
    const DECEPTIVE: [char; 35] = [
        '\u{0}',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{9b}',
        '\u{a0}',
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{180e}',
        '\u{200b}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2010}',
        '\u{2044}',
        '\u{2212}',
        '\u{2069}',
        '\u{206a}',
        '\u{2800}',
        '\u{3000}',
        '\u{3164}',
        '\u{e000}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{fffb}',
        '\u{e0041}',
        '\u{e0100}',
    ];

    #[test]
    fn no_character_that_hides_reorders_or_imitates_is_printed() {
        for c in DECEPTIVE {
            let text = format!("a{c}b");
            let spelled = format!("a\\u{{{:x}}}b", u32::from(c));
            assert_eq!(harmless(&text), spelled);
            assert_eq!(printable(&text), spelled);
            assert_eq!(short(&text, 9), spelled);
            let json = serde_json::to_string(&text).unwrap();
            let shown = printable_json(&json);
            assert!(!shown.contains(c) && shown.is_ascii(), "{shown}");
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
        for text in ["naïve", "Привет", "日本語", "a\u{300}", "🙂", "a b"] {
            assert_eq!(harmless(text), text);
            assert_eq!(printable_json(text), text);
        }
    }

    #[test]
    fn only_our_own_colours_reach_a_terminal() {
        let ours = Paint::Colour.ink(Ink::Bad, "no");
        assert_eq!(printable(&ours), ours);
        assert_eq!(printable("a\x1b[8mb\nc\rd"), "a\\u{1b}[8mb\nc\\u{d}d");
    }

    #[test]
    fn a_cut_text_says_how_long_it_is_and_how_to_see_it() {
        let long = "x".repeat(2_531);
        let list = Value::List(vec![Value::Text(long.clone()); 7]);
        for shown in [short(&long, 80), value(&Value::Text(long), 80), value(&list, 80)] {
            assert!(shown.contains("; --json shows all)"), "{shown}");
            assert!(shown.contains("2531 characters") || shown.contains("7 items"), "{shown}");
        }
    }

    #[test]
    fn values_are_short() {
        assert_eq!(value(&Value::Data(vec![1, 0xab]), 20), "0x01ab");
        assert_eq!(
            value(&Value::Data(vec![7; 99]), 20),
            "0x0707070707… (99 bytes; --json shows all)"
        );
        let object = Value::Object(remit_core::ObjectId::Grant(remit_core::GrantId(3)));
        assert_eq!(value(&Value::List(vec![object]), 20), "[\"<grant 3>\"]");
        assert_eq!(value(&Value::List(vec![Value::Integer(1); 2]), 20), "[1,1]");
        assert_eq!(
            value(&Value::List(vec![Value::Integer(1); 99]), 20),
            "[1,1,1,1,1… (99 items; --json shows all)"
        );
        let long = value(&Value::Text("x".repeat(100)), 20);
        assert_eq!(long, "\"xxxxxxxxxx\"… (100 characters; --json shows all)");
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
