//! One readable line for each event, with what is needed from the events before it.

mod control;
mod person;

use std::collections::{BTreeMap, HashMap};

use remit_client::{Event, Fact, Failure, Value};
use remit_core::event::{CallDenied, CallRequested, Grant, Level};
use remit_core::grant::text::GrantText;
use remit_core::{CallNumber, GrantId, ObjectId, Outcome};

use super::paint::{Ink, Paint};
use super::text::{self, count, harmless, short, span};
use crate::fault::coded;
use crate::limits::{SHOWN, WHY};

/// Turns events into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    paint: Paint,
    began_ms: Option<u64>,
    grants: HashMap<GrantId, String>,
    /// How each object-returning call reads, so that a chain reads as it was written.
    labels: HashMap<CallNumber, String>,
    /// Calls that are out, with the time at which they went.
    out: BTreeMap<CallNumber, (String, u64)>,
}

impl Lines {
    pub(crate) fn new(paint: Paint) -> Self {
        Self {
            paint,
            began_ms: None,
            grants: HashMap::new(),
            labels: HashMap::new(),
            out: BTreeMap::new(),
        }
    }

    /// The calls that are out, as the script wrote them.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &str> {
        self.out.values().map(|(label, _)| label.as_str())
    }

    /// The line of an event.
    pub(crate) fn line(&mut self, event: &Event) -> String {
        let began = *self.began_ms.get_or_insert(event.time_ms);
        let since = event.time_ms.saturating_sub(began);
        let at = format!("{:>4}.{:03}", since / 1_000, since % 1_000);
        let what = self.fact(&event.fact, event.time_ms);
        format!("{}  {what}", self.paint.ink(Ink::Dim, &at))
    }

    fn fact(&mut self, fact: &Fact, now_ms: u64) -> String {
        let paint = self.paint;
        match fact {
            Fact::TaskCreated(made) => {
                let files = count(made.source.len(), "file");
                let entry = harmless(&made.entry);
                format!(
                    "task {} ({entry}, {files})",
                    paint.ink(Ink::Name, &short(&made.name, SHOWN))
                )
            }
            Fact::AttemptStarted { attempt, node } => {
                format!("attempt {attempt} begins on {}", harmless(node))
            }
            Fact::AttemptEnded { attempt, reason, .. } => {
                format!("attempt {attempt} is over: {}", short(reason, 200))
            }
            Fact::GrantAdded(grant) => self.grant(grant),
            Fact::GrantRepinned { .. } | Fact::GrantRevoked { .. } | Fact::GrantEnded { .. } => {
                self.of_grant(fact)
            }
            Fact::CallRequested(call) => self.requested(call, now_ms),
            Fact::CallCompleted { call, outcome, .. } => self.completed(*call, outcome, now_ms),
            Fact::CallDenied(denied) => self.denied(denied),
            Fact::CallRecalled { call, .. } => {
                let label = self.label(*call);
                self.out.remove(call);
                format!("{} {label}: as before", paint.ink(Ink::Good, "✓"))
            }
            Fact::ResultOffloaded(_) | Fact::Introduced(_) | Fact::NotIntroduced { .. } => {
                self.direct(fact)
            }
            Fact::CallUnknown { call, reason } => {
                let label = self.label(*call);
                let what =
                    format!("? {label}: nobody knows what became of it: {}", short(reason, 200));
                paint.ink(Ink::Odd, &what)
            }
            Fact::LogEmitted { level, text, .. } => self.log(*level, text),
            Fact::InputAccepted { .. }
            | Fact::InputRequested { .. }
            | Fact::InputDelivered { .. }
            | Fact::SteersRequested { .. }
            | Fact::SteersDelivered { .. }
            | Fact::TimerSet { .. }
            | Fact::TimerFired { .. } => wait(fact, now_ms),
            Fact::TaskCompleted(value) => {
                format!("{} {}", paint.ink(Ink::Good, "completed:"), text::value(value, SHOWN))
            }
            Fact::TaskFailed(failure) => {
                format!("{} {}", paint.ink(Ink::Bad, "failed:"), short(&coded(failure), WHY))
            }
            Fact::TaskCancelled(reason) => {
                format!("{} {}", paint.ink(Ink::Odd, "cancelled:"), short(reason, 200))
            }
            Fact::ApprovalRequested(_)
            | Fact::ApprovalDecided(_)
            | Fact::CapabilityRequested(_)
            | Fact::CapabilityDecided(_)
            | Fact::SettlementRequested(_)
            | Fact::SettlementDecided(_)
            | Fact::SettlementWithdrawn { .. } => self.person(fact),
            Fact::TaskPaused { .. }
            | Fact::TaskResumed { .. }
            | Fact::CancelRequested(_)
            | Fact::TaskForked(_)
            | Fact::TaskUpgraded(_) => control::line(fact, paint),
        }
    }

    /// About a direct path.
    fn direct(&self, fact: &Fact) -> String {
        match fact {
            Fact::ResultOffloaded(kept) => {
                format!("{}: {} bytes go straight to the agent", self.label(kept.call), kept.bytes)
            }
            Fact::NotIntroduced { grant, reason, .. } => format!(
                "{}: no direct path, so its results go through the orchestrator: {}",
                self.name(*grant),
                short(reason, 200)
            ),
            Fact::Introduced(introduced) => {
                let (agent, node) = (harmless(&introduced.agent), harmless(&introduced.node));
                format!("introduced {agent} to {node}, for {}", self.name(introduced.grant))
            }
            _ => String::new(),
        }
    }

    fn of_grant(&self, fact: &Fact) -> String {
        match fact {
            Fact::GrantRepinned { grant, manifest, .. } => {
                let version = harmless(&manifest.version);
                format!("{} goes on with {version}, as accepted", self.name(*grant))
            }
            Fact::GrantRevoked { grant, reason, by } => {
                let name = self.name(*grant);
                let by = if by.is_empty() { String::new() } else { format!(" ({})", harmless(by)) };
                let what = format!("revoked {name}: {}{by}", short(reason, 200));
                self.paint.ink(Ink::Odd, &what)
            }
            Fact::GrantEnded { grant, reason } => {
                format!("ended {}: {}", self.name(*grant), short(reason, 200))
            }
            _ => String::new(),
        }
    }

    fn grant(&mut self, grant: &Grant) -> String {
        // One without a name is known by its number, below what it was made from.
        let name = match &grant.derived {
            Some(derived) => {
                if let Some(operation) = derived.operation {
                    self.labels.insert(operation, format!("#{}", grant.grant));
                }
                format!("#{}", grant.grant)
            }
            None => harmless(&grant.name),
        };
        self.grants.insert(grant.grant, name.clone());
        let written = GrantText {
            tool: grant.tool.clone(),
            version: grant.version.clone(),
            path: grant.path.clone(),
            caveats: grant.caveats.clone(),
            on_unknown: grant.on_unknown,
        };
        let line = format!(
            "grant {} = {}",
            self.paint.ink(Ink::Name, &name),
            harmless(&written.to_string())
        );
        let from = grant.derived.as_ref().map(|derived| {
            let to = match grant.holder.as_str() {
                "task" => String::new(),
                holder => format!(", passed on to {}", harmless(holder)),
            };
            format!("  from {}{to}", self.object(derived.object))
        });
        line + &self.paint.ink(Ink::Dim, &from.unwrap_or_default())
    }

    fn requested(&mut self, call: &CallRequested, now_ms: u64) -> String {
        let label = format!(
            "{}.{}({})",
            self.object(call.object),
            harmless(&call.method),
            text::args(&call.args, SHOWN)
        );
        if !call.returns.is_empty() {
            self.labels.insert(call.call, short(&label, SHOWN));
        }
        let line = format!("→ {label}");
        self.out.insert(call.call, (label, now_ms));
        line
    }

    fn completed(&mut self, call: CallNumber, outcome: &Outcome, now_ms: u64) -> String {
        let label = self.label(call);
        let took = self.out.remove(&call).map(|(_, began)| span(now_ms.saturating_sub(began)));
        let took = self.paint.ink(Ink::Dim, &took.map(|t| format!("  {t}")).unwrap_or_default());
        match outcome {
            // A method that returns nothing, or an object, or a value that went straight to the agent.
            Outcome::Value { value, .. } if **value == Value::Null => {
                format!("{} {label}{took}", self.paint.ink(Ink::Good, "✓"))
            }
            Outcome::Value { value, .. } => {
                let value = text::value(value, SHOWN);
                format!("{} {label}: {value}{took}", self.paint.ink(Ink::Good, "✓"))
            }
            Outcome::Failure(failure) => {
                let why = self.paint.ink(Ink::Bad, &said(failure));
                format!("{} {label}: {why}{took}", self.paint.ink(Ink::Bad, "✗"))
            }
        }
    }

    fn denied(&self, denied: &CallDenied) -> String {
        let on = self.object(denied.object);
        let what = format!("✗ {on}.{}(…): {}", harmless(&denied.method), said(&denied.failure));
        let caveat = harmless(&denied.failure.detail);
        let caveat = if caveat.is_empty() { caveat } else { format!("  [{caveat}]") };
        self.paint.ink(Ink::Bad, &format!("{what}{caveat}"))
    }

    fn log(&self, level: Level, written: &str) -> String {
        let (name, ink) = match level {
            Level::Debug => ("debug", Ink::Dim),
            Level::Info => ("log", Ink::Dim),
            Level::Warn => ("warn", Ink::Odd),
            Level::Error => ("error", Ink::Bad),
        };
        let indented: Vec<String> = written.lines().map(harmless).collect();
        format!("{} {}", self.paint.ink(ink, &format!("{name}:")), indented.join("\n            "))
    }

    fn name(&self, grant: GrantId) -> String {
        self.grants.get(&grant).cloned().unwrap_or_else(|| format!("grant {grant}"))
    }

    fn label(&self, call: CallNumber) -> String {
        let known = self.out.get(&call).map(|(label, _)| label.clone());
        known.or_else(|| self.labels.get(&call).cloned()).unwrap_or_else(|| format!("call {call}"))
    }

    fn object(&self, object: ObjectId) -> String {
        match object {
            ObjectId::Grant(grant) => self.name(grant),
            ObjectId::Result(call) => self.label(call),
            ObjectId::Part(call, at) => format!("{}[{at}]", self.label(call)),
            ObjectId::CallerCapability(..) => object.to_string(),
        }
    }
}

fn said(failure: &Failure) -> String {
    format!("{}: {}", failure.code, short(&failure.message, WHY))
}

/// What a script waits for, or got.
fn wait(fact: &Fact, now_ms: u64) -> String {
    match fact {
        Fact::InputAccepted { input, value, sender, steer, .. } => {
            let value = text::value(value, SHOWN);
            let kind = if *steer { "steer" } else { "input" };
            format!("{kind} {input}: {value} from {}", harmless(sender))
        }
        Fact::SteersRequested { wait: true, .. } => {
            "waits for a steer: `remit send --steer`".into()
        }
        Fact::SteersRequested { .. } => "looks for steers".into(),
        Fact::SteersDelivered { inputs, .. } => {
            format!("{} taken", text::count(inputs.len(), "steer"))
        }
        Fact::InputRequested { .. } => "waits for input: `remit send`".into(),
        Fact::InputDelivered { input, .. } => format!("input {input} is taken"),
        Fact::TimerSet { due_ms, .. } => {
            format!("sleeps {}", span(due_ms.saturating_sub(now_ms)))
        }
        Fact::TimerFired { .. } => "wakes".into(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
