//! What became of another program, or of another try from a point in the past.

use remit_schema::mesh_capnp::{fork, trial};

use super::{TaskServer, client};
use crate::serve::hold::Hold;
use crate::tasks::{Forked, Upgraded};

impl TaskServer {
    /// Writes the new task and what it does not take over of the old one.
    pub(super) fn write_fork(&self, mut fork: fork::Builder<'_>, forked: &Forked) {
        let key = forked.owner.key();
        fork.set_id(key.task.to_string());
        fork.set_at(forked.at.0);
        let count = u32::try_from(forked.dropped.len()).unwrap_or(u32::MAX);
        let mut dropped = fork.reborrow().init_dropped(count);
        for (at, call) in (0..count).zip(&forked.dropped) {
            dropped.set(at, call.0);
        }
        // Its holder may create tasks, and created this one.
        let hold = Hold::whole(self.caller.grant.may());
        fork.set_task(client(&self.caller, key.clone(), hold));
    }
}

/// Writes how far a program goes the way of the one before it.
pub(super) fn write_trial(mut trial: trial::Builder<'_>, upgraded: &Upgraded) {
    trial.set_repeated(upgraded.repeated);
    trial.set_switched(upgraded.switched);
    match &upgraded.difference {
        None => trial.set_same(()),
        Some(difference) => {
            let mut differs = trial.init_differs();
            differs.set_operation(difference.operation.0);
            differs.set_was(&difference.was);
            differs.set_is(&difference.is);
        }
    }
}
