//! There is no effect without an intent that was on disk before.

use remit_core::Fact;

use crate::history::call_of;
use crate::past::Happened;
use crate::seeds::{Invariant, holds};
use crate::world::Remains;

pub(crate) fn check(remains: &Remains) -> Result<(), String> {
    for (ms, happened) in &remains.past {
        let Happened::Effect { key, line, intended } = happened else { continue };
        let (task, call) = call_of(key);
        if !intended {
            return Err(format!("{ms} ms: {line} was appended, and no intent was on disk"));
        }
        let intent = |fact: &Fact| {
            matches!(fact, Fact::CallRequested(asked)
                if asked.call.0 == call && format!("{:?}", asked.args).contains(line))
        };
        if !remains.events(task).iter().any(|event| intent(&event.fact)) {
            return Err(format!("{ms} ms: {line} was appended, and its intent is gone"));
        }
    }
    Ok(())
}

#[test]
fn there_is_no_effect_without_an_intent() {
    holds(Invariant::Intents);
}
