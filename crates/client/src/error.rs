//! Errors between a client and a mesh, one variant for each action of the caller.

use remit_core::Failure;

/// Why a request to the mesh failed.
///
/// ```
/// use remit_client::{Code, Error};
///
/// /// Whether the same request may succeed later.
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
    /// The mesh could not be reached. Retrying later may help. Requests without a key were not
    /// executed; requests with a key may be retried with the same key.
    #[error("{0}")]
    Unreachable(String),
    /// The mesh does not know this client, or the client does not trust this mesh. Join the mesh
    /// again.
    #[error("{0}")]
    Refused(String),
    /// The mesh did not answer in time (30 seconds for most calls). It may still execute the
    /// request.
    #[error("{0}")]
    TimedOut(String),
    /// The connection was lost during a call that is not safe to repeat. Check whether it took
    /// effect before you call again.
    #[error("{0}")]
    Unknown(String),
    /// The request is malformed. Correct it.
    #[error("{0}")]
    Invalid(String),
    /// The mesh refused the request or failed; the failure's code says what to do.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The client was closed, or its thread ended. Connect again.
    #[error("the client is closed: connect again")]
    Closed,
}
