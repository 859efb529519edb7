//! Standard output and standard error: the only place that writes to them, so that nothing reaches a
//! terminal unspelled. A reader that has gone away is no error.

use std::io::Write as _;

use serde::Serialize;

use super::text::{printable, printable_json};
use crate::fault::{Fault, doing};

/// Prints a line for a person on standard output.
pub(crate) fn line(text: &str) -> Result<(), Fault> {
    raw(&printable(text))
}

/// Prints a value for a program on standard output, as JSON on one line.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Fault> {
    let json = serde_json::to_string(value).map_err(doing("this cannot be shown as JSON"))?;
    raw(&printable_json(&json))
}

/// The same on as many lines as it has members.
pub(crate) fn json_lines(value: &impl Serialize) -> Result<(), Fault> {
    let json =
        serde_json::to_string_pretty(value).map_err(doing("this cannot be shown as JSON"))?;
    raw(&printable_json(&json))
}

/// Prints a text of this very program on standard output, as it is.
pub(crate) fn raw(text: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Prints a line on standard error. If that cannot be done there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(text));
}
