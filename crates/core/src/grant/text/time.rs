//! Moments and spans of time as people write them.

/// Later than any moment that is written with a year of four digits.
const YEAR_10000_MS: u64 = 253_402_300_800_000;

/// Units of time in milliseconds, the largest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A moment in milliseconds since 1970 as text, for example `2026-11-21T05:10:00.000Z`; one after
/// the year 9999 as that number.
pub fn moment(at_ms: u64) -> String {
    if at_ms >= YEAR_10000_MS {
        return at_ms.to_string();
    }
    let (days, ms) = (at_ms / 86_400_000, at_ms % 86_400_000);
    // Days to year, month and day, in years that begin in March, so that a leap day ends its year.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (s, ms) = (ms / 1000, ms % 1000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z",
        s / 3600,
        s / 60 % 60,
        s % 60
    )
}

/// A span of time in milliseconds as text, for example `10m`.
pub fn span(ms: u64) -> String {
    let whole = UNITS.into_iter().find(|(_, unit)| ms.is_multiple_of(*unit) && ms > 0);
    let (name, unit) = whole.unwrap_or(("s", 1_000));
    format!("{}{name}", ms / unit)
}

/// Reads a span of time, a whole number and a unit from `ms` to `d`, in milliseconds.
pub fn parse_span(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let (_, unit_ms) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    count.parse::<u64>().ok()?.checked_mul(unit_ms)
}

/// Reads a moment: how long from now, a date with its time, or milliseconds since 1970.
pub(super) fn parse_moment(text: &str, now_ms: u64) -> Option<u64> {
    // Fewer digits are an hour of the day or a number of days that lacks its unit.
    if text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    match parse_span(text) {
        Some(span) => span.checked_add(now_ms),
        None => parse_utc(text),
    }
}

fn parse_utc(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let date: Vec<u64> = date.split('-').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let (clock, ms) = time.split_once('.').unwrap_or((time, "0"));
    let clock: Vec<u64> = clock.split(':').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let ([year, month, day], [h, m, s]) = (&date[..], &clock[..]) else { return None };
    let ms: u64 = format!("{ms:0<3}").get(..3)?.parse().ok()?;
    let in_range = (1970..=9999).contains(year)
        && (1..=12).contains(month)
        && (1..=31).contains(day)
        && (*h, *m, *s) < (24, 0, 0)
        && *m < 60
        && *s < 60;
    if !in_range {
        return None;
    }
    let (shifted_year, shifted_month) =
        if *month > 2 { (*year, month - 3) } else { (year - 1, month + 9) };
    let era = shifted_year / 400;
    let year_of_era = shifted_year % 400;
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100
        + (153 * shifted_month + 2) / 5
        + day
        - 1;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(((days * 24 + h) * 60 + m) * 60_000 + s * 1000 + ms)
}
