//! An acknowledged event is never lost.

use remit_core::Fact;

use crate::past::Happened;
use crate::seeds::{Invariant, holds};
use crate::world::Remains;

pub(crate) fn check(remains: &Remains) -> Result<(), String> {
    for (ms, happened) in &remains.past {
        match happened {
            Happened::Created { task, key } if remains.events(*task).is_empty() => {
                return Err(format!("{ms} ms: {key} made {task}, which is gone"));
            }
            Happened::Accepted { task, key } => {
                let accepted =
                    |fact: &Fact| matches!(fact, Fact::InputAccepted { key: k, .. } if k == key);
                let count = remains.events(*task).iter().filter(|e| accepted(&e.fact)).count();
                if count != 1 {
                    return Err(format!(
                        "{ms} ms: {task} accepted {key}, and has it {count} times"
                    ));
                }
            }
            Happened::Durable { task, events } => {
                for event in events {
                    remains.has(*task, event).map_err(|why| format!("{ms} ms, on disk: {why}"))?;
                }
            }
            Happened::Seen { subscription, event } => {
                let task = remains.followed(*subscription).0;
                remains.has(task, event).map_err(|why| format!("{ms} ms, shown: {why}"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn an_acknowledged_event_is_never_lost() {
    holds(Invariant::Acknowledged);
}
