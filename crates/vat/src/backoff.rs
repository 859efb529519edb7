//! Backoff between retries.

use std::time::Duration;

/// Exponential backoff with jitter and an upper bound. The jitter spreads the retries of many peers
/// that lost the same connection.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Waits begin at up to `first` and never exceed `most`.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, ceiling: first }
    }

    /// The next wait: between half and all of a ceiling that doubles each time.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.ceiling.mul_f64(f64::midpoint(crate::chance::fraction(), 1.0));
        self.ceiling = self.ceiling.saturating_mul(2).min(self.most);
        wait
    }

    /// Restarts at the first wait. Call it after a success.
    pub const fn reset(&mut self) {
        self.ceiling = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_their_bounds() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for ceiling_ms in [100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.next_wait().as_millis();
            assert!((ceiling_ms / 2..=ceiling_ms).contains(&wait), "{wait} of {ceiling_ms}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
