//! `remit audit`: what was done with authority, and whether its record is what was written.

use std::time::Duration;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use remit_client::{AuditFilter, Client};
use remit_core::audit::Record;
use remit_core::grant::text::moment;
use serde_json::json;

use super::task::{Among, choose};
use crate::clock;
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::text::{harmless, short};

/// Show what was done with authority: who used, refused, handed out or took back what
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Audit {
    #[command(subcommand)]
    action: Option<Action>,

    /// Of this task only: its id, the end of it, or its name
    #[arg(long)]
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: Option<String>,

    /// Of whom: an identity, or its last part
    #[arg(long, default_value = "")]
    who: String,

    /// Of this tool
    #[arg(long, default_value = "")]
    #[arg(add = ArgValueCandidates::new(complete::tools))]
    tool: String,

    /// With this decision: allowed, denied, granted, revoked, accepted, joined, ...
    #[arg(long, default_value = "")]
    decision: String,

    /// Not older than this: 90s, 10m, 2h, 7d
    #[arg(long, value_parser = clock::span)]
    since: Option<Duration>,

    /// One JSON object a line, with all fields
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check the hash chains of all that is recorded, and say where one is broken
    Verify,
}

impl Audit {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = match self.action {
            Some(Action::Verify) => verify(&mesh.client).await,
            None => self.show(&mesh.client).await,
        };
        mesh.leave().await;
        done
    }

    async fn show(&self, client: &Client) -> Result<(), Fault> {
        let task = match &self.task {
            Some(named) => Some(choose(client, Some(named), Among::Every).await?.id()),
            None => None,
        };
        let age = self.since.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let filter = AuditFilter {
            task,
            who: self.who.clone(),
            tool: self.tool.clone(),
            decision: self.decision.clone(),
            since_ms: age.map_or(0, |age| clock::now_ms().saturating_sub(age)),
        };
        let (mut cursor, mut lines) = (String::new(), Vec::new());
        loop {
            let page = client.audit(&filter, &cursor).await?;
            for record in &page.records {
                match self.json {
                    true => out::json(&as_json(record))?,
                    false => lines.push((record.time_ms, line(record))),
                }
            }
            cursor = page.cursor;
            if cursor.is_empty() {
                break;
            }
        }
        // They come stream by stream, as the chains are; a person reads them as they happened.
        lines.sort_by_key(|(time_ms, _)| *time_ms);
        lines.iter().try_for_each(|(_, line)| out::line(line))
    }
}

async fn verify(client: &Client) -> Result<(), Fault> {
    let (mut cursor, mut checked, mut broken) = (String::new(), 0, 0);
    loop {
        let step = client.verify_audit(&cursor).await?;
        checked += step.checked;
        broken += step.broken.len();
        step.broken.iter().try_for_each(|line| out::line(&harmless(line)))?;
        cursor = step.cursor;
        if cursor.is_empty() {
            break;
        }
    }
    out::note(&format!("remit: {checked} records and events are what was written"));
    if broken == 0 { Ok(()) } else { Err(Fault::Said) }
}

/// A record as JSON. The names of the fields are for ever; see `docs/audit.md`.
fn as_json(record: &Record) -> serde_json::Value {
    let chain: Vec<u32> = record.chain.iter().map(|grant| grant.0).collect();
    json!({
        "stream": record.task.map_or_else(|| "mesh".to_owned(), |task| task.to_string()),
        "number": record.number, "timeMs": record.time_ms, "time": moment(record.time_ms),
        "who": record.who, "decision": record.decision.as_str(), "chain": chain,
        "name": record.name, "tool": record.tool, "node": record.node, "object": record.object,
        "method": record.method, "operation": record.operation.map(|operation| operation.0),
        "digest": record.digest.map(hex::encode), "caveat": record.caveat,
        "reason": record.reason, "subject": record.subject, "hash": hex::encode(record.hash),
    })
}

fn line(record: &Record) -> String {
    // A grant that was narrowed has no name, but a number, as in `remit grants`.
    let grant = match (&record.name[..], record.chain.first()) {
        ("", Some(number)) => format!("#{number}"),
        (name, _) => name.to_owned(),
    };
    let what = match (record.method.as_str(), record.tool.as_str()) {
        ("", "") => String::new(),
        ("", tool) => format!(" {grant} ({tool})"),
        (method, tool) => format!(" {grant}.{method} ({tool})"),
    };
    let about = [&record.subject, &record.caveat, &record.reason];
    let about: Vec<String> =
        about.iter().filter(|text| !text.is_empty()).map(|text| short(text, 160)).collect();
    format!(
        "{}  {:<10} {}{}  {}",
        moment(record.time_ms),
        record.decision.as_str(),
        harmless(&record.who),
        harmless(&what),
        about.join("; ")
    )
    .trim_end()
    .to_owned()
}

#[cfg(test)]
mod tests {
    use remit_core::GrantId;
    use remit_core::audit::Decision;

    use super::*;

    fn record() -> Record {
        Record {
            number: 3,
            chain: vec![GrantId(2), GrantId(1)],
            name: "src".into(),
            tool: "fs".into(),
            method: "write".into(),
            caveat: "methods=read".into(),
            digest: Some([1; 32]),
            ..Record::new("task:x", Decision::Denied).because("no\nway")
        }
    }

    #[test]
    fn a_record_reads_in_a_line() {
        let line = line(&record());
        assert!(line.ends_with("denied     task:x src.write (fs)  methods=read; no⏎way"), "{line}");
        let narrowed = super::line(&Record { name: String::new(), ..record() });
        assert!(narrowed.contains("task:x #2.write (fs)"), "{narrowed}");
    }

    #[test]
    fn the_names_of_the_fields_stay() {
        let json = as_json(&record());
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = vec![
            "stream",
            "number",
            "timeMs",
            "time",
            "who",
            "decision",
            "chain",
            "name",
            "tool",
            "node",
            "object",
            "method",
            "operation",
            "digest",
            "caveat",
            "reason",
            "subject",
            "hash",
        ];
        expected.sort_unstable();
        let mut names = names;
        names.sort_unstable();
        assert_eq!(names, expected);
    }
}
