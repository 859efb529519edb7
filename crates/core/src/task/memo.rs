//! The memo: a pure method that is called again on the same object with the same arguments is
//! answered from the outcome that is recorded, and nothing is sent.

use super::{CallState, Operation, Stamp, Task};
use crate::event::{CallRequested, Fact};
use crate::id::CallNumber;
use crate::limits;
use crate::value::Outcome;

impl Task {
    /// The fact of a call that was decided, with its outcome at once if the memo holds it.
    pub(super) fn recalling(&self, fact: Fact) -> Vec<Fact> {
        let mut recalled = None;
        if let Fact::CallRequested(request) = &fact {
            let from = self.memo.get(&request.digest);
            recalled = from.map(|from| Fact::CallRecalled { call: request.call, from: *from });
        }
        [fact].into_iter().chain(recalled).collect()
    }

    /// Keeps the outcome of a pure call for those after it.
    pub(super) fn memorise(&mut self, call: CallNumber) {
        let Some(Operation::Call { request, state: CallState::Completed(outcome, _) }) =
            self.operations.get(&call)
        else {
            return;
        };
        let here = !self.kept.contains_key(&call);
        // The value is walked last: most methods are not pure.
        if here
            && self.memo.len() < limits::MAX_MEMO
            && self.is_pure(request)
            && matches!(&**outcome, Outcome::Value { value, object: false } if !value.holds_object())
        {
            let digest = request.digest;
            self.memo.entry(digest).or_insert(call);
        }
    }

    pub(super) fn recall(
        &mut self,
        call: CallNumber,
        from: CallNumber,
        at: Stamp,
    ) -> Result<(), &'static str> {
        let (Some(now), Some(before)) = (self.request(call), self.request(from)) else {
            return Err("there is no such call");
        };
        if now.digest != before.digest || self.memo.get(&now.digest) != Some(&from) {
            return Err("the memo holds no outcome for that call");
        }
        let Some(Operation::Call { state: CallState::Completed(outcome, _), .. }) =
            self.operations.get(&from)
        else {
            return Err("the call that it is recalled from has no outcome");
        };
        let outcome = std::sync::Arc::clone(outcome);
        self.complete(call, &outcome, 0, at)
    }

    fn is_pure(&self, request: &CallRequested) -> bool {
        let method = || {
            let manifest = &self.grants.get(&request.grant)?.grant.manifest;
            manifest.method(self.interface_of(request.object)?, &request.method)
        };
        method().is_some_and(|method| method.pure_)
    }
}
