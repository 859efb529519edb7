//! The one text form of a grant: `fs:workspace/src?methods=read,list&calls=100&until=10m`.
//!
//! Command line, files and logs all use it. What is written reads back as it was.

use std::fmt::Write as _;

use super::{Caveat, path};

/// A grant as a person writes it: `tool[@version][:path][?caveat&caveat...]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantText {
    /// The tool's name.
    pub tool: String,
    /// The version; empty: the newest.
    pub version: String,
    /// The path below the tool's root, normalised; empty: the root.
    pub path: String,
    /// The caveats.
    pub caveats: Vec<Caveat>,
}

/// The text is no grant: what was found and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAGrant(String);

impl GrantText {
    /// Reads a grant. `now_ms` is what `until=10m` counts from.
    pub fn parse(text: &str, now_ms: u64) -> Result<Self, NotAGrant> {
        let (root, query) = text.split_once('?').map_or((text, ""), |(root, query)| (root, query));
        let (tool, path) = root.split_once(':').unwrap_or((root, ""));
        let (tool, version) = tool.split_once('@').unwrap_or((tool, ""));
        if tool.is_empty() {
            return Err(NotAGrant(format!(
                "`{text}` names no tool: write tool:path?caveats, for example fs:src?methods=read,list"
            )));
        }
        let caveats = query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| parse_caveat(part, now_ms))
            .collect::<Result<_, _>>()?;
        let path = path::join("", &unescape(path)?).map_err(|bad| NotAGrant(bad.to_string()))?;
        Ok(Self { tool: unescape(tool)?, version: unescape(version)?, path, caveats })
    }
}

impl std::fmt::Display for GrantText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&escape(&self.tool))?;
        if !self.version.is_empty() {
            write!(f, "@{}", escape(&self.version))?;
        }
        if !self.path.is_empty() {
            write!(f, ":{}", escape(&self.path))?;
        }
        for (at, caveat) in self.caveats.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { '?' } else { '&' }, caveat_text(caveat))?;
        }
        Ok(())
    }
}

/// A caveat as text, for example `methods=read,list`.
pub fn caveat_text(caveat: &Caveat) -> String {
    match caveat {
        Caveat::Methods(names) => {
            let names: Vec<String> = names.iter().map(|name| escape(name)).collect();
            format!("methods={}", names.join(","))
        }
        Caveat::Path(prefix) => format!("path={}", escape(prefix)),
        Caveat::Calls(most) => format!("calls={most}"),
        Caveat::Expires(at) => format!("until={}", moment(*at)),
        Caveat::Unknown(written) => written.clone(),
    }
}

/// Reads one caveat. One of a name that is not known is kept, and will refuse every call.
pub fn parse_caveat(text: &str, now_ms: u64) -> Result<Caveat, NotAGrant> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        NotAGrant(format!("`{text}` is not a caveat: write name=value, for example calls=100"))
    })?;
    Ok(match name {
        "methods" => Caveat::Methods(
            value
                .split(',')
                .filter(|name| !name.is_empty())
                .map(unescape)
                .collect::<Result<_, _>>()?,
        ),
        "path" => Caveat::Path(
            path::join("", &unescape(value)?).map_err(|bad| NotAGrant(bad.to_string()))?,
        ),
        "calls" => Caveat::Calls(value.parse().map_err(|_| {
            NotAGrant(format!("`calls={value}`: a budget is a whole number, for example calls=100"))
        })?),
        "until" => Caveat::Expires(parse_moment(value, now_ms)?),
        _ => Caveat::Unknown(text.to_owned()),
    })
}

/// A moment in milliseconds since 1970 as text, for example `2026-11-21T05:10:00.000Z`.
pub fn moment(at_ms: u64) -> String {
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

fn parse_moment(text: &str, now_ms: u64) -> Result<u64, NotAGrant> {
    let wrong = || {
        NotAGrant(format!(
            "`until={text}`: write how long (90s, 10m, 2h, 7d) or a moment (2026-11-21T05:10:00.000Z)"
        ))
    };
    let unit_ms = match text.chars().last() {
        Some('s') => 1_000,
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        Some('d') => 86_400_000,
        _ => return parse_utc(text).ok_or_else(wrong),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(unit_ms).and_then(|span| span.checked_add(now_ms)).ok_or_else(wrong)
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

/// `text` with what has a meaning in the text form written as `%` and two hexadecimal digits.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || "%?&,=:@ ".contains(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn unescape(text: &str) -> Result<String, NotAGrant> {
    let wrong = || NotAGrant(format!("`{text}`: after % come two hexadecimal digits"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        bytes.push(pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_form_reads_as_a_person_means_it() {
        let grant =
            GrantText::parse("fs:workspace/src?methods=read,list&calls=100&until=10m", 5).unwrap();
        assert_eq!(grant.tool, "fs");
        assert_eq!(grant.path, "workspace/src");
        assert_eq!(
            grant.caveats,
            vec![
                Caveat::Methods(vec!["read".into(), "list".into()]),
                Caveat::Calls(100),
                Caveat::Expires(600_005),
            ]
        );
        assert_eq!(GrantText::parse("git", 0).unwrap().path, "");
    }

    #[test]
    fn what_is_not_a_grant_is_refused_with_a_hint() {
        for text in
            ["", ":src", "fs?calls", "fs?calls=many", "fs?until=soon", "fs:../up", "fs?path=%zz"]
        {
            let error = GrantText::parse(text, 0).unwrap_err();
            assert!(error.to_string().len() > 10, "{text}");
        }
    }

    #[test]
    fn a_caveat_of_another_version_is_kept() {
        let grant = GrantText::parse("fs?moon=full", 0).unwrap();
        assert_eq!(grant.caveats, vec![Caveat::Unknown("moon=full".into())]);
    }

    fn caveat() -> impl Strategy<Value = Caveat> {
        prop_oneof![
            prop::collection::vec("[a-zA-Z,&=%é ]{1,8}", 0..4).prop_map(Caveat::Methods),
            "[a-z?&%]{1,5}(/[a-z=,@:]{1,5}){0,3}".prop_map(Caveat::Path),
            any::<u64>().prop_map(Caveat::Calls),
            (0..253_402_300_000_000_u64).prop_map(Caveat::Expires),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            tool in "[a-z@:?]{1,8}",
            version in "[0-9.]{0,6}",
            path in "([a-z&?%:]{1,4}(/[a-z ]{1,4}){0,2})?",
            caveats in prop::collection::vec(caveat(), 0..5),
        ) {
            let grant = GrantText { tool, version, path, caveats };
            prop_assert_eq!(GrantText::parse(&grant.to_string(), 77), Ok(grant));
        }
    }
}
