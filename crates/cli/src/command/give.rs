//! `remit give`: a capability for an agent that asked for one.

use std::io::{BufRead as _, IsTerminal as _};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{Asks, CallNumber, GrantSpec, Offer, Question, TaskHandle};

use super::asked::{QuestionRef, find, nothing, otherwise};
use super::task::{Among, choose};
use crate::clock::now_ms;
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::grants;
use crate::limits;
use crate::mesh::{Mesh, Place};
use crate::show::text::harmless;
use crate::show::{out, question};
use crate::tools;

/// Give an agent a capability that it asked for; it is on disk when the command ends
///
/// Without GRANT it shows what of that tool there is to give, and asks at a terminal which it shall
/// be. `remit deny` refuses.
#[derive(Debug, Args)]
pub(super) struct Give {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,

    /// The number of the request, as `remit inbox` shows it
    call: u64,

    /// What to give: tool[@version][:path][?caveat&...], for example fs:src?methods=readOnly
    grant: Option<String>,
}

impl Give {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = self.give(&mesh, place).await;
        mesh.leave().await;
        out::note(&format!("remit: {}", done?));
        Ok(())
    }

    async fn give(&self, mesh: &Mesh, place: &Place) -> Result<String, Fault> {
        let task = choose(&mesh.client, Some(&self.task), Among::Every).await?;
        let request = CallNumber(self.call);
        let text = match (&self.grant, find(&task, request).await?) {
            (_, QuestionRef::Waits(question))
                if !matches!(question.asks, Asks::CapabilityRequest { .. }) =>
            {
                return Err(otherwise(&question));
            }
            // Given again, the same changes nothing.
            (Some(text), QuestionRef::Waits(_) | QuestionRef::CapabilityRequest) => text.clone(),
            (None, QuestionRef::Waits(question)) => match pick(&question, place)? {
                Some(text) => text,
                None => return refuse(&task, request).await,
            },
            (_, QuestionRef::Nothing(waiting)) => {
                return Err(nothing(task.id(), request, &waiting));
            }
            (_, QuestionRef::CapabilityRequest | QuestionRef::Held(..)) => {
                return Err(nothing(task.id(), request, &[]));
            }
        };
        let spec = grants::read(&text, &text, now_ms())?;
        tools::wait_for(&mesh.client, std::slice::from_ref(&spec), place).await?;
        let grant = task.give(request, GrantSpec { name: String::new(), ..spec }).await?;
        Ok(format!("request {request} of {} was given {text}, grant #{grant}", task.id()))
    }
}

async fn refuse(task: &TaskHandle, request: CallNumber) -> Result<String, Fault> {
    task.refuse(request, "").await?;
    Ok(format!("request {request} of {} is refused", task.id()))
}

/// What the person at the terminal picks; `None`: they refuse.
fn pick(question: &Question, place: &Place) -> Result<Option<String>, Fault> {
    let Asks::CapabilityRequest { tool, offers, .. } = &question.asks else { return Ok(None) };
    out::note(&format!("remit: {}", harmless(&question.summary)));
    if offers.is_empty() {
        out::note(&format!("remit: no node offers {} now, and nobody holds it", harmless(tool)));
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        for answer in question::answers(question, &place.command()) {
            out::line(&answer)?;
        }
        return Err(Fault::Usage(
            "say which capability to give: one of those that standard output lists, or one that is \
             narrower"
                .into(),
        ));
    }
    for (number, offer) in (1..).zip(offers) {
        let left = question::remark(offer);
        out::note(&format!("  {number}  {}{left}", harmless(&offer.grant)));
    }
    out::note("remit: which? A number, a grant of your own words, or nothing to refuse");
    let mut answer = String::new();
    let mut reader = std::io::Read::take(stdin.lock(), limits::GRANT_BYTES);
    if reader.read_line(&mut answer)? == 0 {
        return Err(Fault::Usage("nothing was picked: the request goes on waiting".into()));
    }
    picked(answer.trim(), offers)
}

fn picked(answer: &str, offers: &[Offer]) -> Result<Option<String>, Fault> {
    let Ok(number) = answer.parse::<usize>() else {
        return Ok((!answer.is_empty()).then(|| answer.to_owned()));
    };
    match number.checked_sub(1).and_then(|at| offers.get(at)) {
        Some(offer) => Ok(Some(offer.grant.clone())),
        None => Err(Fault::Usage(format!(
            "there is no {number} among those {}: the request goes on waiting",
            offers.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_picks_by_number_or_in_words_or_refuses() {
        let offers = ["fs@1", "fs:src"]
            .map(|grant| Offer { grant: grant.to_owned(), unbounded: Vec::new() });
        assert_eq!(picked("2", &offers).unwrap().as_deref(), Some("fs:src"));
        assert_eq!(picked("fs:a?calls=1", &offers).unwrap().as_deref(), Some("fs:a?calls=1"));
        assert_eq!(picked("", &offers).unwrap(), None);
        for none in ["0", "3"] {
            assert!(picked(none, &offers).is_err(), "{none}");
        }
    }
}
