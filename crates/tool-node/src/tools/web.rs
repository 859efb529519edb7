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
    if !path.split('/').all(is_plain) {
        return Err(wrong("its path must have no `.`, `..` or encoded slashes in it"));
    }
    Ok(url)
}

/// The authority and the path of a URL as they were written.
fn split(text: &str) -> (&str, &str) {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// Whether a part of a path is what it looks like to every server.
fn is_plain(part: &str) -> bool {
    let part = part.to_ascii_lowercase().replace("%2e", ".");
    // Some servers cut parameters off before they look for dots.
    let name = part.split(';').next().unwrap_or_default();
    !matches!(name, "." | "..") && !["%2f", "%5c", "%00"].iter().any(|bad| part.contains(bad))
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

    /// Whether `url` is at this prefix or below it.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        let prefix = self.url.path().trim_end_matches('/');
        same_origin(&self.url, url)
            && url
                .path()
                .strip_prefix(prefix)
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
        ] {
            check("https://example.com/v1", url, true);
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
