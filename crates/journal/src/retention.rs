//! How long ended tasks, and the history of tasks that go on, are kept.

// A match that decides names every variant, so that a new one cannot fall through to another arm.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use std::time::Duration;

use remit_core::grant::text::parse_span;
use remit_core::status::Status;
use serde::{Deserialize, Deserializer};

use super::TaskHead;

/// How long things are kept. `None`: for ever. A task that says itself how long it is kept is kept
/// for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Tasks that ended with a result, from their end on.
    #[serde(deserialize_with = "span")]
    pub completed: Option<Duration>,
    /// Tasks that ended with a failure.
    #[serde(deserialize_with = "span")]
    pub failed: Option<Duration>,
    /// Tasks that someone ended.
    #[serde(deserialize_with = "span")]
    pub cancelled: Option<Duration>,
    /// Events of tasks that go on, as far as a snapshot stands for them.
    #[serde(deserialize_with = "span")]
    pub history: Option<Duration>,
}

impl Retention {
    /// How long tasks are kept that ended so; `None`: for ever, or they have not ended.
    pub const fn of(&self, status: Status) -> Option<Duration> {
        match status {
            Status::Completed => self.completed,
            Status::Failed => self.failed,
            Status::Cancelled => self.cancelled,
            Status::Pending
            | Status::Running
            | Status::Waiting
            | Status::Halted
            | Status::Paused
            | Status::Cancelling => None,
        }
    }

    /// The moment at or before which a task must have ended, in milliseconds since 1970, to be kept
    /// no longer at `now_ms`.
    pub(super) fn limit_ms(&self, status: Status, now_ms: u64) -> Option<u64> {
        now_ms.checked_sub(u64::try_from(self.of(status)?.as_millis()).ok()?)
    }

    /// Whether a task with this head is kept no longer.
    pub(super) fn is_over(&self, head: &TaskHead, now_ms: u64) -> bool {
        if head.retention_ms != 0 {
            return head.due_ms().is_some_and(|due_ms| due_ms <= now_ms);
        }
        self.limit_ms(head.status, now_ms).is_some_and(|limit_ms| head.last_ms <= limit_ms)
    }
}

fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    if text == "forever" {
        return Ok(None);
    }
    parse_span(&text).map(|ms| Some(Duration::from_millis(ms))).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "`{text}` is no length of time: write for example 12h, 30d or forever"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_units() {
        let text = "completed = \"30d\"\nfailed = \"12h\"\nhistory = \"forever\"";
        let keep: Retention = toml::from_str(text).unwrap();
        assert_eq!(keep.completed, Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(keep.of(Status::Failed), Some(Duration::from_secs(12 * 3_600)));
        assert_eq!((keep.cancelled, keep.history), (None, None));
        for wrong in ["", "d", "3", "3w", "-1d", "é", "99999999999999999999d"] {
            let error = toml::from_str::<Retention>(&format!("failed = \"{wrong}\"")).unwrap_err();
            assert!(error.to_string().contains("30d"), "{error}");
        }
    }

    #[test]
    fn a_task_is_over_when_its_time_after_its_end_is() {
        let keep = Retention { failed: Some(Duration::from_secs(1)), ..Retention::default() };
        let head =
            |status| TaskHead { status, created_ms: 1, last_ms: 5_000, ..TaskHead::default() };
        assert!(!keep.is_over(&head(Status::Failed), 5_999));
        assert!(keep.is_over(&head(Status::Failed), 6_000));
        assert!(!keep.is_over(&head(Status::Failed), 0), "a clock that is behind removes nothing");
        assert!(!keep.is_over(&head(Status::Completed), u64::MAX));
        assert!(!keep.is_over(&head(Status::Running), u64::MAX));
        let kept = |status, retention_ms| TaskHead { retention_ms, ..head(status) };
        assert!(!keep.is_over(&kept(Status::Failed, 2_000), 6_999));
        assert!(keep.is_over(&kept(Status::Failed, 2_000), 7_000));
        assert!(keep.is_over(&kept(Status::Completed, 2_000), 7_000));
        assert!(!keep.is_over(&kept(Status::Failed, u64::MAX), u64::MAX));
        assert!(!keep.is_over(&kept(Status::Running, 2_000), u64::MAX));
    }
}
