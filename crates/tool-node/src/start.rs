//! From a command line to a running node, for programs that are nothing but a tool node.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use remit_core::Role;
use remit_identity::join::Invite;
use remit_identity::membership::Member;
use remit_vat::vat::Vat;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::kit::Tool;
use crate::node::{self, CannotServe, Node};

/// What stands on the command line of a tool node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// An invite, for a node that is not a member yet.
    pub join: Option<String>,
    /// Where the node keeps its credential (in `identity`) and its ledger (in `ledger`).
    pub dir: PathBuf,
    /// The orchestrator's address, host:port; without it, where it was when the node joined.
    pub address: Option<String>,
    /// What the node has, for people and for placement.
    pub labels: Vec<String>,
    /// Where it listens for agent nodes that are introduced to it, host:port; without it, nowhere.
    pub listen: Option<String>,
    /// Where they reach it, host:port, if not where it listens.
    pub advertise: Option<String>,
}

/// How such a program is called.
const USAGE: &str = "\
usage: PROGRAM [--join LINE] [--dir DIR] [--address HOST:PORT] [--label LABEL]...

  --join LINE          the line that `remit invite --role tool-node --name NAME` printed; needed once
  --dir DIR            where credential and ledger are kept [default: .remit-tool]
  --address HOST:PORT  the orchestrator, if it is not where it was when the node joined
  --label LABEL        what the node has; may be repeated
  --listen HOST:PORT   let agent nodes fetch large results here, for grants that say route=direct
  --advertise HOST:PORT  where they reach it, if not there";

/// Why a program could not become a tool node.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotStart(String);

impl Arguments {
    /// Reads a command line without the program's name.
    ///
    /// # Errors
    /// A flag that is not known, or one without its value; the message says how to call it.
    pub fn parse(line: impl IntoIterator<Item = String>) -> Result<Self, CannotStart> {
        let mut arguments = Self { dir: ".remit-tool".into(), ..Self::default() };
        let mut line = line.into_iter();
        while let Some(flag) = line.next() {
            let mut value = || {
                let missing = || CannotStart(format!("`{flag}` needs a value\n\n{USAGE}"));
                line.next().ok_or_else(missing)
            };
            match flag.as_str() {
                "--join" => arguments.join = Some(value()?),
                "--dir" => arguments.dir = value()?.into(),
                "--address" => arguments.address = Some(value()?),
                "--label" => arguments.labels.push(value()?),
                "--listen" => arguments.listen = Some(value()?),
                "--advertise" => arguments.advertise = Some(value()?),
                _ => return Err(CannotStart(format!("`{flag}` is not known\n\n{USAGE}"))),
            }
        }
        Ok(arguments)
    }

    /// The node that the command line speaks of, with these tools.
    ///
    /// # Errors
    /// As of [`Node::open`], or it cannot listen where it is to.
    pub async fn node(&self, tools: Vec<Tool>) -> Result<Node, CannotStart> {
        let failed = |error: CannotServe| CannotStart(error.to_string());
        let node = Node::open(tools, self.labels.clone(), &self.dir.join("ledger")).await;
        let node = node.map_err(failed)?;
        let Some(listen) = &self.listen else { return Ok(node) };
        let wrong =
            |error: io::Error| CannotStart(format!("{listen} cannot be listened at: {error}"));
        let listener = TcpListener::bind(listen).await.map_err(wrong)?;
        let address = match &self.advertise {
            Some(address) => address.clone(),
            None => listener.local_addr().map_err(wrong)?.to_string(),
        };
        node.listening(listener, address, &self.dir.join("bodies")).await.map_err(failed)
    }

    /// The member that the command line speaks of. Redeems the invite if it is not one yet.
    ///
    /// # Errors
    /// The line is no invite or was refused; there is neither an invite nor a credential.
    pub async fn member(&self) -> Result<Member, CannotStart> {
        let invite = self.join.as_deref().map(str::parse::<Invite>).transpose();
        let invite = invite.map_err(|e| CannotStart(e.to_string()))?;
        let identity = self.dir.join("identity");
        let address = self.address.as_deref().unwrap_or_default();
        let member = Member::open(&identity, address, invite.as_ref(), Role::ToolNode).await;
        member.map_err(|e| CannotStart(e.to_string()))
    }
}

/// The whole `main` of a program that serves `tools`: reads the command line, joins if need be,
/// serves until it is interrupted, and lets calls in flight end. Logs go to stderr.
///
/// ```no_run
/// use remit_tool_node::kit::Tool;
/// # fn weather() -> Tool { Tool::new("weather", "1.0.0", "Invented weather.") }
///
/// fn main() -> std::process::ExitCode {
///     remit_tool_node::main_with(|| vec![weather()])
/// }
/// ```
pub fn main_with(tools: impl FnOnce() -> Vec<Tool>) -> ExitCode {
    // A launcher of confined programs, which the built-in tools start, has no command line.
    if std::env::args_os().nth(1).is_some_and(|first| first == remit_confine::LAUNCH) {
        return remit_confine::launch();
    }
    // Before there is a second thread, which would keep what this one gives up.
    if let Err(error) = remit_confine::give_up(remit_confine::Duty::ToolNode) {
        return fail(&format!("privileges could not be given up: {error}"));
    }
    if std::env::args().skip(1).any(|flag| flag == "--help" || flag == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_max_level(tracing::Level::INFO)
        // To say there that nothing can be written there would end the process.
        .log_internal_errors(false)
        .init();
    let served = Vat::run(async {
        let arguments = Arguments::parse(std::env::args().skip(1))?;
        let shutdown = interrupted().map_err(|e| CannotStart(e.to_string()))?;
        // The node first: an invite is not spent on one that cannot serve.
        let node = Rc::new(arguments.node(tools()).await?);
        let member = arguments.member().await?;
        node::run(&member, &node, shutdown).await;
        Ok(())
    });
    match served {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(CannotStart(why))) => fail(&why),
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

/// Makes of a file that may not grow an error of the write, as a full disk is, and not of the
/// process.
///
/// # Errors
///
/// Signals cannot be listened to.
pub fn outlive_bounded_files() -> io::Result<()> {
    // Listening once is enough, whether anybody hears or not.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

/// Answers when the process is asked to end.
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    outlive_bounded_files()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, CannotStart> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_command_line_is_read() {
        let arguments = parse("--dir d --label a --label b --join line").unwrap();
        assert_eq!(arguments.dir, PathBuf::from("d"));
        assert_eq!(arguments.labels, ["a", "b"]);
        assert_eq!(arguments.join.as_deref(), Some("line"));
        for wrong in ["--dir", "--dri d", "d"] {
            assert!(parse(wrong).unwrap_err().to_string().contains("usage"), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_stranger_without_an_invite_is_told_how_to_get_one() {
        let dir = tempfile::tempdir().unwrap();
        let line = format!("--dir {}", dir.path().display());
        let refused = parse(&line).unwrap().member().await.unwrap_err();
        assert!(refused.to_string().contains("remit invite"), "{refused}");
        let wrong = parse(&format!("{line} --join nonsense")).unwrap().member().await;
        assert!(wrong.is_err());
    }
}
