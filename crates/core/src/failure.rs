//! The closed set of ways a call fails, each of which tells the caller what to do next.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_FAILURE_BYTES;

/// What the detail of a refusal begins with that says when to come back.
const RETRY_AFTER: &str = "retry-after-ms=";

/// What kind of failure it is. The set is closed: a caller may match on all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Code {
    /// A caveat of the grant refused the call. The detail names the caveat.
    Denied,
    /// The grant or the attempt was revoked. Nothing obtained through it works any more.
    Revoked,
    /// What was asked for does not exist.
    NotFound,
    /// The arguments are wrong. The detail is the path of the argument.
    InvalidArgument,
    /// The tool tried and did not succeed.
    Failed,
    /// The node that serves the tool is away. Trying later may help.
    Unavailable,
    /// No answer came in time. It may still happen.
    TimedOut,
    /// The caller, or someone with authority over it, gave up on the call.
    Cancelled,
    /// It may or may not have happened, and nobody can tell.
    Unknown,
    /// A bound was reached.
    Limit,
    /// The object is gone and cannot be obtained again.
    ObjectLost,
    /// The tool is no longer the one that the grant was made for. The detail is what changed, a line
    /// each. It works again when someone accepts the change.
    InterfaceChanged,
}

impl Code {
    /// Every code, in the order of the schema.
    pub const ALL: [Self; 12] = [
        Self::Denied,
        Self::Revoked,
        Self::NotFound,
        Self::InvalidArgument,
        Self::Failed,
        Self::Unavailable,
        Self::TimedOut,
        Self::Cancelled,
        Self::Unknown,
        Self::Limit,
        Self::ObjectLost,
        Self::InterfaceChanged,
    ];

    /// The name that scripts, logs and the wire use, for example `invalid-argument`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Revoked => "revoked",
            Self::NotFound => "not-found",
            Self::InvalidArgument => "invalid-argument",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::Limit => "limit",
            Self::ObjectLost => "object-lost",
            Self::InterfaceChanged => "interface-changed",
        }
    }

    /// The code with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a call, or a task, did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{code}: {message}")]
pub struct Failure {
    /// What kind of failure it is.
    pub code: Code,
    /// What was asked, what was found, and what to do, in a sentence.
    pub message: String,
    /// The caveat that refused (`denied`), the argument's path (`invalid-argument`), the stack
    /// (`failed`, of a script), what changed (`interface-changed`), when to come back (`limit`, see
    /// [`Failure::retry_after`]); else empty.
    pub detail: String,
}

impl Failure {
    /// A failure without a detail.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: String::new() }
    }

    /// The same failure with this detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The same refusal, which says that nothing was done and after how long to ask again.
    #[must_use]
    pub fn and_retry_after(self, wait: Duration) -> Self {
        let message = format!("{}; ask again after {} s", self.message, wait.as_secs_f32());
        let detail = format!("{RETRY_AFTER}{}", wait.as_millis());
        Self { message, detail, ..self }
    }

    /// After how long to ask again, if it is a refusal that says so.
    pub fn retry_after(&self) -> Option<Duration> {
        let wait_ms = self.detail.strip_prefix(RETRY_AFTER)?.parse().ok()?;
        (self.code == Code::Limit).then(|| Duration::from_millis(wait_ms))
    }

    /// As much of the failure as is kept: it may quote what a peer sent.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for text in [&mut self.message, &mut self.detail] {
            text.truncate(text.floor_char_boundary(MAX_FAILURE_BYTES));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_when_to_come_back_to_people_and_programs() {
        let wait = Duration::from_millis(2_500);
        let refused = Failure::new(Code::Limit, "8 jobs wait").and_retry_after(wait);
        assert_eq!(refused.to_string(), "limit: 8 jobs wait; ask again after 2.5 s");
        assert_eq!(refused.retry_after(), Some(wait));
        assert_eq!(Failure::new(Code::Limit, "no").retry_after(), None);
        let detail = refused.detail;
        let other = Failure::new(Code::Failed, "a tool's own words").with_detail(detail);
        assert_eq!(other.retry_after(), None, "only a refusal was not begun");
        for detail in ["retry-after-ms=", "retry-after-ms=-1", "retry-after-ms=1e3"] {
            let odd = Failure::new(Code::Limit, "no").with_detail(detail);
            assert_eq!(odd.retry_after(), None, "{detail}");
        }
    }
}
