//! Triggers whose time has come: each is set off by itself, or waits until it can be.

use std::rc::Rc;
use std::time::Duration;

use remit_core::{Code, Failure};
use remit_vat::backoff::Backoff;

use super::schedule::{Missed, Schedule};
use super::{StoredTrigger, Triggers, When};
use crate::limits;
use crate::serve::triggers as stored;

/// A trigger whose time has come and that cannot be set off yet.
pub(super) struct Waiting {
    /// Of which trigger by this name.
    created_ms: u64,
    /// When it is tried again, in milliseconds since 1970.
    next_ms: u64,
    backoff: Backoff,
    /// Why it waits.
    why: String,
}

impl Triggers {
    /// Sets triggers off when their time comes, for ever.
    pub async fn run(self: Rc<Self>, tenant: &str) {
        loop {
            let changed = self.changed.notified();
            let wait = match self.set_off_due(tenant).await {
                Ok(next_ms) => {
                    let left = next_ms.map(|next| next.saturating_sub((self.now_ms)()));
                    let left = left.map_or(limits::TRIGGER_NAP, Duration::from_millis);
                    left.min(limits::TRIGGER_NAP)
                }
                Err(failure) => {
                    tracing::warn!(%failure, "triggers wait");
                    limits::JOURNAL_RETRY_MOST
                }
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Sets off what is due; the next time that anything is. What cannot be set off, or not yet,
    /// holds no other trigger up.
    pub(crate) async fn set_off_due(&self, tenant: &str) -> Result<Option<u64>, Failure> {
        let mut next_ms: Option<u64> = None;
        for record in self.list(tenant).await? {
            let kept = match stored::decode(&record) {
                Ok(kept) => kept,
                Err(failure) => {
                    tracing::warn!(%failure, "a trigger cannot be read");
                    continue;
                }
            };
            let When::Clock(schedule) = &kept.when else { continue };
            let now_ms = (self.now_ms)();
            if self.rests(&kept, now_ms).is_none() {
                match self.set_off_one(tenant, &record, (&kept, schedule), now_ms).await {
                    Ok(()) => drop(self.waiting.borrow_mut().remove(&kept.name)),
                    Err(failure) => self.wait(tenant, &kept, failure).await,
                }
            }
            let again_ms = self.rests(&kept, now_ms);
            next_ms = [next_ms, again_ms, schedule.next(now_ms)].into_iter().flatten().min();
        }
        Ok(next_ms)
    }

    /// Until when a trigger waits before it is tried again; `None`: it does not wait.
    fn rests(&self, kept: &StoredTrigger, now_ms: u64) -> Option<u64> {
        let waiting = self.waiting.borrow();
        let waits = waiting.get(&kept.name)?;
        (waits.created_ms == kept.created_ms && waits.next_ms > now_ms).then_some(waits.next_ms)
    }

    /// Sets off one trigger for each of its times that is due. Fails if it has to wait.
    async fn set_off_one(
        &self,
        tenant: &str,
        record: &[u8],
        (kept, schedule): (&StoredTrigger, &Schedule),
        now_ms: u64,
    ) -> Result<(), Failure> {
        if kept.last_ms > now_ms {
            // The clock of an earlier process was ahead. Times that were kept are not kept again:
            // what they made was made under their keys.
            return self
                .note(tenant, (&kept.name, kept.created_ms), Some(now_ms), &kept.failure)
                .await;
        }
        let since = kept.last_ms.max(kept.created_ms);
        let due = schedule.due(since, now_ms, kept.missed);
        for at in &due {
            // The list was read before others were set off: one that was removed or replaced since
            // does nothing any more.
            let now = self.read(tenant, &kept.name).await?;
            if now.is_none_or(|(now, _)| now.created_ms != kept.created_ms) {
                return Ok(());
            }
            let failure = match self.set_off(tenant, record, &at.to_string(), None).await {
                Ok(_) => String::new(),
                Err(failure) if !may_pass(&failure) => failure.to_string(),
                Err(failure) if now_ms < self.patient_until(*at) => return Err(failure),
                Err(failure) => {
                    tracing::warn!(trigger = kept.name, %failure, "given up");
                    format!("given up: {failure}")
                }
            };
            self.note(tenant, (&kept.name, kept.created_ms), Some(*at), &failure).await?;
        }
        // Times that are not made up for are passed over as well.
        if due.is_empty() && schedule.next(since).is_some_and(|at| at <= now_ms) {
            let why = self.waiting.borrow().get(&kept.name).map(|waits| format!(": {}", waits.why));
            let why = why.unwrap_or_default();
            let missed = format!("a time was missed, and is not made up for{why}");
            self.note(tenant, (&kept.name, kept.created_ms), Some(now_ms), &missed).await?;
        }
        Ok(())
    }

    /// Until when a time is tried that cannot be kept: counted from when this process could first.
    fn patient_until(&self, at_ms: u64) -> u64 {
        at_ms.max(self.begun_ms).saturating_add(limits::TRIGGER_PATIENCE_MS)
    }

    /// Has a trigger wait, and says why in its state.
    async fn wait(&self, tenant: &str, kept: &StoredTrigger, failure: Failure) {
        let why = failure.to_string();
        let said = format!("waits: {why}");
        {
            let mut waiting = self.waiting.borrow_mut();
            let waits = waiting.entry(kept.name.clone()).or_insert_with(|| Waiting::of(kept));
            if waits.created_ms != kept.created_ms {
                *waits = Waiting::of(kept);
            }
            let mut rest = waits.backoff.next_wait();
            // A time that may not be late is tried more often than that.
            if kept.missed == Missed::Skip {
                rest = rest.min(limits::TRIGGER_RETRY_ON_TIME);
            }
            let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX).max(1);
            waits.next_ms = (self.now_ms)().saturating_add(rest_ms);
            waits.why = why;
        }
        if !said.starts_with(&kept.failure) || kept.failure.is_empty() {
            tracing::warn!(trigger = kept.name, %failure, "it waits");
            if let Err(error) = self.note(tenant, (&kept.name, kept.created_ms), None, &said).await
            {
                tracing::warn!(trigger = kept.name, %error, "that it waits is not written down");
            }
        }
    }
}

/// Whether the same may be possible later, if nobody changes the trigger.
const fn may_pass(failure: &Failure) -> bool {
    matches!(failure.code, Code::Unavailable | Code::InterfaceChanged)
}

impl Waiting {
    const fn of(kept: &StoredTrigger) -> Self {
        let backoff = Backoff::new(limits::TRIGGER_RETRY_FIRST, limits::TRIGGER_RETRY_MOST);
        Self { created_ms: kept.created_ms, next_ms: 0, backoff, why: String::new() }
    }
}
