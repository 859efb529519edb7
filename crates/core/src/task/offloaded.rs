//! Values of calls that are with the tool node and not in the journal.

use super::apply::Applied;
use super::command::Decision;
use super::{CallState, Operation, Task, charge};
use crate::event::{CallRequested, Fact, Introduced, OffloadedResult};
use crate::failure::{Code, Failure};
use crate::grant::{Budgets, Caveat};
use crate::id::{Attempt, CallNumber, GrantId};
use crate::limits;
use crate::value::{Outcome, Value};

impl Task {
    /// Where the value of a call is, if it is not in its outcome.
    pub fn kept(&self, call: CallNumber) -> Option<&OffloadedResult> {
        self.kept.get(&call)
    }

    /// Whether an agent node may be introduced to the tool node of a grant: the grant is the tool's
    /// own, it or one above it says so, and nothing stands against its use.
    pub fn may_introduce(&self, grant: GrantId) -> bool {
        let own = self
            .grant(grant)
            .is_some_and(|held| held.grant.derived.is_none() && held.grant.origin.is_none());
        let says = |caveat: &Caveat| *caveat == Caveat::Direct;
        own && !self.is_revoked(grant)
            && self.chain(grant).any(|held| held.grant.caveats.iter().any(says))
    }

    /// The caveats of a grant and of each above it, with the way from the root of each to the root
    /// of the first. `None`: one of them is not above it.
    pub fn links(&self, grant: GrantId) -> Option<Vec<(Vec<Caveat>, String)>> {
        let root = &self.grant(grant)?.grant.path;
        let link = |held: &super::Held| {
            let way = crate::grant::resolved_call::between(&held.grant.path, root).ok()?;
            Some((held.grant.caveats.clone(), way.to_owned()))
        };
        self.chain(grant).map(link).collect()
    }

    pub(super) fn decide_no_introduction(
        &self,
        grant: GrantId,
        attempt: Attempt,
        reason: &str,
    ) -> Decision {
        if self.running != Some(attempt) || !self.may_introduce(grant) {
            return Decision::Recorded;
        }
        let reason = Failure::new(Code::Failed, reason).bounded().message;
        Decision::Record(vec![Fact::NotIntroduced { grant, attempt, reason }])
    }

    pub(super) fn decide_introduction(&self, introduced: &Introduced) -> Decision {
        let runs = self.running == Some(introduced.attempt);
        if !runs || self.ending.is_some() || !self.may_introduce(introduced.grant) {
            return Decision::Recorded;
        }
        Decision::Record(vec![Fact::Introduced(Box::new(introduced.clone()))])
    }

    pub(super) fn decide_offloaded(&self, kept: &OffloadedResult, cost: u64) -> Decision {
        let call = kept.call;
        let Some(Operation::Call { state: CallState::Requested | CallState::Unknown, request }) =
            self.operations.get(&call)
        else {
            return Decision::Recorded;
        };
        match too_large(kept.bytes).or_else(|| self.withheld(request, kept.bytes)) {
            Some(failure) => {
                let outcome = Outcome::Failure(failure);
                let ended = Fact::CallCompleted { call, outcome, cost, refused: true };
                Decision::Record(vec![ended])
            }
            None => Decision::Record(vec![
                Fact::ResultOffloaded(Box::new(kept.clone())),
                Fact::CallCompleted {
                    call,
                    outcome: Outcome::value(Value::Null),
                    cost,
                    refused: false,
                },
            ]),
        }
    }

    /// The failure of the caveat that withholds a value of so many bytes, if one does.
    fn withheld(&self, request: &CallRequested, bytes: u64) -> Option<Failure> {
        let amount = Budgets { bytes_out: bytes, ..Budgets::NONE };
        self.takes(request.grant, amount).find_map(|(held, takes)| {
            let caveats =
                held.checker.check_kept(&request.method, bytes, &held.usage, takes.bytes_out);
            caveats.and_then(|()| charge::check_purse(&held.usage, takes)).err()
        })
    }

    pub(super) fn apply_offloaded(&mut self, kept: &OffloadedResult) -> Applied {
        match self.operations.get(&kept.call) {
            Some(Operation::Call { state: CallState::Requested | CallState::Unknown, .. }) => {
                self.kept.insert(kept.call, kept.clone());
                Ok(())
            }
            _ => Err("there is no such call in flight"),
        }
    }

    pub(super) fn apply_introduction(&self, grant: GrantId) -> Applied {
        if self.grants.contains_key(&grant) {
            return Ok(());
        }
        Err("there is no such grant")
    }
}

/// The failure of a value that is said to be larger than any may be.
fn too_large(bytes: u64) -> Option<Failure> {
    (bytes > limits::MAX_VALUE_BYTES as u64).then(|| {
        let most = limits::MAX_VALUE_BYTES;
        Failure::new(
            Code::Limit,
            format!("a result of more than {most} bytes: ask for it in parts"),
        )
    })
}
