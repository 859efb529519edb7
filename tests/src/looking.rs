//! Polling for a state that no event announces, with a time limit.

use std::time::Duration;

use futures::FutureExt as _;

use super::following::AT_MOST;

/// The interval between two polls.
const AGAIN: Duration = Duration::from_millis(5);

/// Polls until `look` returns a value, and returns it. Panics with `what` after [`AT_MOST`].
pub async fn look_for<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    let found = tokio::time::timeout(AT_MOST, looking).await;
    found.unwrap_or_else(|_| panic!("it did not come: {what}"))
}

/// Polls until `look` returns true. Panics with `what` after [`AT_MOST`].
pub async fn look_until<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    look_for(what, || look().map(|is_so| is_so.then_some(()))).await;
}
