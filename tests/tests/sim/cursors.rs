//! A subscription delivers each event once, in order, and reports once that it has caught up.

use std::collections::{HashMap, HashSet};

use crate::past::Happened;
use crate::seeds::{Invariant, holds};
use crate::world::Remains;

pub(crate) fn check(remains: &Remains) -> Result<(), String> {
    let mut cursors = HashMap::new();
    let mut caught_up = HashSet::new();
    for (ms, happened) in &remains.past {
        match happened {
            Happened::Subscribed { subscription, after, .. } => {
                cursors.insert(subscription, *after);
            }
            Happened::Seen { subscription, event } => {
                let cursor = cursors.get_mut(subscription).unwrap();
                if event.number.0 != *cursor + 1 {
                    return Err(format!(
                        "{ms} ms: subscription {subscription} was at {cursor} and saw event {}",
                        event.number
                    ));
                }
                *cursor += 1;
            }
            Happened::CaughtUp { subscription, number } => {
                let cursor = cursors[subscription];
                if !caught_up.insert(subscription) || cursor != *number {
                    return Err(format!(
                        "{ms} ms: subscription {subscription} is at {cursor} and was told that it has caught up at {number}"
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn a_cursor_sees_each_event_once() {
    holds(Invariant::Cursors);
}
