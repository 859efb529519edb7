//! Deciding the questions of a task.

use remit_core::{CallNumber, EventNumber, GrantId};

use super::TaskHandle;
use crate::error::Error;
use crate::question::{Approval, Decision, Question, Remember, Settlement};
use crate::serve::{mesh, questions, session::Repeat};
use crate::spec::{GrantRoot, GrantSpec};

impl TaskHandle {
    /// Lists the open questions of this task, oldest first.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is no such task.
    pub async fn questions(&self) -> Result<Vec<Question>, Error> {
        let way = self.way.clone();
        self.client
            .visit(async move |session| {
                session.ask(Repeat::Harmless, |m| questions::of_task(mesh::task(&m, &way))).await
            })
            .await
    }

    /// Approves a held call as it is. `digest` is the one of the call that the person looked at,
    /// from [`Asks::Approval`](crate::Asks::Approval). The decision is on disk on return. Repeating
    /// the same decision has no effect.
    ///
    /// # Errors
    /// As for [`TaskHandle::decide`].
    pub async fn approve(&self, call: CallNumber, digest: [u8; 32]) -> Result<(), Error> {
        let (approval, remember) = (Approval::Approve, Remember::Nothing);
        self.decide(Decision { call, digest, approval, reason: String::new(), remember }).await
    }

    /// Denies a held call: it fails with `denied`, and the agent sees the reason. The decision is
    /// on disk on return. Repeating the same decision has no effect.
    ///
    /// # Errors
    /// As for [`TaskHandle::decide`].
    pub async fn deny(
        &self,
        call: CallNumber,
        digest: [u8; 32],
        reason: &str,
    ) -> Result<(), Error> {
        let (approval, remember) = (Approval::Deny, Remember::Nothing);
        self.decide(Decision { call, digest, approval, reason: reason.to_owned(), remember }).await
    }

    /// Decides a held call, if needed with changed arguments or for later calls too. The decision
    /// is on disk on return. Repeating the same decision has no effect.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if no such call waits; with `invalid-argument` if the
    /// digest is of another call or the arguments do not fit the method; with `denied` if they do
    /// not fit the grant or the time is over; with `failed` if the call was decided otherwise
    /// before.
    pub async fn decide(&self, decision: Decision) -> Result<(), Error> {
        let way = self.way.clone();
        self.client
            .visit(async move |session| {
                let decide = |m| questions::decide(mesh::task(&m, &way), &decision);
                session.ask(Repeat::Harmless, decide).await
            })
            .await
    }

    /// Answers a request for a capability with a grant of the requested tool. The grant's name may
    /// be empty. The answer is on disk on return. Repeating it returns the same grant.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if no such request waits or there is no such tool; with
    /// `invalid-argument` if the grant is of another tool; with `failed` if the request was
    /// answered otherwise before.
    pub async fn give(&self, request: CallNumber, spec: GrantSpec) -> Result<GrantId, Error> {
        let way = self.way.clone();
        // An object of this process is a new object at each request: repeating it would grant two.
        let repeat = match spec.root {
            GrantRoot::Tool { .. } => Repeat::Harmless,
            GrantRoot::Own(_) => Repeat::Harmful,
        };
        self.client
            .visit(async move |session| {
                let (spec, runtime) = (&spec, &session.runtime);
                let give = |m| questions::give(mesh::task(&m, &way), request, spec, runtime);
                session.ask(repeat, give).await
            })
            .await
    }

    /// Refuses a request for a capability: it fails with `denied`, and the agent sees the reason.
    /// The refusal is on disk on return. Repeating it has no effect.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if no such request waits, with `failed` if it was
    /// answered.
    pub async fn refuse(&self, request: CallNumber, reason: &str) -> Result<(), Error> {
        let (way, reason) = (self.way.clone(), reason.to_owned());
        self.client
            .visit(async move |session| {
                let refuse = |m| questions::refuse(mesh::task(&m, &way), request, &reason);
                session.ask(Repeat::Harmless, refuse).await
            })
            .await
    }

    /// Settles a call of unknown outcome. `event` is the event that asked, so that the answer to an
    /// earlier question does not settle a later one; 0 accepts any. The settlement is on disk on
    /// return. Repeating it has no effect.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is no such call; with `failed` if its outcome is
    /// not in question or it was settled otherwise before; with `unavailable` if the call is to be
    /// sent again and its tool node is disconnected.
    pub async fn settle(
        &self,
        call: CallNumber,
        event: EventNumber,
        settlement: Settlement,
    ) -> Result<(), Error> {
        let way = self.way.clone();
        self.client
            .visit(async move |session| {
                let settle =
                    |m| questions::settle(mesh::task(&m, &way), (call, event), &settlement);
                session.ask(Repeat::Harmless, settle).await
            })
            .await
    }
}
