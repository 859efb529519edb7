//! How long to wait before trying again.

use std::time::Duration;

/// Exponential growth with full jitter, bounded.
#[derive(Debug, Clone)]
pub struct Backoff {}

impl Backoff {
    /// Waits begin at `first` and never exceed `most`.
    pub fn new(_first: Duration, _most: Duration) -> Self {
        todo!()
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        todo!()
    }

    /// Begins again with the first wait, after a success.
    pub fn reset(&mut self) {
        todo!()
    }
}
