//! Telling operators: a webhook or a command of theirs is called when something enters the inbox or a
//! task ends. At least once, in the order of the events, whatever dies.

mod sink;

use std::path::PathBuf;

use futures::future::join_all;
use remit_core::Identity;
use remit_core::audit::{Decision, Record};
use remit_journal::{Journal as _, JournalError, Notice, SledJournal, Topic, UnsentNotices};
use remit_vat::backoff::Backoff;
use serde::Deserialize;
use serde_json::json;

use self::sink::{NotTaken, Sink};
use crate::limits;
use remit_journal::audit::Audit;

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
    pub on: Vec<Topic>,
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

fn everything() -> Vec<Topic> {
    Topic::ALL.to_vec()
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

/// What notifications are read from, and where it is recorded that one was given up.
pub(crate) struct Source<'a> {
    pub(crate) journal: Option<SledJournal>,
    pub(crate) audit: &'a Audit,
    /// In whose name that is recorded.
    pub(crate) own: &'a Identity,
}

/// The topics of these sinks, each with the sink's name.
pub(crate) fn topics(sinks: &[SinkConfig]) -> Vec<(String, Topic)> {
    let of = |sink: &SinkConfig| -> Vec<_> {
        let named = |topic| (sink.name.clone(), topic);
        Topic::ALL.into_iter().filter(|topic| sink.on.contains(topic)).map(named).collect()
    };
    sinks.iter().flat_map(of).collect()
}

/// Tells these sinks, for ever. Without any, what was kept for others is removed.
pub(crate) async fn keep_telling(source: Source<'_>, sinks: &[SinkConfig]) {
    let Source { journal, audit, own } = source;
    if let Some(journal) = &journal {
        let kept = topics(sinks);
        while let Err(error) = journal.keep_notices_for(&kept).await {
            tracing::warn!(%error, "notifications cannot be kept yet");
            tokio::time::sleep(limits::NOTICE_LOOK).await;
        }
        let tellings = kept.iter().filter_map(|(name, topic)| {
            let sink = Sink::new(sinks.iter().find(|sink| sink.name == *name)?);
            Some(tell_all(Telling { journal, audit, own, topic: *topic }, sink))
        });
        join_all(tellings).await;
    }
    std::future::pending::<()>().await;
}

/// The telling of one topic to one sink.
struct Telling<'a> {
    journal: &'a SledJournal,
    audit: &'a Audit,
    own: &'a Identity,
    topic: Topic,
}

/// Tells one sink of everything of one topic, for ever.
async fn tell_all(telling: Telling<'_>, sink: Result<Sink, String>) {
    let sink = match sink {
        Ok(sink) => sink,
        Err(why) => return tracing::error!(why, "a sink of notifications cannot be used"),
    };
    let mut added = telling.journal.notices_added();
    let mut last = None;
    loop {
        match telling.tell_next(&sink, last.as_ref()).await {
            Ok(Some(told)) => {
                last = Some(told);
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(sink = sink.name(), %error, "notifications cannot be read");
            }
        }
        // Also polled: an append whose caller was dropped does not signal `added`.
        let _elapsed = tokio::time::timeout(limits::NOTICE_LOOK, added.changed()).await;
    }
}

impl Telling<'_> {
    /// Tells a sink of the next notice, and gives it. `None`: there is none.
    async fn tell_next(
        &self,
        sink: &Sink,
        last: Option<&UnsentNotices>,
    ) -> Result<Option<UnsentNotices>, JournalError> {
        let Some(untold) = self.journal.untold(sink.name(), self.topic, last)? else {
            return Ok(None);
        };
        if untold.given_up > 0 {
            let why = format!("{} were given up: too many wait", untold.given_up);
            self.given_up(sink, &untold, &why).await;
        }
        match &untold.notice {
            None => self.given_up(sink, &untold, "it is damaged").await,
            Some(notice) => {
                // A head that cannot be read holds up no other creator's notices.
                let head = self.journal.head(&notice.tenant, notice.task).unwrap_or_else(|error| {
                    tracing::warn!(task = %notice.task, %error, "a task of a notification cannot be read");
                    None
                });
                let name = head.map(|head| head.name).unwrap_or_default();
                let body = message(untold.number, notice, &name);
                if let Err(why) = try_to_tell(sink.name(), || sink.tell(&body)).await {
                    self.given_up(sink, &untold, &why).await;
                }
            }
        }
        self.journal.told(&untold).await?;
        Ok(Some(untold))
    }

    /// Says in the log and the audit that a notification was not delivered.
    async fn given_up(&self, sink: &Sink, untold: &UnsentNotices, why: &str) {
        let (number, creator) = (untold.number, untold.creator.as_str());
        tracing::error!(sink = sink.name(), number, creator, why, "a notification was given up");
        let about = format!("notification {number} to {}", sink.name());
        let mut record =
            Record::new(self.own.to_string(), Decision::Undelivered).because(why).about(about);
        record.task = untold.notice.as_ref().map(|notice| notice.task);
        if let Err(failure) = self.audit.record(self.own.tenant(), record).await {
            tracing::warn!(sink = sink.name(), number, %failure, "that is not in the audit");
        }
    }
}

/// Tells it, again and again if it fails. Fails with the last reason when that was often enough, and at
/// once when the sink refuses it.
async fn try_to_tell<F: Future<Output = Result<(), NotTaken>>>(
    sink: &str,
    tell: impl Fn() -> F,
) -> Result<(), String> {
    let mut backoff = Backoff::new(limits::NOTICE_RETRY.0, limits::NOTICE_RETRY.1);
    let mut tries = 1;
    loop {
        let why = match tell().await {
            Ok(()) => return Ok(()),
            Err(NotTaken::Refused(why)) => return Err(why),
            Err(NotTaken::Failed(why)) if tries >= limits::NOTICE_TRIES => return Err(why),
            Err(NotTaken::Failed(why)) => why,
        };
        if tries == 1 {
            tracing::warn!(sink, why, "a notification was not taken; it is tried again");
        }
        tries += 1;
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// What is told: which task, and what happened. Nothing of what the task holds, asks or says.
fn message(number: u64, notice: &Notice, name: &str) -> String {
    json!({
        "notification": number,
        "event": match notice.what.topic() {
            Topic::Question => "question",
            Topic::Ended => "ended",
        },
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
