//! The secrets of a server: given to it, and taken out of everything that it says.

use std::path::Path;

use regex::bytes::Regex;
use remit_core::Value;
use reqwest::Url;

use super::{Config, SecretConfig};
use crate::limits;
use crate::tools::http::secret::{finder, hide, look_up};

/// What marks a variable of another program's configuration as a secret.
const SECRET_NAMES: [&str; 6] = ["token", "key", "secret", "password", "auth", "credential"];

/// The secrets of one server.
#[derive(Default)]
pub(super) struct Secrets(Option<Regex>);

/// A name with its value.
pub(super) type Pair = (String, String);

impl Secrets {
    /// Reads the secrets of a section: the variables and the headers that hold them. An error never
    /// holds one.
    pub(super) fn read(
        config: &Config,
        base: &Path,
    ) -> Result<(Self, Vec<Pair>, Vec<Pair>), String> {
        let mut all = Vec::new();
        let mut look = |secret: &SecretConfig| {
            let bare = look_up(&secret.name, secret.file.as_deref(), secret.env.as_deref(), base)?;
            let pair = (secret.name.clone(), format!("{}{bare}", secret.prefix));
            all.push(bare);
            Ok::<_, String>(pair)
        };
        let mut env = config.secret.iter().map(&mut look).collect::<Result<Vec<_>, _>>()?;
        let mut headers = config.header.iter().map(&mut look).collect::<Result<Vec<_>, _>>()?;
        let spelled = &config.spelled_out;
        for (name, value) in spelled.env.iter().chain(&spelled.variables) {
            all.extend(in_variable(name, value));
        }
        for (_, value) in &spelled.headers {
            all.extend(with_last_word(value));
        }
        all.extend(config.url.as_deref().into_iter().flat_map(in_address));
        all.retain(|secret| secret.len() >= limits::SECRET_BYTES);
        env.extend(spelled.env.iter().cloned());
        headers.extend(spelled.headers.iter().cloned());
        Ok((Self(finder(&mut all)?), env, headers))
    }

    /// `text` without the secrets.
    pub(super) fn hide(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.hide_bytes(text.as_bytes().to_vec())).into_owned()
    }

    fn hide_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        hide(self.0.as_ref(), bytes)
    }

    /// A value without the secrets, in names of fields too.
    pub(super) fn hide_in(&self, value: Value<u32>) -> Value<u32> {
        if self.0.is_none() {
            return value;
        }
        match value {
            Value::Text(text) => Value::Text(self.hide(&text)),
            Value::Data(bytes) => Value::Data(self.hide_bytes(bytes)),
            Value::List(items) => {
                Value::List(items.into_iter().map(|item| self.hide_in(item)).collect())
            }
            Value::Fields(fields) => Value::Fields(
                fields
                    .into_iter()
                    .map(|(name, value)| (self.hide(&name), self.hide_in(value)))
                    .collect(),
            ),
            other => other,
        }
    }
}

/// What is secret in a variable: all of it if its name says so or if it looks like a key. Addresses,
/// paths and words are left alone, or results that hold them would be spoilt.
fn in_variable(name: &str, value: &str) -> Vec<String> {
    let looks_like_a_key = || {
        value.len() >= limits::MCP_KEY_BYTES
            && value.bytes().any(|byte| byte.is_ascii_digit())
            && !value.contains(|c: char| c == '/' || c.is_whitespace())
    };
    if is_secret(name) || looks_like_a_key() {
        return with_last_word(value);
    }
    in_address(value)
}

/// A value, and its last word: of `Bearer abc` a server could give back `abc` alone.
fn with_last_word(value: &str) -> Vec<String> {
    let last = value.rsplit(' ').next().unwrap_or_default();
    vec![value.to_owned(), last.to_owned()]
}

/// The password and the keys in an address, as they stand there and as they are meant. An error of the
/// connection names the address.
fn in_address(url: &str) -> Vec<String> {
    let Ok(url) = Url::parse(url) else { return Vec::new() };
    let pairs = url.query().into_iter().flat_map(|query| query.split('&'));
    let written = pairs.filter_map(|pair| pair.split_once('=')).filter(|(name, _)| is_secret(name));
    let meant = url.query_pairs().filter(|(name, _)| is_secret(name));
    let keys = written.map(|(_, value)| value.to_owned());
    keys.chain(meant.map(|(_, value)| value.into_owned()))
        .chain(url.password().map(str::to_owned))
        .collect()
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}
