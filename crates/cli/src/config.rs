//! What the environment says: how the program logs and looks. Flags are read by `command`.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use remit_faults::crash;
use tracing_subscriber::EnvFilter;

use crate::fault::Fault;
use crate::home::Home;
use crate::look::Look;
use crate::mesh::Place;
use crate::show::paint::Paint;

/// What the environment says.
pub(crate) struct Settings {
    /// What is logged, as for `RUST_LOG`; from `REMIT_LOG`.
    log: Option<String>,
    /// How a line of the log looks; from `REMIT_LOG_FORMAT`.
    format: LogFormat,
    /// The point at which a test has this process die; from `REMIT_CRASH`.
    crash: Option<String>,
    /// The user's state directory; from `XDG_STATE_HOME`, or else below `HOME`.
    pub(crate) state: Option<PathBuf>,
    /// How output may look.
    pub(crate) look: Look,
}

/// What a node logs when nobody says: of our own crates what matters to an operator.
const NODE_LOG: &str = "warn,remit=info,remit_orchestrator=info,remit_agent_node=info,\
                        remit_tool_node=info,remit_vat=info";

/// What a command logs when nobody says: it tells a person what matters by itself.
const COMMAND_LOG: &str = "error";

/// What kind of process this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One that serves, and whose log an operator reads.
    Node,
    /// One that a person waits for.
    Command,
}

/// How a line of the log looks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// What was asked for, and is neither.
    Unknown(String),
}

impl LogFormat {
    fn read(named: Option<String>) -> Self {
        match named.as_deref() {
            None | Some("" | "text") => Self::Text,
            Some("json") => Self::Json,
            Some(other) => Self::Unknown(other.to_owned()),
        }
    }
}

/// The mesh that a command line is about which a shell completes: what its flags name, or the
/// environment.
#[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
pub(crate) fn completed_place() -> Place {
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let named = |flag: &str, variable: &str| {
        flagged(&words, flag).or_else(|| std::env::var(variable).ok()).filter(|v| !v.is_empty())
    };
    let home = named("--home", "REMIT_HOME");
    let home = Home::find(home.as_deref().map(Path::new), Path::new("."), state().as_deref());
    Place { home, address: named("--mesh", "REMIT_MESH") }
}

/// The user's state directory.
fn state() -> Option<PathBuf> {
    let folder =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let below_home = || folder("HOME").map(|home| home.join(".local/state"));
    folder("XDG_STATE_HOME").or_else(below_home)
}

/// What stands after a flag.
fn flagged(words: &[String], flag: &str) -> Option<String> {
    let mut words = words.iter();
    words
        .find_map(|word| match word.strip_prefix(flag)?.strip_prefix('=') {
            Some(value) => Some(value.to_owned()),
            None if word == flag => Some(String::new()),
            None => None,
        })
        .and_then(|value| if value.is_empty() { words.next().cloned() } else { Some(value) })
}

/// The width of the terminal that standard output is, if it is one and knows it.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

impl Settings {
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
    pub(crate) fn read() -> Self {
        let plain = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty())
            || std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let paint = |terminal: bool| {
            if terminal && !plain { Paint::Colour } else { Paint::Plain }
        };
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        Self {
            log: std::env::var("REMIT_LOG").ok(),
            format: LogFormat::read(std::env::var("REMIT_LOG_FORMAT").ok()),
            crash: std::env::var("REMIT_CRASH").ok(),
            state: state(),
            look: Look { out: paint(out), err: paint(err), lively: err, columns: columns() },
        }
    }

    /// Has this process die where a test says so.
    pub(crate) fn arm(&self) -> Result<(), Fault> {
        let armed = self.crash.as_deref().map_or(Ok(()), crash::arm);
        armed.map_err(|error| Fault::Usage(format!("REMIT_CRASH: {error}")))
    }

    /// Begins to log on standard error. A filter that cannot be read is said, and the default taken.
    pub(crate) fn start_logging(&self, kind: Kind) {
        let default = match kind {
            Kind::Node => NODE_LOG,
            Kind::Command => COMMAND_LOG,
        };
        let filter = match &self.log {
            None => EnvFilter::new(default),
            Some(text) => EnvFilter::try_new(text).unwrap_or_else(|error| {
                crate::show::out::note(&format!("remit: REMIT_LOG={text}: {error}"));
                EnvFilter::new(default)
            }),
        };
        if let LogFormat::Unknown(named) = &self.format {
            crate::show::out::note(&format!(
                "remit: REMIT_LOG_FORMAT={named}: there are `text` and `json`; text is taken"
            ));
        }
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            // To say there that nothing can be written there would end the process.
            .log_internal_errors(false)
            .with_writer(std::io::stderr)
            .with_ansi(self.look.err == Paint::Colour);
        match self.format {
            LogFormat::Json => log.json().flatten_event(true).init(),
            LogFormat::Text | LogFormat::Unknown(_) => log.init(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_of_a_line_that_is_completed_is_found() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let found = |line: &str| flagged(&words(line), "--home");
        assert_eq!(found("remit -- remit --home /x cancel"), Some("/x".into()));
        assert_eq!(found("remit -- remit --home=/x cancel"), Some("/x".into()));
        assert_eq!(found("remit -- remit --homely /x"), None);
        assert_eq!(found("remit -- remit cancel --home"), None);
    }
}
