//! No two attempts of one task act at once.

use remit_core::{Attempt, Fact};

use crate::past::Happened;
use crate::seeds::{Invariant, holds};
use crate::world::Remains;

pub(crate) fn check(remains: &Remains) -> Result<(), String> {
    for (_, task, events) in &remains.tasks {
        let mut running: Option<Attempt> = None;
        let mut last = Attempt::default();
        for event in events {
            let wrong = match &event.fact {
                Fact::AttemptStarted { attempt, .. } => {
                    let wrong = running.is_some() || *attempt <= last;
                    (running, last) = (Some(*attempt), *attempt);
                    wrong
                }
                Fact::AttemptEnded { attempt, .. } => running.take() != Some(*attempt),
                Fact::CallRequested(asked) => running != Some(asked.attempt),
                Fact::TimerSet { .. } | Fact::InputRequested { .. } => running.is_none(),
                _ => false,
            };
            if wrong {
                return Err(format!("{task:?}: event {event:?} while {running:?} was running"));
            }
        }
    }
    outside(remains)
}

/// The same as seen by workers: once an attempt has begun, no earlier attempt gets an answer to a
/// later request.
fn outside(remains: &Remains) -> Result<(), String> {
    for (began_ms, happened) in &remains.past {
        let Happened::Begun { task, attempt } = happened else { continue };
        for (_, happened) in &remains.past {
            let Happened::Told { task: other, attempt: earlier, operation, asked_ms } = happened
            else {
                continue;
            };
            if other == task && earlier < attempt && asked_ms > began_ms {
                return Err(format!(
                    "{task}: attempt {attempt} began at {began_ms} ms, and attempt {earlier} was answered operation {operation}, asked for at {asked_ms} ms"
                ));
            }
        }
    }
    Ok(())
}

#[test]
fn no_two_attempts_act_at_once() {
    holds(Invariant::Attempts);
}
