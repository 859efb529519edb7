//! What becomes of grants: they are added, taken back, and end.

use std::sync::Arc;

use super::Applied;
use crate::event::Grant;
use crate::grant::{Checker, Usage};
use crate::id::GrantId;
use crate::task::{Held, Operation, Stamp, Task};

impl Task {
    pub(super) fn add_grant(&mut self, grant: &Grant, at: Stamp) -> Applied {
        let next = self.grants.keys().next_back().map_or(GrantId(1), |last| last.next());
        if grant.grant != next {
            return Err("its grant is not the next one");
        }
        if grant.parent.is_some_and(|parent| !self.grants.contains_key(&parent)) {
            return Err("its parent is not there");
        }
        let held = Held {
            pin: self.pin_of(grant),
            usage: Usage::new(&grant.caveats, grant.reserve, at.time_ms),
            checker: Arc::new(Checker::new(&grant.caveats)),
            grant: Arc::new(grant.clone()),
            revoked: false,
            ended: false,
        };
        if let Some(derived) = &grant.derived {
            if let Some(operation) = derived.operation {
                let made = Operation::Derived { grant: grant.grant, digest: derived.digest, at };
                self.add_operation(operation, made)?;
                self.told_in_order(operation);
            }
            if !derived.key.is_empty() {
                self.derived_by.insert(derived.key.clone(), grant.grant);
            }
        }
        self.grants.insert(grant.grant, held);
        if let Some(parent) = grant.parent {
            self.spend(parent, grant.reserve);
        }
        Ok(())
    }

    pub(super) fn revoke(&mut self, grant: GrantId) -> Applied {
        match self.grants.get_mut(&grant) {
            Some(held) if !held.revoked => {
                held.revoked = true;
                self.empty_purses(grant);
                Ok(())
            }
            Some(_) => Err("that grant is revoked already"),
            None => Err("there is no such grant"),
        }
    }

    pub(super) fn end_grant(&mut self, grant: GrantId) -> Applied {
        match self.grants.get_mut(&grant) {
            Some(held) if !held.is_over() => {
                held.ended = true;
                self.empty_purses(grant);
                Ok(())
            }
            Some(_) => Err("that grant is over already"),
            None => Err("there is no such grant"),
        }
    }
}
