//! One node of an embedded mesh: a child process that ends when this one does, by whatever means.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::fault::{Fault, doing};
use crate::home::Home;
use crate::limits;
use crate::show::text::harmless;

/// A node that runs as a child.
pub(crate) struct Node {
    role: &'static str,
    child: Child,
    /// Closed when this process ends, which the child takes as the word to stop.
    stdin: Option<ChildStdin>,
}

impl Node {
    /// Starts `remit ROLE ARGS` in a process group of its own, so that a Ctrl-C for this process is
    /// none for the child, and waits for its ready line, which it gives back.
    pub(crate) async fn start(
        home: &Home,
        role: &'static str,
        args: &[&std::ffi::OsStr],
    ) -> Result<(Self, String), Fault> {
        let program = std::env::current_exe().map_err(doing("this program's own file"))?;
        let log = home.open_log(role).map_err(doing(format_args!("the log of the {role}")))?;
        let began = log_end(&home.log(role));
        let mut child = Command::new(program)
            .arg("--home")
            .arg(home.dir())
            .arg(role)
            .args(args)
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(doing(format_args!("the {role} cannot be started")))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let mut node = Self { role, child, stdin };
        let lines = async {
            let mut lines = BufReader::new(stdout?).lines();
            let line = lines.next_line().await.ok().flatten()?;
            // Whatever it may print later goes nowhere, but does not block it.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            Some(line)
        };
        match tokio::time::timeout(limits::READY, lines).await {
            Ok(Some(line)) => Ok((node, line)),
            Ok(None) => Err(node.explain(home, began, "ended before it was ready").await),
            Err(_) => Err(node.explain(home, began, "was not ready in time").await),
        }
    }

    async fn explain(&mut self, home: &Home, began: usize, what: &str) -> Fault {
        let _ = self.child.kill().await;
        let log = home.log(self.role);
        Fault::Failed(format!(
            "the {} {what}. The end of its log, {}:\n{}",
            self.role,
            log.display(),
            tail(&log, began)
        ))
    }

    /// The command that it runs.
    pub(crate) const fn role(&self) -> &'static str {
        self.role
    }

    /// Whether the process has ended, which it should not have.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Asks the node to end, and makes it when it does not.
    pub(crate) async fn stop(mut self, patience: Duration) {
        drop(self.stdin.take());
        if tokio::time::timeout(patience, self.child.wait()).await.is_err() {
            // It may end in this very moment.
            let _ = self.child.kill().await;
        }
    }
}

/// The lines of a log after its first `began` bytes that say most: the last.
fn tail(log: &Path, began: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(text.get(began..).unwrap_or_default());
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| format!("  {}", harmless(line)))
        .collect();
    lines[lines.len().saturating_sub(limits::TAIL)..].join("\n")
}

/// How many bytes a log has.
fn log_end(log: &Path) -> usize {
    std::fs::metadata(log).map_or(0, |log| usize::try_from(log.len()).unwrap_or(usize::MAX))
}
