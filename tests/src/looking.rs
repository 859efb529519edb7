//! Looking again and again for what nobody tells of, and not for ever.

use std::time::Duration;

use futures::FutureExt as _;

use super::following::AT_MOST;

/// Between two looks.
const AGAIN: Duration = Duration::from_millis(5);

/// Looks until there is something to be seen, and gives it; `what` is said if it does not come.
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

/// Looks until something is so; `what` is said if it does not become so.
pub async fn look_until<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    look_for(what, || look().map(|is_so| is_so.then_some(()))).await;
}
