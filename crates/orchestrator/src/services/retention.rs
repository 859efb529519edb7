//! What is done to the journal now and then: what is kept no longer is removed, all is checked.

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;

use remit_core::Failure;
use remit_journal::backup::JournalTotals;
use remit_journal::recovery::prune_history;
use remit_journal::verify::verify;
use remit_journal::{Journal, JournalError, Retention};
use remit_vat::vat::offload;

use crate::limits;
use crate::runtime::TaskKey;
use crate::services::damage::Damage;
use crate::tasks::Tasks;

/// Removes what `keep` keeps no longer, for ever.
pub async fn keep_sweeping(tasks: &Rc<Tasks>, keep: Retention) {
    loop {
        if let Err(error) = sweep(tasks, keep).await {
            tracing::warn!(%error, "not all that is over was removed; it is tried again");
        }
        tokio::time::sleep(limits::SWEEP).await;
    }
}

/// Checks the whole journal, for ever, logs what is damaged and notes it in `damage`: what is seldom
/// read would else be found too late for a backup.
pub async fn keep_checking(tasks: &Rc<Tasks>, damage: &Damage) {
    tokio::time::sleep(limits::CHECK_AFTER).await;
    while let Some(journal) = tasks.services().journal.on_disk() {
        match read(move || verify(&journal)).await {
            Ok(report) => {
                let JournalTotals { tasks, events, bodies, snapshots } = report.kept;
                tracing::info!(tasks, events, bodies, snapshots, "the journal was checked");
                for damaged in &report.damaged {
                    tracing::error!(damaged, "the journal is damaged: restore it from a backup");
                }
                damage.note(report.damaged);
            }
            Err(error) => tracing::warn!(%error, "the journal was not checked to its end"),
        }
        tokio::time::sleep(limits::CHECK_EVERY).await;
    }
    std::future::pending::<()>().await;
}

/// Removes what `keep` keeps no longer as of now. Reading is done on another thread.
pub async fn sweep(tasks: &Rc<Tasks>, keep: Retention) -> Result<(), Failure> {
    let services = tasks.services();
    let now_ms = (services.now_ms)();
    loop {
        let journal = Arc::clone(&services.journal);
        let over = read(move || journal.expired(&keep, now_ms, limits::SWEPT_AT_ONCE)).await?;
        let found = over.len();
        let mut removed = 0;
        for (tenant, task) in over {
            let key = TaskKey { tenant, task };
            // Someone still works with it, so that it might be written: the next time, then.
            if !tasks.is_owned(&key) {
                tasks.forget(&key).await?;
                tracing::info!(%task, "removed: it ended long ago");
                removed += 1;
            }
        }
        if removed == 0 || found < limits::SWEPT_AT_ONCE {
            break;
        }
    }
    let Some(history) = keep.history else { return Ok(()) };
    let age_ms = u64::try_from(history.as_millis()).unwrap_or(u64::MAX);
    let Some(limit_ms) = now_ms.checked_sub(age_ms) else { return Ok(()) };
    let journal = Arc::clone(&services.journal);
    read(move || prune_all(&*journal, limit_ms)).await
}

fn prune_all(journal: &dyn Journal, limit_ms: u64) -> Result<(), JournalError> {
    for (tenant, task) in journal.unsettled()? {
        match prune_history(journal, &tenant, task, limit_ms) {
            // One that is damaged does not keep the others from being pruned.
            Err(error @ JournalError::Corrupt { .. }) => tracing::warn!(%error, "not pruned"),
            pruned => pruned?,
        }
    }
    Ok(())
}

async fn read<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, JournalError> + Send + 'static,
) -> Result<R, Failure> {
    let done = offload(work).await;
    let done = done.map_err(|e| Failure::new(remit_core::Code::Failed, e.to_string()))?;
    done.map_err(JournalError::into_failure)
}
