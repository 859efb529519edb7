//! `remit trigger`: what creates tasks or sends input by itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use remit_client::{Client, Does, Missed, PostProof, Trigger, TriggerInfo, Webhook, When};
use remit_core::grant::text::moment;

use super::run::Program;
use super::task::{Among, choose, json_or_text};
use crate::clock;
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::table::Keep;
use crate::show::{listed, out, table, text};

/// Create tasks or send input at set times, or when something is posted to a webhook
#[derive(Debug, Args)]
pub(super) struct TriggerCommand {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add a trigger, or replace the one of this name
    Put(Box<Put>),
    /// List the triggers, when each was last set off and when it will be next
    List {
        /// One JSON object a line, for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove a trigger
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
struct Put {
    /// Its name: letters, digits, - and _
    #[arg(value_name = "NAME")]
    trigger: String,

    #[command(flatten)]
    when: Times,

    /// The time zone of --cron
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,

    /// With --webhook: posts are signed as GitHub does it, with the secret that the orchestrator's
    /// operator keeps for this client's trigger of this name
    #[arg(long, requires = "webhook")]
    signed: bool,

    /// With --webhook: a header of the post that the task is given, as {headers, body} in place of the
    /// body; may be given more than once
    #[arg(long, value_name = "HEADER", requires = "webhook")]
    header: Vec<String>,

    /// What becomes of times at which the orchestrator did not run: the last is made up for, none
    /// is, or each is (a hundred at most)
    #[arg(long, value_enum, default_value_t = Made::Once)]
    missed: Made,

    /// Send input to this task, in place of creating one
    #[arg(long, value_name = "TASK", conflicts_with = "file")]
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    send: Option<String>,

    /// With --send: the agent is handed it in what it is doing
    #[arg(long, requires = "send")]
    steer: bool,

    /// The script of the task that is created, as with `remit run`
    #[arg(required_unless_present = "send")]
    file: Option<PathBuf>,

    #[command(flatten)]
    program: Program,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Times {
    /// Minute, hour, day of month, month and day of week, for example "0 9 * * 1-5"
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,

    /// An interval: 90s, 10m, 2h, 7d
    #[arg(long, value_name = "SPAN", value_parser = clock::span)]
    every: Option<Duration>,

    /// A POST of JSON to /hooks/NAME, at the address that the orchestrator's `webhooks` names
    #[arg(long)]
    webhook: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Made {
    Once,
    Skip,
    All,
}

impl TriggerCommand {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = match self.command {
            What::Put(put) => put.execute(&mesh.client).await,
            What::List { json } => list(&mesh.client, json, look).await,
            What::Remove { name } => mesh.client.remove_trigger(&name).await.map_err(Into::into),
        };
        if done.is_ok() && mesh.embedded.is_some() {
            out::note(&format!(
                "remit: no mesh runs for {}, and without one no trigger is set off: start one with \
                 `remit up`",
                place.home.dir().display()
            ));
        }
        mesh.leave().await;
        done
    }
}

impl Put {
    async fn execute(self, client: &Client) -> Result<(), Fault> {
        let when = match (self.when.cron, self.when.every) {
            (Some(expression), _) => When::Cron { expression, time_zone: self.zone },
            (None, Some(every)) => {
                When::Every(u64::try_from(every.as_millis()).unwrap_or(u64::MAX))
            }
            (None, None) => When::Webhook(Webhook {
                proof: if self.signed { PostProof::Signature } else { PostProof::Secret },
                headers: self.header.iter().map(|name| name.to_ascii_lowercase()).collect(),
            }),
        };
        let does = match (&self.send, &self.file) {
            (None, Some(file)) => Does::Create(Box::new(self.program.spec(file)?)),
            (task, _) => Does::Send {
                task: choose(client, task.as_deref(), Among::Every).await?.id(),
                value: json_or_text(&self.program.input)?,
                steer: self.steer,
            },
        };
        let missed = match self.missed {
            Made::Once => Missed::Once,
            Made::Skip => Missed::Skip,
            Made::All => Missed::All,
        };
        let trigger = Trigger { name: self.trigger.clone(), when, missed, does };
        let is_hook = matches!(trigger.when, When::Webhook(_));
        let secret = client.put_trigger(trigger).await?;
        if !is_hook {
            return Ok(());
        }
        let address = client.health().await?.webhooks;
        if address.is_empty() {
            out::note(
                "remit: the orchestrator takes no posts: start it with --webhooks ADDRESS, \
                 REMIT_WEBHOOKS or `webhooks` in its configuration",
            );
        }
        let address = if address.is_empty() { "ADDRESS" } else { &address };
        let url = format!("http://{address}/hooks/{}", self.trigger);
        if secret.is_empty() {
            out::note(&format!(
                "remit: post to {url} with `X-Hub-Signature-256`, signed with the secret that the \
                 orchestrator keeps for it"
            ));
            return Ok(());
        }
        out::note(&format!(
            "remit: post to {url} with `Authorization: Bearer SECRET`; the secret is shown once:"
        ));
        out::line(&secret)
    }
}

async fn list(client: &Client, json: bool, look: Look) -> Result<(), Fault> {
    let triggers = client.triggers().await?;
    if json {
        return listed::print(&triggers, listed::trigger);
    }
    if triggers.is_empty() {
        out::note("remit: no triggers; add one with: remit trigger put NAME --cron ... FILE");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = triggers.iter().map(row).collect();
    let header = [
        ("TRIGGER", Keep::Start),
        ("WHEN", Keep::Start),
        ("DOES", Keep::Start),
        ("LAST", Keep::Start),
        ("NEXT", Keep::Start),
        ("FAILURE", Keep::Start),
    ];
    table::lines(&header, &rows, look).iter().try_for_each(|line| out::line(line))
}

fn row(trigger: &TriggerInfo) -> Vec<String> {
    let when = match &trigger.when {
        When::Cron { expression, time_zone } => format!("{expression} {time_zone}"),
        When::Every(ms) => format!("every {}", text::span(*ms)),
        When::Webhook(hook) if hook.proof == PostProof::Signature => "signed webhook".into(),
        When::Webhook(_) => "webhook".into(),
    };
    let does = match (&trigger.creates, trigger.sends_to) {
        (Some(name), _) => format!("creates {name}"),
        (None, Some(task)) => format!("sends to {task}"),
        (None, None) => String::new(),
    };
    let at = |ms: u64| if ms == 0 { "-".into() } else { moment(ms) };
    let cells = [
        trigger.name.clone(),
        when,
        does,
        at(trigger.last_ms),
        at(trigger.next_ms),
        trigger.failure.clone(),
    ];
    cells.iter().map(|cell| text::harmless(cell)).collect()
}
