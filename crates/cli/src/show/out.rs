//! Standard output, in which a reader that has gone away is no error.

use std::io::Write as _;

use crate::fault::Fault;

/// Prints a line on standard output.
pub(crate) fn line(text: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Prints a line on standard error. If that cannot be done there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
