//! Telling operators: a webhook or a command of theirs is called when something enters the inbox or a
//! task ends. At least once, in the order of the events, whatever dies.

mod sink;

use std::path::PathBuf;
use std::rc::Rc;

use futures::future::join_all;
use remit_journal::{Journal as _, JournalError, Notice, SledJournal};
use remit_vat::backoff::Backoff;
use serde::Deserialize;
use serde_json::json;

use self::sink::Sink;
use crate::limits;

/// Whom to tell of what.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// Its name, for logs; what it was told of is noted under it.
    pub name: String,
    /// Where to post, if it is a webhook.
    pub url: Option<String>,
    /// The program to start and its arguments, if it is a command.
    #[serde(default)]
    pub command: Vec<String>,
    /// A file with the secret by which posts are signed.
    pub secret_file: Option<PathBuf>,
    /// What it is told of; by default all.
    #[serde(default = "everything")]
    pub on: Vec<On>,
}

impl SinkConfig {
    /// A webhook that is told of everything.
    pub fn post(name: &str, url: String) -> Self {
        Self { url: Some(url), ..Self::named(name) }
    }

    /// A command that is told of everything.
    pub fn start(name: &str, program: String) -> Self {
        Self { command: vec![program], ..Self::named(name) }
    }

    fn named(name: &str) -> Self {
        let name = name.to_owned();
        Self { name, url: None, command: Vec::new(), secret_file: None, on: everything() }
    }
}

/// Of what a sink is told.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// Something waits for a person.
    Question,
    /// A task has ended.
    Ended,
}

fn everything() -> Vec<On> {
    vec![On::Question, On::Ended]
}

/// Refuses sinks that cannot be told, and says why.
pub fn check(sinks: &[SinkConfig]) -> Result<(), String> {
    if sinks.len() > limits::SINKS {
        return Err(format!(
            "there are {} [[notify]] sections; at most {}",
            sinks.len(),
            limits::SINKS
        ));
    }
    for (at, sink) in sinks.iter().enumerate() {
        let name = &sink.name;
        if name.is_empty() || name.len() > limits::SINK_NAME {
            return Err(format!("a [[notify]] has a name of 1 to {} bytes", limits::SINK_NAME));
        }
        if sinks.iter().take(at).any(|other| other.name == *name) {
            return Err(format!("two [[notify]] are called `{name}`"));
        }
        sink::check(sink).map_err(|why| format!("[[notify]] `{name}`: {why}"))?;
    }
    Ok(())
}

/// Tells these sinks, for ever. Without any, what was kept for others is removed.
pub async fn keep_telling(journal: Option<SledJournal>, sinks: &[SinkConfig]) {
    if let Some(journal) = journal {
        let names: Vec<String> = sinks.iter().map(|sink| sink.name.clone()).collect();
        while let Err(error) = journal.keep_notices_for(&names).await {
            tracing::warn!(%error, "notifications cannot be kept yet");
            tokio::time::sleep(limits::NOTICE_LOOK).await;
        }
        let journal = Rc::new(journal);
        join_all(sinks.iter().map(|sink| tell_all(Rc::clone(&journal), Sink::new(sink)))).await;
    }
    std::future::pending::<()>().await;
}

/// Tells one sink of everything, for ever.
async fn tell_all(journal: Rc<SledJournal>, sink: Result<Sink, String>) {
    let sink = match sink {
        Ok(sink) => sink,
        Err(why) => return tracing::error!(why, "a sink of notifications cannot be used"),
    };
    let mut added = journal.notices_added();
    loop {
        match tell_next(&journal, &sink).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(sink = sink.name(), %error, "notifications cannot be read");
            }
        }
        // Looked at now and then all the same: an append whose caller went tells nobody.
        let _elapsed = tokio::time::timeout(limits::NOTICE_LOOK, added.changed()).await;
    }
}

/// Tells a sink of the next notice. `false`: there is none.
async fn tell_next(journal: &SledJournal, sink: &Sink) -> Result<bool, JournalError> {
    let untold = journal.untold(sink.name(), 1)?;
    if untold.skipped > 0 {
        let (sink, skipped) = (sink.name(), untold.skipped);
        tracing::error!(sink, skipped, "notifications were given up: too many wait");
    }
    let Some((number, notice)) = untold.next.into_iter().next() else { return Ok(false) };
    if notice.is_none() {
        tracing::error!(sink = sink.name(), number, "a notification is damaged, and was given up");
    }
    if let Some(notice) = notice.filter(|notice| sink.wants(notice.what)) {
        let head = journal.head(&notice.tenant, notice.task)?;
        let name = head.map(|head| head.name).unwrap_or_default();
        let body = message(number, &notice, &name);
        if let Err(why) = try_to_tell(sink.name(), || sink.tell(&body)).await {
            let task = notice.task;
            tracing::error!(sink = sink.name(), %task, number, why, "a notification was given up");
        }
    }
    journal.told(sink.name(), number).await?;
    Ok(true)
}

/// Tells it, again and again if it fails. Fails with the last reason when that was often enough.
async fn try_to_tell<F: Future<Output = Result<(), String>>>(
    sink: &str,
    tell: impl Fn() -> F,
) -> Result<(), String> {
    let mut backoff = Backoff::new(limits::NOTICE_RETRY.0, limits::NOTICE_RETRY.1);
    let mut tries = 1;
    while let Err(why) = tell().await {
        if tries >= limits::NOTICE_TRIES {
            return Err(why);
        }
        if tries == 1 {
            tracing::warn!(sink, why, "a notification was not taken; it is tried again");
        }
        tries += 1;
        tokio::time::sleep(backoff.next_wait()).await;
    }
    Ok(())
}

/// What is told: which task, and what happened. Nothing of what the task holds, asks or says.
fn message(number: u64, notice: &Notice, name: &str) -> String {
    json!({
        "notification": number,
        "event": if notice.what.is_end() { "ended" } else { "question" },
        "kind": notice.what.as_str(),
        "task": notice.task.to_string(),
        "name": name,
        "number": notice.event.0,
        "timeMs": notice.time_ms,
    })
    .to_string()
}

#[cfg(test)]
mod tests;
