//! The failures that a tool's methods return, by what they ask of the caller.
//!
//! A script reads them as `error.code`, `error.message` and `error.detail`. The message is for a
//! person or a model: what was asked, what was found, and what to do.
//!
//! ```
//! use remit_tool_node::kit::{Code, fail};
//!
//! let failure = fail::invalid("days", "`days` is 9: at most 7 are known ahead");
//! assert_eq!((failure.code, failure.detail.as_str()), (Code::InvalidArgument, "days"));
//! ```

use remit_core::{Code, Failure};

/// What was asked for does not exist.
pub fn not_found(message: impl Into<String>) -> Failure {
    Failure::new(Code::NotFound, message)
}

/// The argument at `path`, for example `filter.days`, is wrong.
pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Failure {
    Failure::new(Code::InvalidArgument, message).with_detail(path)
}

/// The tool tried and did not succeed.
pub fn failed(message: impl Into<String>) -> Failure {
    Failure::new(Code::Failed, message)
}

/// The operator of the tool does not allow it; `rule` names what refused.
pub fn denied(message: impl Into<String>, rule: impl Into<String>) -> Failure {
    Failure::new(Code::Denied, message).with_detail(rule)
}

/// A bound was reached. The message says which, and how to stay inside it.
pub fn limit(message: impl Into<String>) -> Failure {
    Failure::new(Code::Limit, message)
}

/// What the tool needs is away now. Trying later may help.
pub fn unavailable(message: impl Into<String>) -> Failure {
    Failure::new(Code::Unavailable, message)
}

/// It took too long.
pub fn timed_out(message: impl Into<String>) -> Failure {
    Failure::new(Code::TimedOut, message)
}

/// The effect may have happened, wholly or in part, and the tool cannot tell. The message says what
/// to look at.
pub fn unknown(message: impl Into<String>) -> Failure {
    Failure::new(Code::Unknown, message)
}

/// The caller gave up, and the method stopped.
pub fn cancelled(message: impl Into<String>) -> Failure {
    Failure::new(Code::Cancelled, message)
}
