//! The time of day, as the mesh counts it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use remit_core::grant::text::parse_span;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    ms(SystemTime::now())
}

/// A moment in milliseconds since 1970.
pub(crate) fn ms(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A span of time as people write it: `500ms`, `90s`, `10m`, `2h`, `7d`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    parse_span(text)
        .filter(|ms| *ms > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| "write how long, for example 90s, 10m, 2h or 7d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_number_and_a_unit() {
        assert_eq!(span("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(span("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "m", "10", "0s", "-1s", "1é", "99999999999999999999d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
