//! Steering a task as a whole.

use remit_core::{CallNumber, EventNumber};
use uuid::Uuid;

use super::TaskHandle;
use crate::error::Error;
use crate::info::{Forked, Trial};
use crate::serve::{mesh, session::Repeat, task};
use crate::spec::{NewProgram, Upgrade};

impl TaskHandle {
    /// Stops the task for a while: its attempt is ended, no timer fires and no new call goes out
    /// until [`resume`](Self::resume). It is on disk when this answers.
    ///
    /// # Errors
    /// [`Error::Failed`] if the task has ended.
    pub async fn pause(&self, reason: &str) -> Result<(), Error> {
        let (id, reason) = (self.way.clone(), reason.to_owned());
        self.client
            .visit(async move |session| {
                let reason = &reason;
                session.ask(Repeat::Harmless, |m| task::pause(mesh::task(&m, &id), reason)).await
            })
            .await
    }

    /// Lets a paused task go on.
    ///
    /// # Errors
    /// [`Error::Failed`] if the task has ended.
    pub async fn resume(&self) -> Result<(), Error> {
        let id = self.way.clone();
        self.client
            .visit(async move |session| {
                session.ask(Repeat::Harmless, |m| task::resume(mesh::task(&m, &id))).await
            })
            .await
    }

    /// Makes a task from the first `at` events of this one; 0: from all before its end. What was
    /// recorded up to there is not done again; what comes after is done anew. `program`: what the new
    /// task runs in place of this one's program; it fails if that does not repeat what is recorded.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is no such event, or it is no point to go on from.
    pub async fn fork(
        &self,
        at: EventNumber,
        program: Option<NewProgram>,
    ) -> Result<Forked, Error> {
        let (id, key) = (self.way.clone(), Uuid::now_v7().to_string());
        self.client
            .visit(async move |session| {
                let (key, program) = (&key, program.as_ref());
                let fork = |m| task::fork(mesh::task(&m, &id), at, program, key);
                session.ask(Repeat::Harmless, fork).await
            })
            .await
    }

    /// Makes a task from the last good point of this one, which failed or was cancelled. `again`:
    /// calls after that point that may be made once more though that is not harmless. `program`: as in
    /// [`fork`](Self::fork).
    ///
    /// # Errors
    /// [`Error::Failed`] if the task has not ended or completed; `denied` if it would do something
    /// again that may not be done twice: the message names the calls.
    pub async fn retry(
        &self,
        again: Vec<CallNumber>,
        program: Option<NewProgram>,
    ) -> Result<Forked, Error> {
        let (id, key) = (self.way.clone(), Uuid::now_v7().to_string());
        self.client
            .visit(async move |session| {
                let (again, key, program) = (&again, &key, program.as_ref());
                let retry = |m| task::retry(mesh::task(&m, &id), again, program, key);
                session.ask(Repeat::Harmless, retry).await
            })
            .await
    }

    /// Removes the task, which must have ended, with its journal. It is gone when this answers.
    ///
    /// # Errors
    /// [`Error::Failed`] with `invalid-argument` if it has not ended or others hold what it passed on,
    /// `not-found` if there is no such task, `unavailable` while a backup is made; [`Error::Unknown`]
    /// if the connection was lost meanwhile.
    pub async fn remove(&self) -> Result<(), Error> {
        let id = self.way.clone();
        self.client
            .visit(async move |session| {
                session.ask(Repeat::Harmful, |m| task::remove(mesh::task(&m, &id))).await
            })
            .await
    }

    /// Tries another program on what the task has done, and gives the task to it if it does the
    /// same. The trial sends nothing and writes nothing.
    ///
    /// # Errors
    /// [`Error::Failed`] if the task has ended or the program cannot be tried; `denied` if a point
    /// was named after which the task did what may not be done twice.
    pub async fn upgrade(&self, upgrade: Upgrade) -> Result<Trial, Error> {
        let id = self.way.clone();
        self.client
            .visit(async move |session| {
                let upgrade = &upgrade;
                let tried = |m| task::upgrade(mesh::task(&m, &id), upgrade);
                session.ask_patiently(Repeat::Harmless, tried).await
            })
            .await
    }
}
