//! `remit doctor`: finds what is not as it should be, and says how to mend it.

mod machine;
mod members;

use std::time::Instant;

use clap::Args;

use crate::embedded::Parts;
use crate::fault::Fault;
use crate::limits;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::paint::{Ink, Paint};

/// Check ports, certificates, journal, nodes, sandbox, files and clock; say how to mend each
///
/// Starts a mesh for the time of the check if none runs. Exits with 1 if anything failed.
#[derive(Debug, Args)]
pub(super) struct Doctor {}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    grade: Grade,
    what: &'static str,
    found: String,
    /// How to mend it; empty if there is nothing to mend.
    mend: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Ok,
    Warn,
    Fail,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { grade: Grade::Ok, what, found: found.into(), mend: String::new() }
    }

    fn warn(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { grade: Grade::Warn, what, found: found.into(), mend: mend.into() }
    }

    fn fail(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { grade: Grade::Fail, what, found: found.into(), mend: mend.into() }
    }

    fn line(&self, paint: Paint) -> String {
        let grade = match self.grade {
            Grade::Ok => paint.ink(Ink::Good, "ok  "),
            Grade::Warn => paint.ink(Ink::Odd, "warn"),
            Grade::Fail => paint.ink(Ink::Bad, "FAIL"),
        };
        let mend =
            if self.mend.is_empty() { String::new() } else { format!("\n        {}", self.mend) };
        format!("{grade}  {}: {}{mend}", self.what, self.found)
    }
}

impl Doctor {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mut failed = false;
        let mut tell = |findings: Vec<Finding>| {
            failed |= findings.iter().any(|finding| finding.grade == Grade::Fail);
            findings.iter().try_for_each(|finding| out::line(&finding.line(look.out)))
        };
        tell(machine::check(&place.home))?;
        match Mesh::reach(place, Parts::All).await {
            Ok(mesh) => {
                settle(&mesh).await;
                let findings = members::check(&mesh, place).await;
                mesh.leave().await;
                tell(findings)?;
            }
            Err(fault) => tell(vec![Finding::fail(
                "mesh",
                fault.message().unwrap_or_default(),
                format!(
                    "see the logs in {}; if another process holds the port or the folder, end it",
                    place.home.dir().join("log").display()
                ),
            )])?,
        }
        if failed { Err(Fault::Said) } else { Ok(()) }
    }
}

/// Gives nodes that were started just now the time to register.
async fn settle(mesh: &Mesh) {
    let began = Instant::now();
    let awaited = if mesh.embedded.is_some() { limits::TOOLS } else { limits::KNOCK };
    while began.elapsed() < awaited {
        let nodes = mesh.client.nodes().await.unwrap_or_default();
        if members::has_both(&nodes) {
            return;
        }
        tokio::time::sleep(limits::LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_mended_stands_below_what_was_found() {
        let finding = Finding::fail("disk", "full", "delete something");
        assert_eq!(finding.line(Paint::Plain), "FAIL  disk: full\n        delete something");
        assert_eq!(Finding::ok("disk", "fine").line(Paint::Plain), "ok    disk: fine");
    }
}
