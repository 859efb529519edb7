//! A completed call is never sent again, and no effect happens twice under one key.

use std::collections::{HashMap, HashSet};

use remit_core::Fact;

use crate::history::call_of;
use crate::past::Happened;
use crate::seeds::{Invariant, holds};
use crate::world::{MAX_LATENCY, Remains, TICK};

pub(crate) fn check(remains: &Remains) -> Result<(), String> {
    let mut done = HashSet::new();
    let mut completed = HashMap::new();
    // A message that was sent before the completion may arrive this much later.
    let slack = u64::try_from((MAX_LATENCY + 3 * TICK).as_millis()).unwrap();
    for (ms, happened) in &remains.past {
        match happened {
            Happened::Durable { task, events } => {
                for event in events {
                    if let Fact::CallCompleted { call, .. } = event.fact {
                        completed.insert((*task, call.0), *ms);
                    }
                }
            }
            Happened::Effect { key, line, .. } if !done.insert(key) => {
                return Err(format!("{ms} ms: {line} was appended twice under one key"));
            }
            // A read-only call is repeated to obtain its object again.
            Happened::Arrived { key, method } if method != "open" => {
                let Some(completed_ms) = completed.get(&call_of(key)) else { continue };
                if *ms > completed_ms + slack && !remains.held_tools(*completed_ms, *ms - slack) {
                    return Err(format!(
                        "{ms} ms: {method} {:?} came in, completed at {completed_ms} ms",
                        call_of(key)
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn a_completed_call_is_never_sent_again() {
    holds(Invariant::Completed);
}
