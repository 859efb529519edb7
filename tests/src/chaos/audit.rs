//! The comparison at the end of a chaos run: the effects at the tools against the journals.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use remit_client::{Client, Code, EventNumber, Fact, Followed, TaskFilter, TaskHandle, Value};
use remit_core::{GrantId, Outcome};

use crate::fleet::Fleet;

/// The result of the comparison.
#[derive(Debug, Default)]
pub struct Report {
    /// Tasks that completed.
    pub completed: usize,
    /// Tasks that failed, each with its error.
    pub failed: Vec<String>,
    /// Calls with effects that were answered.
    pub effects: usize,
    /// Calls given up with the code `unknown`.
    pub unknown: usize,
    /// Effects that were acknowledged and are absent.
    pub lost: usize,
    /// Effects that are present more often than they were requested.
    pub doubled: usize,
    /// Effects without an intent in any journal.
    pub stray: usize,
}

impl Report {
    /// Whether every task completed, and no effect is lost, doubled or stray.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.lost + self.doubled + self.stray == 0
    }
}

/// The calls of `count` at one node that the journals record, by the caller's name.
#[derive(Default)]
struct Counted {
    sure: BTreeSet<String>,
    unsure: BTreeSet<String>,
}

/// The counter file of one node.
struct Counter {
    number: usize,
    /// The names of the last callers. The file keeps a bounded number of them.
    names: Vec<String>,
}

impl Counter {
    fn read(dir: &Path) -> Self {
        let text = std::fs::read_to_string(dir.join("counter.txt")).unwrap_or_default();
        let mut lines = text.lines();
        let number = lines.next().map_or(0, |number| number.parse().unwrap());
        Self { number, names: lines.map(str::to_owned).collect() }
    }

    /// Compares the counter with the journals.
    fn compare(&self, counted: &Counted, report: &mut Report) {
        let names: BTreeSet<&String> = self.names.iter().collect();
        report.doubled += self.names.len() - names.len();
        let asked =
            |name: &&&String| counted.sure.contains(**name) || counted.unsure.contains(**name);
        report.stray += names.iter().filter(|name| !asked(name)).count();
        let most = counted.sure.len() + counted.unsure.len();
        report.doubled += self.number.saturating_sub(most);
        // The file drops the oldest names. Then only the numbers can be compared.
        report.lost += match self.number == self.names.len() {
            true => counted.sure.iter().filter(|name| !names.contains(name)).count(),
            false => counted.sure.len().saturating_sub(self.number),
        };
    }
}

/// The calls that the journals record.
#[derive(Default)]
struct Said {
    asked: BTreeSet<String>,
    appended: Vec<String>,
    counted: BTreeMap<String, Counted>,
}

/// Every task, also those whose creation was never acknowledged.
async fn tasks(client: &Client) -> Vec<TaskHandle> {
    let mut found = Vec::new();
    let mut filter = TaskFilter::default();
    loop {
        let page = client.tasks(filter.clone()).await.unwrap();
        let Some(last) = page.last() else { return found };
        filter.after = Some(last.id);
        found.extend(page.iter().map(|task| client.task(task.id)));
    }
}

/// Waits for the end of every task and compares. The tasks in `acknowledged` must exist.
pub async fn audit(fleet: &Fleet, acknowledged: &[TaskHandle]) -> Report {
    let mut report = Report::default();
    let mut said = Said::default();
    let tasks = tasks(&fleet.client).await;
    let gone = acknowledged.iter().filter(|made| !tasks.iter().any(|task| task.id() == made.id()));
    report.failed.extend(gone.map(|task| format!("{}: acknowledged and gone", task.id())));
    for task in &tasks {
        match task.result().await {
            Ok(_) => report.completed += 1,
            Err(error) => report.failed.push(format!("{}: {error}", task.id())),
        }
        read(task, &mut said, &mut report).await;
    }
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for node in &fleet.nodes {
        let dir = fleet.dir_of(node);
        let text = std::fs::read_to_string(dir.join("effects.txt")).unwrap_or_default();
        for line in text.lines() {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
        let counted = said.counted.remove(&node.name).unwrap_or_default();
        Counter::read(&dir).compare(&counted, &mut report);
    }
    report.lost += said.appended.iter().filter(|line| !lines.contains_key(*line)).count();
    report.doubled += lines.values().map(|count| count - 1).sum::<usize>();
    report.stray += lines.keys().filter(|line| !said.asked.contains(*line)).count();
    report
}

async fn read(task: &TaskHandle, said: &mut Said, report: &mut Report) {
    let mut nodes: BTreeMap<GrantId, String> = BTreeMap::new();
    let mut asked = BTreeMap::new();
    let mut events = task.events(EventNumber(0)).await.unwrap();
    while let Some(followed) = events.next().await {
        let Followed::Event(event) = followed.unwrap() else { continue };
        match event.fact {
            Fact::GrantAdded(grant) => {
                let name = grant.node.rsplit('/').next().unwrap_or_default().to_owned();
                nodes.insert(grant.grant, name);
            }
            Fact::CallRequested(request) => {
                let node = nodes.get(&request.grant).cloned().unwrap_or_default();
                let line = text_in(&request.args).unwrap_or_default();
                if request.method == "append" {
                    said.asked.insert(line.clone());
                }
                asked.insert(request.call, (request.method.clone(), node, line));
            }
            Fact::CallCompleted { call, outcome, .. } => {
                let Some((method, node, line)) = asked.remove(&call) else { continue };
                let sure = match outcome {
                    Outcome::Value { .. } => true,
                    Outcome::Failure(failure) if failure.code == Code::Unknown => false,
                    // After any other failure the effect is not required.
                    Outcome::Failure(_) => continue,
                };
                report.unknown += usize::from(!sure);
                report.effects += usize::from(sure && matches!(&*method, "append" | "count"));
                let counted = said.counted.entry(node).or_default();
                match method.as_str() {
                    "append" if sure => said.appended.push(line),
                    "count" if sure => drop(counted.sure.insert(line)),
                    "count" => drop(counted.unsure.insert(line)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// The first text in a value.
pub(super) fn text_in<C>(value: &Value<C>) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::List(items) => items.iter().find_map(text_in),
        Value::Fields(fields) => fields.iter().find_map(|(_, value)| text_in(value)),
        _ => None,
    }
}
