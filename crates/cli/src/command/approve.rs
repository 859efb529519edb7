//! `remit approve` and `remit deny`: decisions on calls that are held.

use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use remit_client::{
    Approval, Asks, CallNumber, Decision, Question, Remember, TaskHandle, Value,
    value_from_json_text,
};
use remit_core::event::ApprovalDecided;

use super::asked::{QuestionRef, find, nothing, otherwise};
use super::task::{Among, choose};
use crate::clock::{self, now_ms};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Let a call be made that waits for approval; it is on disk when the command ends
///
/// The decision is bound to the call as `remit inbox` shows it. The same decision again changes
/// nothing; another one is refused.
#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,

    /// The number of the call, as `remit inbox` shows it
    call: u64,

    /// Approve later calls too: those with the same arguments, or all of the method
    #[arg(long, value_name = "WHICH", conflicts_with = "with")]
    remember: Option<Which>,

    /// How long that is remembered: 90s, 10m, 2h, 7d; without it, arguments are for as long as the
    /// grant
    #[arg(long = "for", value_name = "SPAN", value_parser = clock::span, requires = "remember")]
    span: Option<Duration>,

    /// Other arguments in place of the agent's, by name
    #[arg(long, value_name = "JSON", value_parser = arguments)]
    with: Option<Value>,

    /// The digest that was looked at, or how it begins: refused if another call waits
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
}

/// Deny a call that waits for approval, or refuse a request for a capability
#[derive(Debug, Args)]
pub(super) struct Deny {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,

    /// The number of the call or request, as `remit inbox` shows it
    call: u64,

    /// Why: the agent is told
    #[arg(long, default_value = "")]
    reason: String,
}

/// Which later calls an approval counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The same method with the same arguments
    Arguments,
    /// The same method with whatever arguments
    Method,
}

impl Approve {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let remember = self.remember()?;
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = self.approve(&mesh, remember).await;
        mesh.leave().await;
        let task = done?;
        out::note(&format!("remit: call {} of {} is approved", self.call, task.id()));
        Ok(())
    }

    async fn approve(&self, mesh: &Mesh, remember: Remember) -> Result<TaskHandle, Fault> {
        let task = choose(&mesh.client, Some(&self.task), Among::Every).await?;
        let call = CallNumber(self.call);
        let approval = self.with.clone().map_or(Approval::Approve, Approval::Change);
        let (digest, remember) = match find(&task, call).await? {
            QuestionRef::Waits(Question { asks: Asks::Approval { digest, .. }, .. }) => {
                (digest, remember)
            }
            QuestionRef::Waits(question) => return Err(otherwise(&question)),
            QuestionRef::Held(asked, decided) => {
                let same = decided.and_then(|decided| same(&decided, &approval, remember));
                (asked.request.digest, same.unwrap_or(remember))
            }
            QuestionRef::CapabilityRequest => return Err(nothing(task.id(), call, &[])),
            QuestionRef::Nothing(waiting) => return Err(nothing(task.id(), call, &waiting)),
        };
        self.check_digest(&digest)?;
        let reason = String::new();
        task.decide(Decision { call, digest, approval, reason, remember }).await?;
        Ok(task)
    }

    fn remember(&self) -> Result<Remember, Fault> {
        let until_ms = self.span.map(|span| {
            now_ms().saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
        });
        match (self.remember, until_ms) {
            (None, _) => Ok(Remember::Nothing),
            (Some(Which::Arguments), until_ms) => {
                Ok(Remember::Arguments(until_ms.unwrap_or(u64::MAX)))
            }
            (Some(Which::Method), Some(until_ms)) => Ok(Remember::Method(until_ms)),
            (Some(Which::Method), None) => Err(Fault::Usage(
                "--remember method is for a while: say for how long, for example --for 10m".into(),
            )),
        }
    }

    fn check_digest(&self, found: &[u8; 32]) -> Result<(), Fault> {
        let found = hex::encode(found);
        match &self.digest {
            Some(wanted) if wanted.is_empty() || !found.starts_with(&wanted.to_lowercase()) => {
                Err(Fault::Failed(format!(
                    "call {} was looked at as {wanted} and is {found} now: look at it again with \
                     `remit inbox`",
                    self.call
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Deny {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = self.deny(&mesh).await;
        mesh.leave().await;
        out::note(&format!("remit: {}", done?));
        Ok(())
    }

    async fn deny(&self, mesh: &Mesh) -> Result<String, Fault> {
        let task = choose(&mesh.client, Some(&self.task), Among::Every).await?;
        let (call, id) = (CallNumber(self.call), task.id());
        let digest = match find(&task, call).await? {
            QuestionRef::Waits(question) => match question.asks {
                Asks::Approval { digest, .. } => Some(digest),
                Asks::CapabilityRequest { .. } => None,
                Asks::Settlement { .. } => return Err(otherwise(&question)),
            },
            QuestionRef::Held(asked, _) => Some(asked.request.digest),
            QuestionRef::CapabilityRequest => None,
            QuestionRef::Nothing(waiting) => return Err(nothing(id, call, &waiting)),
        };
        match digest {
            Some(digest) => {
                task.deny(call, digest, &self.reason).await?;
                Ok(format!("call {call} of {id} is denied"))
            }
            None => {
                task.refuse(call, &self.reason).await?;
                Ok(format!("request {call} of {id} is refused"))
            }
        }
    }
}

/// What is remembered of an earlier decision if it is the same as this one but for the moment until
/// which it counts.
fn same(before: &ApprovalDecided, approval: &Approval, remember: Remember) -> Option<Remember> {
    let alike = matches!(
        (before.remember, remember),
        (Remember::Nothing, Remember::Nothing)
            | (Remember::Arguments(_), Remember::Arguments(_))
            | (Remember::Method(_), Remember::Method(_))
    );
    (alike && before.approval == *approval).then_some(before.remember)
}

fn arguments(text: &str) -> Result<Value, String> {
    let wrong = |why: &str| format!("{why}. Write the arguments by name, as {{\"path\": \"a\"}}");
    match value_from_json_text(text) {
        Ok(value @ Value::Fields(_)) => Ok(value),
        Ok(_) => Err(wrong("this is no JSON object")),
        Err(error) => Err(wrong(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(approval: Approval, remember: Remember) -> ApprovalDecided {
        let (call, digest) = (CallNumber(1), [0; 32]);
        let (who, reason) = (String::new(), String::new());
        ApprovalDecided { call, digest, approval, who, reason, remember }
    }

    #[test]
    fn the_same_decision_a_minute_later_is_the_same_decision() {
        let before = decided(Approval::Approve, Remember::Method(1));
        let again = same(&before, &Approval::Approve, Remember::Method(60_001));
        assert_eq!(again, Some(Remember::Method(1)));
        assert_eq!(same(&before, &Approval::Approve, Remember::Nothing), None);
        assert_eq!(same(&before, &Approval::Deny, Remember::Method(1)), None);
    }

    #[test]
    fn arguments_have_names() {
        assert!(arguments("{\"path\": \"a\"}").is_ok());
        assert!(arguments("[1]").unwrap_err().contains("by name"));
        assert!(arguments("{").unwrap_err().contains("by name"));
    }
}
