//! Headers whose values only this node knows.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use regex::bytes::{NoExpand, Regex};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE};
use serde::Deserialize;
use url::Url;

use crate::config::variable;
use crate::limits;
use crate::tools::web::Prefix;

/// What is shown in the place of a secret.
const HIDDEN: &[u8] = b"[secret]";

/// One `[[http.header]]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderConfig {
    /// The header's name, for example `Authorization`.
    pub name: String,
    /// What stands before the secret, for example `Bearer `.
    #[serde(default)]
    pub prefix: String,
    /// The file that holds the secret.
    pub file: Option<PathBuf>,
    /// The environment variable that holds the secret.
    pub env: Option<String>,
    /// The allowed URL that it is sent to; may be left out if only one is allowed.
    pub to: Option<String>,
}

/// The secrets of a section.
pub(super) struct Secrets {
    all: Vec<Secret>,
    /// Finds the secrets themselves, as a server could give them back; `None`: there are none.
    finder: Option<Regex>,
    /// Bytes of the longest one.
    longest: usize,
}

struct Secret {
    header: HeaderName,
    value: HeaderValue,
    to: Prefix,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|secret| &secret.header)).finish()
    }
}

impl Secrets {
    /// Reads the secrets. An error never holds one.
    pub(super) fn read(
        configs: &[HeaderConfig],
        allowed: &[Prefix],
        base: &Path,
    ) -> Result<Self, String> {
        let read = configs.iter().map(|config| read(config, allowed, base));
        let (all, mut bare): (Vec<_>, Vec<_>) =
            read.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let longest = bare.iter().map(String::len).max().unwrap_or(0);
        let finder = finder(&mut bare)?;
        Ok(Self { all, finder, longest })
    }

    /// Adds those headers that belong to `url`. The answer is then asked for as a whole: of a server
    /// that shows the headers of a request, two halves of an answer could hold half a secret each.
    pub(super) fn add(&self, url: &Url, headers: &mut HeaderMap) {
        for secret in self.all.iter().filter(|secret| secret.to.allows(url)) {
            headers.insert(secret.header.clone(), secret.value.clone());
            headers.remove(RANGE);
            headers.remove(IF_RANGE);
        }
    }

    /// Whether only the operator sets the header of this name.
    pub(super) fn owns(&self, name: &HeaderName) -> bool {
        self.all.iter().any(|secret| secret.header == name)
    }

    /// `bytes` without the secrets, if a server gave one of them back.
    pub(super) fn hide(&self, bytes: Vec<u8>) -> Vec<u8> {
        hide(self.finder.as_ref(), bytes)
    }

    /// What may be shown of a part of a message that begins with `held`, without the secrets. Bytes that
    /// a secret could begin with stay in `held` until more of the message is there, or its end.
    pub(super) fn sift(&self, held: &mut Vec<u8>, is_whole: bool) -> Vec<u8> {
        let Some(finder) = &self.finder else { return std::mem::take(held) };
        // From here on a secret may be cut off.
        let whole =
            if is_whole { held.len() } else { (held.len() + 1).saturating_sub(self.longest) };
        let mut shown = Vec::with_capacity(held.len());
        let mut looked_at = 0;
        for found in finder.find_iter(held).take_while(|found| found.start() < whole) {
            shown.extend_from_slice(&held[looked_at..found.start()]);
            shown.extend_from_slice(HIDDEN);
            looked_at = found.end();
        }
        let clean = looked_at.max(whole);
        shown.extend_from_slice(&held[looked_at..clean]);
        held.drain(..clean);
        shown
    }

    /// The same for text.
    pub(super) fn hide_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.hide(text.as_bytes().to_vec())).into_owned()
    }
}

/// A pattern that finds each of `secrets`; `None`: there are none.
pub(crate) fn finder(secrets: &mut [String]) -> Result<Option<Regex>, String> {
    if secrets.is_empty() {
        return Ok(None);
    }
    // Of two that begin alike the longer one is taken out whole.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let either = secrets.iter().map(|secret| regex::escape(secret)).collect::<Vec<_>>().join("|");
    // The error of a pattern shows the pattern.
    Regex::new(&either)
        .map(Some)
        .map_err(|_| "the secrets are too long to be looked for".to_owned())
}

/// `bytes` with a mark in the place of each secret that `finder` finds.
pub(crate) fn hide(finder: Option<&Regex>, bytes: Vec<u8>) -> Vec<u8> {
    match finder.map(|finder| finder.replace_all(&bytes, NoExpand(HIDDEN))) {
        None | Some(Cow::Borrowed(_)) => bytes,
        Some(Cow::Owned(hidden)) => hidden,
    }
}

/// A secret, and its text alone.
fn read(
    config: &HeaderConfig,
    allowed: &[Prefix],
    base: &Path,
) -> Result<(Secret, String), String> {
    let name = &config.name;
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is no name of a header"))?;
    let secret = look_up(name, config.file.as_deref(), config.env.as_deref(), base)?;
    let whole = format!("{}{secret}", config.prefix);
    let mut value = HeaderValue::from_str(&whole)
        .map_err(|_| format!("the secret of {name} has characters that no header may have"))?;
    value.set_sensitive(true);
    Ok((Secret { header, value, to: target(config, allowed)? }, secret))
}

/// The secret of `name`, in a file below `base` or in a variable of the environment. An error never
/// holds it.
pub(crate) fn look_up(
    name: &str,
    file: Option<&Path>,
    env: Option<&str>,
    base: &Path,
) -> Result<String, String> {
    let secret = match (file, env) {
        (Some(file), None) => {
            let path = base.join(file);
            std::fs::read_to_string(&path)
                .map_err(|error| format!("the secret of {name} in `{}`: {error}", path.display()))?
        }
        (None, Some(name_of)) => variable(name_of).ok_or_else(|| {
            format!("the secret of {name}: the environment has no variable `{name_of}`")
        })?,
        _ => {
            return Err(format!(
                "the secret of {name}: say where it is with either `file` or `env`"
            ));
        }
    };
    let secret = secret.trim();
    if secret.len() < limits::SECRET_BYTES {
        let least = limits::SECRET_BYTES;
        return Err(format!(
            "the secret of {name} is shorter than {least} bytes: it could be guessed"
        ));
    }
    Ok(secret.to_owned())
}

fn target(config: &HeaderConfig, allowed: &[Prefix]) -> Result<Prefix, String> {
    let name = &config.name;
    match (&config.to, allowed) {
        (Some(to), _) => {
            let to = Prefix::parse(to)?;
            if allowed.iter().any(|prefix| prefix.shares_origin(&to)) {
                return Ok(to);
            }
            Err(format!("the secret of {name} is for `{to}`, which is not allowed"))
        }
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(format!(
            "the secret of {name}: several URLs are allowed, say with `to` for which it is"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(dir: &Path, values: &[&str]) -> Secrets {
        let config = |(at, value): (usize, &&str)| {
            std::fs::write(dir.join(at.to_string()), value).unwrap();
            let text = format!("name = 'x-{at}'\nfile = '{at}'");
            toml::from_str(&text).unwrap()
        };
        let configs: Vec<HeaderConfig> = values.iter().enumerate().map(config).collect();
        Secrets::read(&configs, &[Prefix::parse("https://example.com").unwrap()], dir).unwrap()
    }

    #[test]
    fn a_secret_is_found_wherever_a_message_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let secrets =
            secrets(dir.path(), &["hunter2-hunter2", "hunter2-hunter2-long", "a.b*c(d+e"]);
        let message = b"hunter2-hunter2-long hunter2-hunter2a.b*c(d+ea.b*c(d+ hunter2-hunter";
        let shown = b"[secret] [secret][secret]a.b*c(d+ hunter2-hunter";
        for size in 1..=message.len() {
            let (mut held, mut out) = (Vec::new(), Vec::new());
            for part in message.chunks(size) {
                held.extend_from_slice(part);
                out.extend(secrets.sift(&mut held, false));
                assert!(held.len() < "hunter2-hunter2-long".len(), "{size}");
            }
            out.extend(secrets.sift(&mut held, true));
            assert_eq!(out, shown, "{size}: {}", String::from_utf8_lossy(&out));
        }
        assert_eq!(secrets.hide(message.to_vec()), shown);
    }

    #[test]
    fn a_section_without_secrets_holds_nothing_back() {
        let secrets = secrets(Path::new("/"), &[]);
        let mut held = b"whole".to_vec();
        assert_eq!(secrets.sift(&mut held, false), b"whole");
        assert_eq!(secrets.hide(b"same".to_vec()), b"same");
    }
}
