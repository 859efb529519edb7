//! Headers whose values only this node knows.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use url::Url;

use crate::config::variable;
use crate::limits;
use crate::tools::web::Prefix;

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
pub(super) struct Secrets(Vec<Secret>);

struct Secret {
    header: HeaderName,
    value: HeaderValue,
    /// The secret alone, as a server could give it back.
    bare: Vec<u8>,
    to: Prefix,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|secret| &secret.header)).finish()
    }
}

impl Secrets {
    /// Reads the secrets. An error never holds one.
    pub(super) fn read(
        configs: &[HeaderConfig],
        allowed: &[Prefix],
        base: &Path,
    ) -> Result<Self, String> {
        configs.iter().map(|config| read(config, allowed, base)).collect::<Result<_, _>>().map(Self)
    }

    /// Adds those headers that belong to `url`. Whether there were any.
    pub(super) fn add(&self, url: &Url, headers: &mut HeaderMap) -> bool {
        let mut added = false;
        for secret in self.0.iter().filter(|secret| secret.to.allows(url)) {
            headers.insert(secret.header.clone(), secret.value.clone());
            added = true;
        }
        added
    }

    /// Whether only the operator sets the header of this name.
    pub(super) fn owns(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|secret| secret.header == name)
    }

    /// `bytes` without the secrets, if a server gave one of them back.
    pub(super) fn hide(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.0.iter().fold(bytes, |bytes, secret| replace(bytes, &secret.bare))
    }

    /// The same for text.
    pub(super) fn hide_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.hide(text.as_bytes().to_vec())).into_owned()
    }
}

fn read(config: &HeaderConfig, allowed: &[Prefix], base: &Path) -> Result<Secret, String> {
    let name = &config.name;
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is no name of a header"))?;
    let secret = match (&config.file, &config.env) {
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
    let whole = format!("{}{secret}", config.prefix);
    let mut value = HeaderValue::from_str(&whole)
        .map_err(|_| format!("the secret of {name} has characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(Secret { header, value, bare: secret.as_bytes().to_vec(), to: target(config, allowed)? })
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

fn replace(bytes: Vec<u8>, secret: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = &bytes[..];
    while let Some(at) = rest.windows(secret.len()).position(|part| part == secret) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"[secret]");
        rest = &rest[at + secret.len()..];
    }
    if out.is_empty() && rest.len() == bytes.len() {
        return bytes;
    }
    out.extend_from_slice(rest);
    out
}
