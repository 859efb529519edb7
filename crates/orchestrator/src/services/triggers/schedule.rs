//! Schedules: at which times a trigger is set off, and which of them are made up for.

use std::str::FromStr as _;

use cronexpr::Crontab;
use jiff::Timestamp;

use crate::limits;

/// When a trigger is set off by the clock.
#[derive(Debug, Clone)]
pub struct Schedule {
    kind: Kind,
    /// When it was made, in milliseconds since 1970: what an interval counts from.
    since_ms: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    Cron(Box<Crontab>),
    Every(u64),
}

/// What becomes of times at which the orchestrator did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The last one is made up for.
    Once,
    /// None is.
    Skip,
    /// Each is, the last hundred at most.
    All,
}

/// It is no schedule: what was found and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotASchedule(String);

impl Schedule {
    /// By a cron expression of five fields or a macro such as `@daily`, in this time zone. One that
    /// names no time after `since_ms` (milliseconds since 1970) is refused.
    pub fn cron(expression: &str, zone: &str, since_ms: u64) -> Result<Self, NotASchedule> {
        let written = expression;
        let expression = spelled_out(expression.trim())?;
        let fields = expression.split_whitespace().count();
        if fields != 5 {
            return Err(NotASchedule(format!(
                "`{expression}` has {fields} fields: write minute, hour, day of month, month and day of week, for example `0 9 * * 1-5`, or a macro such as `@daily`"
            )));
        }
        jiff::tz::TimeZone::get(zone).map_err(|_| {
            NotASchedule(format!(
                "`{zone}` is no time zone: write one such as UTC or Europe/Berlin"
            ))
        })?;
        let crontab = Crontab::from_str(&format!("{expression} {zone}"))
            .map_err(|error| NotASchedule(format!("`{expression}`: {error}")))?;
        let schedule = Self { kind: Kind::Cron(Box::new(crontab)), since_ms };
        if schedule.next(since_ms).is_none() {
            return Err(NotASchedule(format!(
                "`{written}` names a date that never comes: check the day of the month against the month"
            )));
        }
        Ok(schedule)
    }

    /// At an interval, in milliseconds.
    pub fn every(interval_ms: u64, since_ms: u64) -> Result<Self, NotASchedule> {
        let shortest = limits::SHORTEST_INTERVAL_MS;
        if !(shortest..=limits::LONGEST_INTERVAL_MS).contains(&interval_ms) {
            return Err(NotASchedule(format!(
                "an interval of {interval_ms} ms: it may be from {shortest} ms to a year"
            )));
        }
        Ok(Self { kind: Kind::Every(interval_ms), since_ms })
    }

    /// The first time after `after_ms`; `None`: there is none.
    pub fn next(&self, after_ms: u64) -> Option<u64> {
        let after_ms = after_ms.max(self.since_ms);
        match &self.kind {
            Kind::Every(interval_ms) => {
                let passed = (after_ms - self.since_ms) / interval_ms;
                passed.checked_add(1)?.checked_mul(*interval_ms)?.checked_add(self.since_ms)
            }
            Kind::Cron(crontab) => {
                let after = Timestamp::from_millisecond(i64::try_from(after_ms).ok()?).ok()?;
                let next = crontab.find_next(after).ok()?;
                u64::try_from(next.timestamp().as_millisecond()).ok()
            }
        }
    }

    /// The times after `last_ms` and up to `now_ms` for which it is set off now.
    pub fn due(&self, last_ms: u64, now_ms: u64, missed: Missed) -> Vec<u64> {
        let mut times = std::collections::VecDeque::new();
        let mut at = self.catch_up(last_ms, now_ms, missed);
        while let Some(next) = self.next(at).filter(|next| *next <= now_ms) {
            times.push_back(next);
            if times.len() > limits::MISSED_RUNS {
                times.pop_front();
            }
            at = next;
        }
        match missed {
            Missed::All => times.into(),
            Missed::Once => times.pop_back().into_iter().collect(),
            // One that has only just passed was not missed.
            Missed::Skip => {
                times.retain(|at| now_ms - at <= limits::ON_TIME_MS);
                times.pop_back().into_iter().collect()
            }
        }
    }

    /// From where to look: after years away, not through every minute of them.
    fn catch_up(&self, last_ms: u64, now_ms: u64, missed: Missed) -> u64 {
        match (&self.kind, missed) {
            (Kind::Every(interval_ms), _) => {
                let span = interval_ms.saturating_mul(limits::MISSED_RUNS as u64 + 1);
                last_ms.max(now_ms.saturating_sub(span))
            }
            (Kind::Cron(_), Missed::Skip) => {
                last_ms.max(now_ms.saturating_sub(limits::ON_TIME_MS + 60_000))
            }
            // The rarest of schedules comes once in four years; a frequent one is found again soon.
            (Kind::Cron(_), _) => {
                let mut from = now_ms;
                for days in [1_u64, 31, 400, 1_500] {
                    from = now_ms.saturating_sub(days * 86_400_000);
                    if from <= last_ms || self.next(from).is_some_and(|at| at <= now_ms) {
                        break;
                    }
                }
                last_ms.max(from)
            }
        }
    }
}

/// The five fields that a macro of `crontab(5)` stands for; what is no macro stays as it is.
fn spelled_out(expression: &str) -> Result<&str, NotASchedule> {
    match expression.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        "@monthly" => Ok("0 0 1 * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@hourly" => Ok("0 * * * *"),
        other if other.starts_with('@') => Err(NotASchedule(format!(
            "`{expression}` is not supported: the macros are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually"
        ))),
        _ => Ok(expression),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const DAY: u64 = 1_440 * MINUTE;
    /// 2026-11-21T00:00:00Z, a Saturday.
    const MIDNIGHT: u64 = 1_795_219_200_000;

    #[test]
    fn a_cron_expression_is_read_in_its_time_zone() {
        let berlin = Schedule::cron("0 9 * * 1-5", "Europe/Berlin", 0).unwrap();
        // Monday at nine in Berlin is eight in the morning of UTC, in winter.
        assert_eq!(berlin.next(MIDNIGHT), Some(MIDNIGHT + 2 * DAY + 8 * 60 * MINUTE));
    }

    #[test]
    fn a_time_that_the_clock_skips_or_repeats_is_kept_once() {
        // In Berlin the clock goes from 2 to 3 on 2026-03-29, and from 3 to 2 on 2026-10-25.
        let berlin = Schedule::cron("30 2 * * *", "Europe/Berlin", 0).unwrap();
        for day in [1_774_656_000_000_u64, 1_792_800_000_000] {
            let times = berlin.due(day, day + 3 * DAY, Missed::All);
            let days: std::collections::BTreeSet<u64> = times.iter().map(|at| at / DAY).collect();
            assert_eq!(days.len(), times.len(), "{times:?}");
        }
    }

    #[test]
    fn a_macro_is_the_fields_it_stands_for() {
        for (named, fields) in [
            ("@hourly", "0 * * * *"),
            ("@daily", "0 0 * * *"),
            ("@midnight", "0 0 * * *"),
            ("@weekly", "0 0 * * 0"),
            ("@Monthly", "0 0 1 * *"),
            ("@yearly", "0 0 1 1 *"),
            (" @annually ", "0 0 1 1 *"),
        ] {
            let next = |text: &str| Schedule::cron(text, "UTC", MIDNIGHT).unwrap().next(MIDNIGHT);
            assert_eq!(next(named), next(fields), "{named}");
        }
        let reboot = Schedule::cron("@reboot", "UTC", 0).unwrap_err().0;
        assert!(reboot.contains("@daily"), "{reboot}");
    }

    #[test]
    fn a_date_that_never_comes_is_refused() {
        for never in ["0 0 30 2 *", "0 0 31 4 *", "0 0 31 2,4,6,9,11 *", "0 0 30-31 2 *"] {
            let why = Schedule::cron(never, "UTC", MIDNIGHT).unwrap_err().0;
            assert!(why.contains("never comes") && why.contains(never), "{why}");
        }
        for rare in ["0 0 29 2 *", "0 0 31 1,2 *", "0 0 30 2 1"] {
            assert!(Schedule::cron(rare, "UTC", MIDNIGHT).is_ok(), "{rare}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_a_hint() {
        for (expression, zone) in
            [("* * * *", "UTC"), ("61 * * * *", "UTC"), ("0 9 * * *", "Mars/Olympus"), ("", "UTC")]
        {
            assert!(Schedule::cron(expression, zone, 0).unwrap_err().0.len() > 10);
        }
        assert!(Schedule::every(1, 0).is_err());
        assert!(Schedule::every(u64::MAX, 0).is_err());
    }

    #[test]
    fn missed_times_are_made_up_for_as_was_asked() {
        let every = Schedule::every(MINUTE, MIDNIGHT).unwrap();
        let now = MIDNIGHT + 10 * MINUTE + 30_000;
        let last = MIDNIGHT + 5 * MINUTE;
        assert_eq!(every.due(last, now, Missed::All).len(), 5);
        assert_eq!(every.due(last, now, Missed::Once), [MIDNIGHT + 10 * MINUTE]);
        assert_eq!(every.due(last, now, Missed::Skip), [0_u64; 0]);
        assert_eq!(every.due(last, MIDNIGHT + 10 * MINUTE + 50, Missed::Skip).len(), 1);
        assert_eq!(every.due(now, now, Missed::All), [0_u64; 0]);
    }

    #[test]
    fn years_away_cost_no_more_than_a_hundred_runs() {
        let cron = Schedule::cron("* * * * *", "UTC", 0).unwrap();
        assert_eq!(cron.due(MIDNIGHT - 3_000 * DAY, MIDNIGHT, Missed::All).len(), 100);
        let rare = Schedule::cron("0 0 29 2 *", "UTC", 0).unwrap();
        assert_eq!(rare.due(MIDNIGHT - 3_000 * DAY, MIDNIGHT, Missed::Once).len(), 1);
        let every = Schedule::every(MINUTE, 0).unwrap();
        assert_eq!(every.due(0, MIDNIGHT, Missed::All).len(), 100);
    }
}
