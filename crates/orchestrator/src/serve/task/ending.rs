//! How a task ended, for those who wait for it.

use std::rc::Rc;

use remit_core::task::Ending;
use remit_core::{Code, Failure, Outcome};
use remit_vat::wire;

use super::TaskServer;
use crate::limits;
use crate::runtime::Owner;
use crate::serve::good;

impl TaskServer {
    /// Waits for the end of the task, and until it is on disk.
    pub(super) async fn outcome(&self) -> Result<Outcome<u32>, capnp::Error> {
        let owner = self.ended().await?;
        let head = owner.with(|task| task.head().number);
        good(owner.durable(head).await)?;
        Ok(owner.with(|task| match task.ending() {
            Some(Ending::Completed(value)) => Outcome::value(wire::outcome::without_objects(value)),
            Some(Ending::Failed(failure)) => Outcome::Failure(failure.clone()),
            Some(Ending::Cancelled(reason)) => {
                Outcome::Failure(Failure::new(Code::Cancelled, reason.clone()))
            }
            None => Outcome::Failure(Failure::new(Code::Unknown, "not ended")),
        }))
    }

    async fn ended(&self) -> Result<Rc<Owner>, capnp::Error> {
        loop {
            let owner = self.owner().await?;
            tokio::select! {
                biased;
                // What comes next says why.
                () = self.over() => continue,
                () = owner.over() => {}
                () = tokio::time::sleep(limits::JOURNAL_RETRY_MOST), if self.tasks.stands_in(&owner) => {}
            }
            if owner.with(|task| task.ending().is_some()) {
                return Ok(owner);
            }
            // The owner halted or is closing; a fresh one goes on in a while.
            tokio::time::sleep(limits::JOURNAL_RETRY_MOST).await;
        }
    }
}
