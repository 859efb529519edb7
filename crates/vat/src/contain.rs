//! Containing a panic: a defect ends the work that has it, and is reported.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

/// Runs `work` and returns its output, or the message of its panic. State that the work shares with
/// others must stay sound when the work stops half-way.
pub async fn contain<F: Future>(work: F) -> Result<F::Output, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| text_of(&*panic).to_owned())
}

/// The message of a panic.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn contained_work_returns_its_output_or_its_panic() {
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
