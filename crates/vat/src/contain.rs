//! Containing a panic: what fails in a way that nobody thought of ends by itself and says so.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

/// Does the work, and answers with what it said if it panicked. What the work shares with others must
/// stay sound when it stops half-way.
pub async fn contain<F: Future>(work: F) -> Result<F::Output, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| text_of(&*panic).to_owned())
}

/// What a panic said.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_gives_what_it_gives_or_the_words_of_its_panic() {
        assert_eq!(contain(async { 1 }).await, Ok(1));
        assert_eq!(
            contain(async { panic!("on {}", "purpose") }).await,
            Err::<(), _>("on purpose".into())
        );
        assert_eq!(contain(async { panic!("plain") }).await, Err::<(), _>("plain".into()));
        let odd = contain(async { std::panic::panic_any(7) }).await;
        assert_eq!(odd, Err::<(), _>("without words".into()));
    }
}
