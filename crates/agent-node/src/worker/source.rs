//! The script's source as JavaScript. The types of TypeScript are blanked, so every line and column
//! stays in place; JSON becomes a module; errors point at their place.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use remit_core::event::SourceFile;
use remit_core::{Code, Failure, json};
use serde_json::Value as Json;
use swc_common::errors::{DiagnosticBuilder, Emitter, Handler};
use swc_common::sync::Lrc;
use swc_common::{GLOBALS, Globals, SourceMap};
use swc_ts_fast_strip::{Mode, Options, operate};

use super::stack::{self, Died};
use super::values::MAX_SAFE;

/// Characters of a line that an error shows.
const SHOWN: usize = 120;

/// Every file of the script as JavaScript, by path, or the first error in it.
pub(super) fn all(source: &[SourceFile]) -> Result<HashMap<String, String>, Failure> {
    let files = source.to_vec();
    let read = move || {
        let read = files.into_iter().map(|file| Ok((file.path.clone(), javascript(&file)?)));
        read.collect::<Result<_, _>>()
    };
    // The parser and the walks over its tree recurse as deep as the program nests.
    stack::on_its_own(read).unwrap_or_else(|died| match died {
        Died::Overflow => Err(too_deep(source)),
        Died::Panic => Err(Failure::new(Code::Failed, "the parser cannot read the program")),
    })
}

/// The failure of a program that nests too deep, with its deepest place.
pub(super) fn too_deep(source: &[SourceFile]) -> Failure {
    let deepest = source.iter().map(|file| (deepest(&file.text), file)).max_by_key(|(at, _)| at.0);
    let message =
        "the program nests too deep here to be parsed: split it, or pass its data as input";
    match deepest {
        Some(((_, line, column), file)) => pointed(file, message, line, column),
        None => Failure::new(Code::InvalidArgument, message),
    }
}

/// The place where brackets nest deepest: depth, line and column. Brackets inside strings count
/// too, so it is a hint.
fn deepest(text: &str) -> (usize, usize, usize) {
    let (mut depth, mut line, mut column) = (0_usize, 1, 0);
    let mut deepest = (0, 1, 1);
    for c in text.chars() {
        column += 1;
        match c {
            '(' | '[' | '{' => {
                depth += 1;
                if depth > deepest.0 {
                    deepest = (depth, line, column);
                }
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '\n' => (line, column) = (line + 1, 0),
            _ => {}
        }
    }
    deepest
}

/// One file of the script as JavaScript, or its syntax error.
fn javascript(file: &SourceFile) -> Result<String, Failure> {
    if file.path.ends_with(".json") {
        let read = json::parse(&file.text);
        let json = read.map_err(|why| pointed(file, &why.message, why.line, why.column))?;
        let mut module = String::from("export default ");
        literal(&json, &mut module);
        return Ok(module);
    }
    let plain = [".js", ".mjs", ".cjs"].iter().any(|ending| file.path.ends_with(ending));
    if plain {
        return Ok(file.text.clone());
    }
    let map: Lrc<SourceMap> = Lrc::default();
    let first = Rc::new(RefCell::new(None));
    let emitter = FirstError { map: Lrc::clone(&map), first: Rc::clone(&first) };
    let handler = Handler::with_emitter(true, false, Box::new(emitter));
    let options = Options {
        module: Some(true),
        filename: Some(file.path.clone()),
        mode: Mode::StripOnly,
        ..Options::default()
    };
    let stripped =
        GLOBALS.set(&Globals::new(), || operate(&map, &handler, file.text.clone(), options));
    match (stripped, first.take()) {
        (Ok(output), None) => Ok(output.code),
        (_, Some(Spot { message, line, column })) => Err(pointed(file, &message, line, column)),
        (Err(error), None) => {
            Err(Failure::new(Code::InvalidArgument, format!("{}: {}", file.path, error.message)))
        }
    }
}

/// A syntax error with its line and a caret below the column. Line and column count from 1.
pub(super) fn pointed(file: &SourceFile, message: &str, line: usize, column: usize) -> Failure {
    let whole = file.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    // For a long line, only the part around the column is shown.
    let from = if whole.len() > SHOWN { column.saturating_sub(SHOWN / 2) } else { 0 };
    let shown: String = whole.chars().skip(from).take(SHOWN).collect();
    // Tabs stay tabs, so the caret stands where a terminal shows the column.
    let before = shown.chars().take(column.saturating_sub(1 + from));
    let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    Failure::new(
        Code::InvalidArgument,
        format!("{}:{line}:{column}: {message}\n  {shown}\n  {indent}^", file.path),
    )
}

/// Writes JSON as an expression with the same value as JSON in a task's input: integers beyond the
/// exact range of a JavaScript number are `bigint`s, and `__proto__` is an ordinary name.
fn literal(value: &Json, out: &mut String) {
    match value {
        Json::Array(items) => {
            out.push('[');
            for item in items {
                literal(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Json::Object(fields) => {
            out.push('{');
            for (name, item) in fields {
                let _ = write!(out, "[{}]:", Json::String(name.clone()));
                literal(item, out);
                out.push(',');
            }
            out.push('}');
        }
        Json::Number(number) => {
            let whole = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            let large = whole.is_some_and(|whole| whole > MAX_SAFE.unsigned_abs());
            let _ = write!(out, "{number}{}", if large { "n" } else { "" });
        }
        plain => {
            let _ = write!(out, "{plain}");
        }
    }
}

struct Spot {
    message: String,
    line: usize,
    column: usize,
}

/// Keeps the first error that has a place.
struct FirstError {
    map: Lrc<SourceMap>,
    first: Rc<RefCell<Option<Spot>>>,
}

impl Emitter for FirstError {
    fn emit(&mut self, diagnostic: &mut DiagnosticBuilder<'_>) {
        let mut first = self.first.borrow_mut();
        let Some(span) = diagnostic.span.primary_span() else { return };
        if first.is_none() && diagnostic.is_error() {
            let place = self.map.lookup_char_pos(span.lo);
            *first = Some(Spot {
                message: diagnostic.message(),
                line: place.line,
                column: place.col.0 + 1,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn types_are_blanked_in_place() {
        let code = javascript(&file("a.ts", "const a: number = 1;\nexport default a;")).unwrap();
        assert_eq!(code, "const a         = 1;\nexport default a;");
    }

    #[test]
    fn a_syntax_error_names_the_place_and_points_at_it() {
        let why = javascript(&file("dir/a.ts", "let a = 1;\nlet b = ;\n")).unwrap_err().message;
        assert!(why.starts_with("dir/a.ts:2:9: "), "{why}");
        assert!(why.ends_with("\n  let b = ;\n          ^"), "{why}");
    }

    #[test]
    fn a_long_line_is_shown_around_the_spot() {
        let source = file("a.ts", &format!("{}let b = ;{}", "x;".repeat(5_000), " ".repeat(5_000)));
        let why = javascript(&source).unwrap_err().message;
        assert!(why.starts_with("a.ts:1:10009: ") && why.len() < 500, "{why}");
        let mut lines = why.lines().skip(1);
        let (shown, caret) = (lines.next().unwrap(), lines.next().unwrap());
        assert_eq!(shown.chars().nth(caret.find('^').unwrap()), Some(';'), "{why}");
    }

    #[test]
    fn json_is_a_module() {
        let json = r#"{"id": 1234567890123456789, "__proto__": [1, -0.5, "\u2028", null]}"#;
        assert_eq!(
            javascript(&file("a.json", json)).unwrap(),
            "export default {[\"id\"]:1234567890123456789n,[\"__proto__\"]:[1,-0.5,\"\u{2028}\",null,],}"
        );
        let why = javascript(&file("a.json", "[1,\n 2e]")).unwrap_err().message;
        assert!(why.starts_with("a.json:2:"), "{why}");
    }

    #[test]
    fn a_program_that_nests_too_deep_is_refused_with_the_place() {
        let nested = |open: &str, close: &str, times: usize| {
            format!("export default () => {{\n  {}1{} }}", open.repeat(times), close.repeat(times))
        };
        for (source, line) in [
            (nested("(", ")", 300_000), 2),
            (nested("if (1) {", "}", 300_000), 2),
            (nested("if (1) ", "", 300_000), 2),
            (nested("[", "]", 300_000), 2),
            (nested("!", "", 1_000_000), 1),
            (nested("`${", "}`", 300_000), 2),
            (nested("1+", "", 1_000_000), 1),
            (nested("a=>", "", 300_000), 1),
            (nested("let x: A", "", 1) + &"<A".repeat(300_000), 1),
        ] {
            let shown: String = source.chars().take(60).collect();
            let why = all(&[file("a.ts", &source)]).unwrap_err();
            assert_eq!(why.code, Code::InvalidArgument, "{shown}: {why}");
            assert!(why.message.starts_with(&format!("a.ts:{line}:")), "{shown}: {why}");
            assert!(why.message.contains("too deep") && why.message.len() < 500, "{shown}: {why}");
        }
        let fine = nested("(", ")", 500);
        assert!(all(&[file("a.ts", &fine)]).is_ok());
    }

    #[test]
    fn typescript_beyond_types_is_refused() {
        let why = javascript(&file("a.ts", "enum A { B }\n")).unwrap_err().message;
        assert!(why.contains("a.ts:1:1") && why.contains("enum"), "{why}");
    }
}
