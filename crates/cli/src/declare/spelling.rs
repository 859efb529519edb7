//! Names, strings and comments of TypeScript from texts that are not trusted.

use std::collections::BTreeSet;

use crate::show::text::harmless;

/// Words that cannot name a namespace or an interface.
const RESERVED: [&str; 59] = [
    "abstract",
    "any",
    "as",
    "async",
    "await",
    "bigint",
    "boolean",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "declare",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "module",
    "namespace",
    "never",
    "new",
    "null",
    "number",
    "object",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "string",
    "super",
    "switch",
    "symbol",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "undefined",
    "unknown",
    "var",
    "void",
];

/// Words that other declarations take, or that TypeScript keeps for itself.
const TAKEN: [&str; 7] =
    ["while", "with", "yield", "Promise", "RemitObject", "Called", "Uint8Array"];

/// Distinct identifiers for names that may be none.
#[derive(Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// An identifier for `name`: the name itself where it can be.
    pub(super) fn take(&mut self, name: &str) -> String {
        let in_name = |c: char| if is_in_identifier(c) { c } else { '_' };
        let mut spelled: String = name.chars().map(in_name).collect();
        let starts = spelled.starts_with(|c: char| !c.is_ascii_digit());
        if !starts || RESERVED.contains(&spelled.as_str()) || TAKEN.contains(&spelled.as_str()) {
            spelled.insert(0, '_');
        }
        let base = spelled.clone();
        let mut number = 2;
        while !self.taken.insert(spelled.clone()) {
            spelled = format!("{base}_{number}");
            number += 1;
        }
        spelled
    }
}

/// ASCII alone: a letter that looks like another one would be another name.
const fn is_in_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

/// Whether `name` is an identifier. It may be a reserved word.
pub(super) fn is_identifier(name: &str) -> bool {
    name.chars().all(is_in_identifier) && name.starts_with(|c: char| !c.is_ascii_digit())
}

/// The name of a property or a method.
pub(super) fn property(name: &str) -> String {
    // A method of this name would declare a constructor.
    if is_identifier(name) && !["constructor", "new"].contains(&name) {
        name.to_owned()
    } else {
        string(name)
    }
}

/// A string literal, in ASCII.
pub(super) fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
    out
}

/// A comment, which its text cannot end. Empty for an empty text.
pub(super) fn comment(text: &str, indent: &str) -> Vec<String> {
    let lines: Vec<String> =
        text.trim().lines().map(|line| harmless(line.trim_end()).replace("*/", "*\\/")).collect();
    match &lines[..] {
        [] => Vec::new(),
        [one] => vec![format!("{indent}/** {one} */")],
        many => {
            let inner = many.iter().map(|line| format!("{indent} * {line}").trim_end().to_owned());
            let open = std::iter::once(format!("{indent}/**"));
            open.chain(inner).chain([format!("{indent} */")]).collect()
        }
    }
}
