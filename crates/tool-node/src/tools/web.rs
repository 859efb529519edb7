//! URLs as allow-lists compare them: parsed, never as text that two programs read differently.

use std::fmt;

use url::{Host, Url};

use crate::limits;

/// Reads a URL of http or https, and refuses every form that a server might read otherwise.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let shown: String = text.chars().take(120).collect();
    let wrong = |why: &str| format!("`{shown}`: {why}");
    if text.len() > limits::URL_BYTES {
        return Err(format!("a URL of more than {} bytes", limits::URL_BYTES));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(wrong("a URL has no spaces, control characters or backslashes"));
    }
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("a URL begins with https:// and a host"));
    }
    let (authority, path) = split(text);
    if authority.is_empty() {
        return Err(wrong("a URL begins with https:// and a host"));
    }
    if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("a URL with a user's name in it is not taken"));
    }
    if !is_plain(path) {
        return Err(wrong(
            "its path must have no `.` or `..` in it, encoded or not, and no encoded zero byte",
        ));
    }
    Ok(url)
}

/// The authority and the path of a URL as they were written.
fn split(text: &str) -> (&str, &str) {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// Whether a path stays below its own beginning however often a server decodes it, and whether it
/// takes an encoded slash for a letter or for the end of a part.
fn is_plain(path: &str) -> bool {
    let mut path = path.as_bytes().to_vec();
    for _ in 0..limits::URL_DECODINGS {
        let mut parts = path.split(|byte| matches!(byte, b'/' | b'\\'));
        // Some servers cut parameters off before they look for dots.
        let leads_up =
            |part: &[u8]| matches!(part.split(|byte| *byte == b';').next(), Some(b"." | b".."));
        if parts.any(leads_up) || path.contains(&0) {
            return false;
        }
        let decoded = decoded(&path);
        if decoded == path {
            return true;
        }
        path = decoded;
    }
    false
}

/// What is left when each `%` with two digits is the byte that it stands for.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let pair = digit(at + 1).zip(digit(at + 2)).filter(|_| byte == b'%');
        match pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// An origin with the beginning of a path: what is at it and below it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    url: Url,
}

impl Prefix {
    /// Reads a prefix such as `https://example.com/api`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let url = parse(text)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{text}`: an allowed URL has no `?` and no `#`"));
        }
        Ok(Self { url })
    }

    /// Whether `url` is at this prefix or below it. An encoded slash is a letter here: what is below
    /// the prefix to a server that decodes it is below it as it is written too, since no part of a
    /// path that was [parsed](parse) leads up.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        let (prefix, path) = (large_digits(self.url.path()), large_digits(url.path()));
        same_origin(&self.url, url)
            && path
                .strip_prefix(prefix.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub(crate) fn scheme(&self) -> &str {
        self.url.scheme()
    }

    /// Whether both have the same origin.
    pub(crate) fn shares_origin(&self, other: &Self) -> bool {
        same_origin(&self.url, &other.url)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// The same path with every encoded byte in large digits: `%2f` and `%2F` are the same.
fn large_digits(path: &str) -> String {
    let mut left = 0;
    let large = |letter: char| {
        left = if letter == '%' { 2 } else { i32::max(left - 1, -1) };
        if left >= 0 { letter.to_ascii_uppercase() } else { letter }
    };
    path.chars().map(large).collect()
}

/// Whether two URLs have the same scheme, host and port.
pub(crate) fn same_origin(one: &Url, two: &Url) -> bool {
    let of = |url: &Url| {
        (
            url.scheme().to_owned(),
            url.host().map(|host: Host<&str>| host.to_owned()),
            url.port_or_known_default(),
        )
    };
    of(one) == of(two)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefix: &str, url: &str, allowed: bool) {
        let prefix = Prefix::parse(prefix).unwrap();
        let is = parse(url).is_ok_and(|url| prefix.allows(&url));
        assert_eq!(is, allowed, "{prefix} {url}");
    }

    #[test]
    fn what_is_below_a_prefix_is_allowed() {
        for url in [
            "https://example.com/v1",
            "https://example.com/v1/",
            "https://EXAMPLE.com:443/v1/a%20b?q=../x#y",
            "https://example.com/v1/...",
            "https://example.com/v1/group%2Fproject/issues",
            "https://example.com/v1/@scope%2fname",
            "https://example.com/v1/a%5Cb/100%25/%zz/%2",
        ] {
            check("https://example.com/v1", url, true);
        }
        for (prefix, url, allowed) in [
            ("https://example.com/v1/group%2Fproject", "/v1/group%2fproject/issues", true),
            ("https://example.com/v1/group%2Fproject", "/v1/group%2Fproject2", false),
            ("https://example.com/v1/group%2Fproject", "/v1/group/project", false),
            ("https://example.com/v1/group/project", "/v1/group%2Fproject/issues", false),
            ("https://example.com/a%2fb", "/A%2FB", false),
        ] {
            check(prefix, &format!("https://example.com{url}"), allowed);
        }
        check("https://example.com", "https://example.com/any", true);
        check("http://[::1]:8080/", "http://[::1]:8080/x", true);
    }

    #[test]
    fn what_only_looks_like_it_is_refused() {
        for url in [
            "http://example.com/v1",
            "https://example.com:444/v1",
            "https://example.com.evil.org/v1",
            "https://example.com@evil.org/v1",
            "https://@example.com/v1",
            "https://me:pw@example.com/v1",
            "https://evil.org\\@example.com/v1",
            "https://evil.org/https://example.com/v1",
            "https://example.com/v12",
            "https://example.com/V1",
            "https://example.com/v1/../admin",
            "https://example.com/v1/%2e%2E/admin",
            "https://example.com/v1/..;a=b/admin",
            "https://example.com/v1/..%2fadmin",
            "https://example.com/v1/..%5Cadmin",
            "https://example.com/v1%2Fx",
            "https://example.com/v1%2F..%2Fv1/x",
            "https://example.com/v1/a%2F..%2F..%2Fadmin",
            "https://example.com/v1/a%2F%2E%2E/b",
            "https://example.com/v1/a%252F..%252F..%252Fadmin",
            "https://example.com/v1/%252e%252E/admin",
            "https://example.com/v1/%25252e%25252e/admin",
            "https://example.com/v1/..%3Ba=b/admin",
            "https://example.com/v1/a%2F.%3Bx%2Fadmin",
            "https://example.com/v1/%2500",
            "https://example.com/v1/%25252525252525252e",
            "https://example.com/v1/a\tb",
            "https://example.com/v1/%00",
            "https:example.com/v1/x",
            "https:me@example.com/v1/x",
            "https:///example.com/v1/x",
            "https:/example.com/v1/x",
            "//example.com/v1",
            "file:///v1",
            "",
        ] {
            check("https://example.com/v1", url, false);
        }
    }

    #[test]
    fn a_prefix_with_more_than_a_path_is_refused() {
        for text in ["https://a.b/?x", "https://a.b/#x", "ftp://a.b", "a.b/c", "https://u@a.b"] {
            assert!(Prefix::parse(text).is_err(), "{text}");
        }
    }
}
