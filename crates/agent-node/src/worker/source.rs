//! The script's source: TypeScript made JavaScript by blanking its types, so that every line and
//! column stays where the author put it; and syntax errors that point at the spot.

use std::cell::RefCell;
use std::rc::Rc;

use remit_core::event::SourceFile;
use remit_core::{Code, Failure};
use swc_common::errors::{DiagnosticBuilder, Emitter, Handler};
use swc_common::sync::Lrc;
use swc_common::{GLOBALS, Globals, SourceMap};
use swc_ts_fast_strip::{Mode, Options, operate};

/// JavaScript for one file of the script, or where its syntax is wrong.
pub(super) fn javascript(file: &SourceFile) -> Result<String, Failure> {
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

/// A syntax error with the line it is in and a caret below the column. Both count from 1.
pub(super) fn pointed(file: &SourceFile, message: &str, line: usize, column: usize) -> Failure {
    let shown = file.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    // Tabs stay tabs, so that the caret stands where a terminal shows the column.
    let before = shown.chars().take(column.saturating_sub(1));
    let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    Failure::new(
        Code::InvalidArgument,
        format!("{}:{line}:{column}: {message}\n  {shown}\n  {indent}^", file.path),
    )
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
    fn what_types_alone_cannot_express_is_refused() {
        let why = javascript(&file("a.ts", "enum A { B }\n")).unwrap_err().message;
        assert!(why.contains("a.ts:1:1") && why.contains("enum"), "{why}");
    }
}
