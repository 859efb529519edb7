//! Pausing, forking, retrying, upgrading and removing a task.

use remit_core::{CallNumber, EventNumber};
use uuid::Uuid;

use super::TaskHandle;
use crate::error::Error;
use crate::info::{Forked, Trial};
use crate::serve::{mesh, session::Repeat, task};
use crate::spec::{NewProgram, Upgrade};

impl TaskHandle {
    /// Pauses the task: its attempt ends, and until [`resume`](Self::resume) no timer fires and no
    /// new call goes out. The pause is on disk on return.
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

    /// Resumes a paused task.
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

    /// Forks a task from the first `at` events of this one; 0: from all events before its end. The
    /// recorded operations are not executed again; later ones are executed anew. `program` replaces
    /// this task's program; the new task fails if that program does not repeat the recorded
    /// operations.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is no such event, or a fork cannot start from it.
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

    /// Retries a failed or cancelled task: forks it from its last good point. `again` lists calls
    /// after that point that may be repeated although they are neither read-only nor idempotent.
    /// `program` works as in [`fork`](Self::fork).
    ///
    /// # Errors
    /// [`Error::Failed`] if the task has not ended or has completed; with `denied` if the retry
    /// would repeat calls that are not safe to repeat: the message names them.
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

    /// Removes the task, which must have ended, and its journal. Both are gone on return.
    ///
    /// # Errors
    /// [`Error::Failed`] with `invalid-argument` if the task has not ended or others hold
    /// references that it passed on, with `not-found` if there is no such task, with `unavailable`
    /// during a backup; [`Error::Unknown`] if the connection was lost during the call.
    pub async fn remove(&self) -> Result<(), Error> {
        let id = self.way.clone();
        self.client
            .visit(async move |session| {
                session.ask(Repeat::Harmful, |m| task::remove(mesh::task(&m, &id))).await
            })
            .await
    }

    /// Replays the task's record with another program, and switches the task to it if the program
    /// repeats the record. The trial sends nothing and writes nothing.
    ///
    /// # Errors
    /// [`Error::Failed`] if the task has ended or the program cannot be tried; with `denied` if
    /// [`Upgrade::at`] is set and the task has since made calls that are not safe to repeat.
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
