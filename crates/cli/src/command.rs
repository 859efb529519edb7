//! What people type: one file for each command.

mod agent_node;
mod agent_worker;
mod approve;
mod asked;
mod attach;
mod audit;
mod backup;
mod call;
mod cancel;
mod compact;
mod completions;
mod doctor;
mod drain;
mod fork;
mod give;
mod grants;
mod inbox;
mod init;
pub(crate) mod invite;
mod invites;
mod join;
mod log;
mod mcp;
mod members;
mod nodes;
mod orchestrator;
mod pause;
mod ps;
mod refs;
mod restore;
mod result;
mod revoke;
mod rm;
mod run;
mod save;
mod send;
mod serving;
mod settle;
mod task;
mod tool_node;
mod tools;
mod trigger;
mod types;
mod up;
mod upgrade;
mod verify;
mod who;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use remit_confine::Duty;

use crate::config::{Kind, Settings};
use crate::fault::{Fault, doing};
use crate::home::Home;
use crate::mesh::Place;

/// A mesh in which agents do durable work with exactly the authority they were handed.
#[derive(Debug, Parser)]
#[command(name = "remit", version, max_term_width = 100)]
pub(crate) struct Line {
    /// The folder in which the mesh of this machine lives; by default one in your state directory for
    /// each folder that you work in
    #[arg(long, global = true, env = "REMIT_HOME", value_name = "DIR")]
    home: Option<PathBuf>,

    /// A mesh elsewhere, host:port, that was joined with `remit join`
    #[arg(long, global = true, env = "REMIT_MESH", value_name = "ADDRESS")]
    mesh: Option<String>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Up(up::Up),
    Ps(ps::Ps),
    Attach(attach::Attach),
    Log(log::Log),
    Result(result::TaskResult),
    Send(send::Send),
    Cancel(cancel::Cancel),
    Rm(rm::Rm),
    Inbox(inbox::Inbox),
    Approve(approve::Approve),
    Deny(approve::Deny),
    Give(give::Give),
    Settle(settle::Settle),
    Trigger(trigger::TriggerCommand),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Fork(fork::Fork),
    Retry(fork::Retry),
    Upgrade(upgrade::Upgrade),
    Tools(tools::Tools),
    Types(types::Types),
    Init(init::Init),
    Mcp(mcp::Mcp),
    Nodes(nodes::Nodes),
    Drain(drain::Drain),
    Grants(grants::Grants),
    Who(who::Who),
    Revoke(revoke::Revoke),
    Audit(audit::Audit),
    Save(save::Save),
    Refs(refs::Refs),
    Call(call::Call),
    Members(members::Members),
    Expel(members::Expel),
    Invite(invite::Invite),
    Invites(invites::Invites),
    Join(join::Join),
    Doctor(doctor::Doctor),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Verify(verify::Verify),
    Compact(compact::Compact),
    Completions(completions::Completions),
    Orchestrator(orchestrator::Orchestrator),
    AgentNode(agent_node::AgentNode),
    ToolNode(tool_node::ToolNode),
    #[command(hide = true)]
    AgentWorker(agent_worker::AgentWorker),
}

impl Line {
    /// What kind of process this becomes.
    pub(crate) const fn kind(&self) -> Kind {
        match self.command {
            Command::Orchestrator(_) | Command::AgentNode(_) | Command::ToolNode(_) => Kind::Node,
            _ => Kind::Command,
        }
    }

    /// What this process goes on to do, and keeps privileges for.
    pub(crate) const fn duty(&self) -> Duty {
        match self.command {
            Command::Orchestrator(_) => Duty::Orchestrator,
            Command::AgentNode(_) | Command::AgentWorker(_) => Duty::AgentNode,
            Command::ToolNode(_) => Duty::ToolNode,
            _ => Duty::Command,
        }
    }

    /// Does what was typed.
    pub(crate) fn execute(self, settings: &Settings) -> Result<ExitCode, Fault> {
        let home = Home::find(self.home.as_deref(), Path::new("."), settings.state.as_deref());
        if self.duty() == Duty::Command {
            home.check()?;
        }
        let (place, look) = (Place { home, address: self.mesh }, settings.look);
        let done = match self.command {
            Command::Run(command) => wait(command.execute(&place, look)),
            Command::Up(command) => wait(command.execute(&place)),
            Command::Ps(command) => wait(command.execute(&place, look)),
            Command::Attach(command) => wait(command.execute(&place, look)),
            Command::Log(command) => wait(command.execute(&place, look)),
            Command::Result(command) => wait(command.execute(&place)),
            Command::Send(command) => wait(command.execute(&place)),
            Command::Cancel(command) => wait(command.execute(&place)),
            Command::Rm(command) => wait(command.execute(&place)),
            Command::Inbox(command) => wait(command.execute(&place, look)),
            Command::Approve(command) => wait(command.execute(&place)),
            Command::Deny(command) => wait(command.execute(&place)),
            Command::Give(command) => wait(command.execute(&place)),
            Command::Settle(command) => wait(command.execute(&place)),
            Command::Trigger(command) => wait(command.execute(&place, look)),
            Command::Pause(command) => wait(command.execute(&place)),
            Command::Resume(command) => wait(command.execute(&place)),
            Command::Fork(command) => wait(command.execute(&place)),
            Command::Retry(command) => wait(command.execute(&place)),
            Command::Upgrade(command) => wait(command.execute(&place)),
            Command::Tools(command) => wait(command.execute(&place, look)),
            Command::Types(command) => wait(command.execute(&place)),
            Command::Init(command) => wait(command.execute(&place)),
            Command::Mcp(command) => command.execute(),
            Command::Nodes(command) => wait(command.execute(&place, look)),
            Command::Drain(command) => wait(command.execute(&place)),
            Command::Grants(command) => wait(command.execute(&place, look)),
            Command::Who(command) => wait(command.execute(&place, look)),
            Command::Revoke(command) => wait(command.execute(&place)),
            Command::Audit(command) => wait(command.execute(&place)),
            Command::Save(command) => wait(command.execute(&place)),
            Command::Refs(command) => wait(command.execute(&place, look)),
            Command::Call(command) => wait(command.execute(&place)),
            Command::Members(command) => wait(command.execute(&place, look)),
            Command::Expel(command) => wait(command.execute(&place)),
            Command::Invite(command) => wait(command.execute(&place)),
            Command::Invites(command) => wait(command.execute(&place, look)),
            Command::Join(command) => wait(command.execute(&place)),
            Command::Doctor(command) => wait(command.execute(&place, look)),
            Command::Backup(command) => wait(command.execute(&place)),
            Command::Restore(command) => wait(command.execute(&place)),
            Command::Verify(command) => wait(command.execute(&place)),
            Command::Compact(command) => wait(command.execute(&place)),
            Command::Completions(command) => command.execute(),
            Command::Orchestrator(command) => command.execute(),
            Command::AgentNode(command) => command.execute(),
            Command::ToolNode(command) => command.execute(&place.home),
            Command::AgentWorker(command) => return Ok(command.execute()),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

/// Runs a command that waits for a mesh.
fn wait(command: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(doing("no event loop"))?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pages that show commands.
    fn pages() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|page| page.unwrap().path());
        let fixed =
            ["README.md", "deploy/README.md", "CONTRIBUTING.md"].map(|page| root.join(page));
        docs.chain(fixed).filter(|page| page.extension().is_some_and(|end| end == "md")).collect()
    }

    /// The commands of this program in a page's blocks of code, a line each.
    fn commands(page: &str) -> Vec<String> {
        let blocks = page.split("```").skip(1).step_by(2).filter(|block| {
            let kind = block.lines().next().unwrap_or_default().trim();
            ["", "sh", "console"].contains(&kind)
        });
        let text: String = blocks.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
        let shown = text.lines().map(|line| line.trim().trim_start_matches("$ "));
        shown.filter_map(command).collect()
    }

    /// What this program is given on a line of a shell, if the line runs it.
    fn command(line: &str) -> Option<String> {
        let ran = line.strip_prefix("cargo run -- ").or_else(|| line.strip_prefix("remit "));
        let by_another = || line.strip_prefix("sudo -u ")?.split_once(" remit ").map(|(_, is)| is);
        ran.or_else(by_another).map(|given| format!("remit {given}"))
    }

    /// The words of a line, as a shell splits it; what follows `#`, `|`, `<` or `>` is not the
    /// program's. `CALL` stands for a number.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in line.chars() {
            match (quote, c) {
                (None, '\'' | '"') => (quote, word) = (Some(c), Some(word.unwrap_or_default())),
                (Some(open), _) if open == c => quote = None,
                (None, '#' | '|' | '<' | '>') if word.is_none() => break,
                (None, ' ') => words.extend(word.take()),
                _ => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words.into_iter().map(|word| if word == "CALL" { "1".to_owned() } else { word }).collect()
    }

    #[test]
    fn every_documented_command_is_understood() {
        let mut found = 0;
        let mut wrong = Vec::new();
        for page in pages() {
            for line in commands(&std::fs::read_to_string(&page).unwrap()) {
                found += 1;
                if let Err(error) = Line::try_parse_from(words(&line))
                    && error.use_stderr()
                {
                    wrong.push(format!("{}: {line}\n{error}", page.display()));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(found > 60, "only {found} commands were found: does the search still work?");
    }

    /// Flags of nodes that are no settings, each with the reason.
    const NO_SETTING: [(&str, &str); 4] = [
        ("config", "names the file itself"),
        ("join", "a secret that is used once"),
        ("here", "stands in the place of a file"),
        ("until-stdin-closes", "is about the process that starts this one"),
    ];

    /// Flags whose setting has another name, since it takes several, or a table.
    const RENAMED: [(&str, &str); 3] =
        [("label", "labels"), ("notify-url", "notify"), ("notify-command", "notify")];

    /// What a node says to a configuration with this line alone, if it does not take it.
    fn refusal(node: &str, line: String) -> String {
        let refused = match node {
            "orchestrator" => toml::from_str::<remit_orchestrator::config::Config>(&line)
                .err()
                .map(|error| error.to_string()),
            "agent-node" => toml::from_str::<remit_agent_node::config::Config>(&line)
                .err()
                .map(|error| error.to_string()),
            _ => remit_tool_node::config::Config::parse(Path::new("x.toml"), line)
                .err()
                .map(|error| error.to_string()),
        };
        refused.unwrap_or_default()
    }

    #[test]
    fn every_flag_of_a_node_is_a_setting_of_its_file() {
        let program = <Line as clap::CommandFactory>::command();
        let mut looked_at = 0;
        for node in ["orchestrator", "agent-node", "tool-node"] {
            let command = program.find_subcommand(node).unwrap();
            for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
                if NO_SETTING.iter().any(|(name, _)| *name == flag) {
                    continue;
                }
                let renamed = RENAMED.iter().find(|(name, _)| *name == flag);
                let key = renamed.map_or_else(|| flag.replace('-', "_"), |(_, key)| (*key).into());
                let said = refusal(node, format!("{key} = 1"));
                assert!(!said.contains("unknown field"), "{node} --{flag}: {said}");
                looked_at += 1;
            }
            assert!(refusal(node, "no_such_setting = 1".into()).contains("unknown field"));
        }
        assert!(looked_at > 12, "only {looked_at} flags were found");
    }
}
