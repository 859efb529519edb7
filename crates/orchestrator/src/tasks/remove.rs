//! Removing an ended task at a person's word.

use remit_core::audit::{Decision, Record};
use remit_core::{Code, Failure, Identity};

use super::Tasks;
use crate::runtime::TaskKey;

impl Tasks {
    /// Removes a task that has ended, with all that was kept for it. Recorded in the audit before,
    /// and durable when it answers.
    ///
    /// # Errors
    /// `not-found` if there is no such task; `invalid-argument` if it has not ended, or other tasks
    /// or persons hold what it passed on; `unavailable` while a backup reads the journal.
    pub async fn remove(&self, key: &TaskKey, by: &Identity) -> Result<(), Failure> {
        let owner = self.get(key)?;
        let task = key.task;
        let refuse = |why: String| Err(Failure::new(Code::InvalidArgument, why));
        if owner.with(|task| task.ending().is_none()) {
            return refuse(format!(
                "the task {task} has not ended, and only ended tasks are removed: end it with `remit cancel {task}`"
            ));
        }
        if Self::has_holders(&owner) {
            return refuse(format!(
                "others still hold what the task {task} passed on (`remit grants {task}` shows who): revoke it with `remit revoke {task} GRANT`, or wait until they have ended"
            ));
        }
        let head = owner.with(|task| task.head().number);
        owner.durable(head).await?;
        let name = owner.with(|task| task.created().name.clone());
        let record = Record::new(by.to_string(), Decision::Removed)
            .because(format!("the ended task `{name}`"))
            .about(format!("task:{task}"));
        self.services.audit.record(by.tenant(), record).await?;
        self.let_go(&owner);
        self.forget(key).await?;
        tracing::info!(%task, who = %by, "task removed");
        Ok(())
    }
}
