//! What can go wrong between a client and a mesh, by what the caller should do about it.

use remit_core::Failure;

/// Why something asked of the mesh was not done.
///
/// ```
/// use remit_client::{Code, Error};
///
/// /// Whether the same may be asked again as it is.
/// fn is_worth_another_try(error: &Error) -> bool {
///     match error {
///         Error::Unreachable(_) => true,
///         Error::Failed(failure) => matches!(failure.code, Code::Unavailable | Code::Limit),
///         _ => false,
///     }
/// }
///
/// assert!(is_worth_another_try(&Error::Unreachable("nobody listens there".into())));
/// assert!(!is_worth_another_try(&Error::Closed));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The mesh could not be reached. Trying later may help; nothing was done that was not asked
    /// for with a key, and what was asked for with a key may be asked for again.
    #[error("{0}")]
    Unreachable(String),
    /// The mesh does not know this client, or the client does not trust this mesh. Join it again.
    #[error("{0}")]
    Refused(String),
    /// The mesh did not answer in time, 30 seconds for most calls. It may still do what was asked.
    #[error("{0}")]
    TimedOut(String),
    /// The connection was lost while something that must not be repeated was under way. Look what
    /// became of it before asking again.
    #[error("{0}")]
    Unknown(String),
    /// What was asked for makes no sense. Correct it.
    #[error("{0}")]
    Invalid(String),
    /// The mesh answered that it cannot be done; the failure's code says what to do.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The client was closed, or its thread ended.
    #[error("the client is closed: connect again")]
    Closed,
}
