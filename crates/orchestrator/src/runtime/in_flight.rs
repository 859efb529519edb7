//! Calls on their way: waiting for them, and cutting them off.

use std::rc::Rc;

use remit_core::task::Command;
use remit_core::{CallNumber, Code, Failure, GrantId, Outcome};

use super::Owner;

impl Owner {
    /// Waits until no call is on its way any more. Calls that nobody awaited may outlive a script.
    pub async fn settle_forwards(&self) {
        let mut progress = self.progress();
        while !self.forwards.borrow().is_empty() && !self.is_closing() {
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// Ends what was on its way under a grant that was revoked.
    pub(super) fn cut_revoked(self: &Rc<Self>) {
        self.cut_paths();
        self.abort_forwards(|grant| self.with(|task| task.is_revoked(grant)));
        self.objects.borrow_mut().forget(|object| {
            self.with(|task| task.grant_of(object).is_none_or(|g| task.is_revoked(g)))
        });
        self.complete_aborted(Code::Revoked, "the grant was revoked while the call was in flight");
    }

    /// Stops forwarding the calls on these grants.
    pub(super) fn abort_forwards(&self, which: impl Fn(GrantId) -> bool) {
        let calls: Vec<CallNumber> = self.forwards.borrow().keys().copied().collect();
        for call in calls {
            let grant = self.with(|task| task.request(call).map(|request| request.grant));
            if grant.is_none_or(&which)
                && let Some(handle) = self.forwards.borrow_mut().remove(&call)
            {
                handle.abort();
            }
        }
    }

    /// Calls that are open and no longer forwarded end with this code: the tool was told to stop,
    /// and how far it had come nobody knows.
    pub(super) fn complete_aborted(self: &Rc<Self>, code: Code, why: &str) {
        let aborted: Vec<CallNumber> = self.with(|task| {
            let open = task.open_calls();
            open.filter(|(call, request)| {
                !self.forwards.borrow().contains_key(call)
                    && (code != Code::Revoked || task.is_revoked(request.grant))
            })
            .map(|(call, _)| call)
            .collect()
        });
        for call in aborted {
            let outcome = Outcome::Failure(Failure::new(code, why));
            let refused = code == Code::Revoked;
            let complete = Command::CompleteCall { call, outcome, cost: 0, refused };
            if let Err(error) = self.record(&complete) {
                tracing::warn!(task = %self.key.task, %call, %error, "its end could not be recorded");
            }
        }
    }
}
