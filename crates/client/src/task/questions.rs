//! Deciding what of a task waits for a person.

use remit_core::{CallNumber, EventNumber, GrantId};

use super::TaskHandle;
use crate::error::Error;
use crate::question::{Approval, Decision, Question, Remember, Settlement};
use crate::serve::{mesh, questions, session::Repeat};
use crate::spec::{GrantRoot, GrantSpec};

impl TaskHandle {
    /// What of this task waits for a person, oldest first.
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

    /// Lets a held call be made as it is. `digest`: of the call that was looked at, see
    /// [`Asks::Approval`](crate::Asks::Approval). It is on disk when this answers; the same again
    /// changes nothing.
    ///
    /// # Errors
    /// As of [`TaskHandle::decide`].
    pub async fn approve(&self, call: CallNumber, digest: [u8; 32]) -> Result<(), Error> {
        let (approval, remember) = (Approval::Approve, Remember::Nothing);
        self.decide(Decision { call, digest, approval, reason: String::new(), remember }).await
    }

    /// Denies a held call: it fails with `denied`, and the agent is told why. It is on disk when
    /// this answers; the same again changes nothing.
    ///
    /// # Errors
    /// As of [`TaskHandle::decide`].
    pub async fn deny(
        &self,
        call: CallNumber,
        digest: [u8; 32],
        reason: &str,
    ) -> Result<(), Error> {
        let (approval, remember) = (Approval::Deny, Remember::Nothing);
        self.decide(Decision { call, digest, approval, reason: reason.to_owned(), remember }).await
    }

    /// Decides on a held call, with other arguments or for later calls too if that is wanted. It is
    /// on disk when this answers; the same again changes nothing.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if no such call waits, `invalid-argument` if it is another
    /// call than the digest names or the arguments do not fit the method, `denied` if they do not
    /// fit the grant or the time is over, `failed` if it was decided otherwise before.
    pub async fn decide(&self, decision: Decision) -> Result<(), Error> {
        let way = self.way.clone();
        self.client
            .visit(async move |session| {
                let decide = |m| questions::decide(mesh::task(&m, &way), &decision);
                session.ask(Repeat::Harmless, decide).await
            })
            .await
    }

    /// Answers a request for a capability with one of the tool that was asked for. Its name may be
    /// empty. It is on disk when this answers; the same again gives the same grant.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if no such request waits or there is no such tool,
    /// `invalid-argument` if it is of another tool, `failed` if it was answered otherwise before.
    pub async fn give(&self, request: CallNumber, spec: GrantSpec) -> Result<GrantId, Error> {
        let way = self.way.clone();
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

    /// Refuses a request for a capability: it fails with `denied`, and the agent is told why. It is
    /// on disk when this answers; the same again changes nothing.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if no such request waits, `failed` if it was answered.
    pub async fn refuse(&self, request: CallNumber, reason: &str) -> Result<(), Error> {
        let (way, reason) = (self.way.clone(), reason.to_owned());
        self.client
            .visit(async move |session| {
                let refuse = |m| questions::refuse(mesh::task(&m, &way), request, &reason);
                session.ask(Repeat::Harmless, refuse).await
            })
            .await
    }

    /// Decides what became of a call of unknown outcome, or what is to be done. `event`: the one
    /// that asked, so that the answer to an earlier question does not answer a later one; 0:
    /// whichever did. It is on disk when this answers; the same again changes nothing.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is no such call, `failed` if nobody asks about it
    /// or it was decided otherwise before, `unavailable` if the call is to be sent again and its
    /// tool node is away.
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
