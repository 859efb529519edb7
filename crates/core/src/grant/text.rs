//! The one text form of a grant: `fs:workspace/src?methods=read,list&calls=100&until=10m`.
//!
//! Command line, files and logs all use it. What is written reads back as it was.

mod caveat;
mod escape;
mod fields;
mod guard;
mod time;

pub use caveat::{caveat_text, parse_caveat};
pub use fields::caveats_from_value;
pub use time::{moment, parse_span, span};

use super::{Caveat, path};
use crate::event::OnUnknown;
use escape::{escape_root, unescape};

#[cfg(test)]
mod tests;

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
    /// What is done about a call of unknown outcome: `onUnknown=retry`, `fail` or `ask`. No caveat:
    /// it allows and forbids nothing.
    pub on_unknown: OnUnknown,
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
        let (mut caveats, mut on_unknown) = (Vec::new(), OnUnknown::Inherit);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.strip_prefix("onUnknown=") {
                Some(policy) => on_unknown = parse_policy(policy)?,
                None => caveats.push(parse_caveat(part, now_ms)?),
            }
        }
        let path = path::join("", &unescape(path)?).map_err(|bad| NotAGrant(bad.to_string()))?;
        Ok(Self { tool: unescape(tool)?, version: unescape(version)?, path, caveats, on_unknown })
    }
}

impl std::fmt::Display for GrantText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&escape_root(&self.tool))?;
        if !self.version.is_empty() {
            write!(f, "@{}", escape_root(&self.version))?;
        }
        if !self.path.is_empty() {
            write!(f, ":{}", escape_root(&self.path))?;
        }
        for (at, caveat) in self.caveats.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { '?' } else { '&' }, caveat_text(caveat))?;
        }
        if self.on_unknown != OnUnknown::Inherit {
            let mark = if self.caveats.is_empty() { '?' } else { '&' };
            write!(f, "{mark}onUnknown={}", self.on_unknown.as_str())?;
        }
        Ok(())
    }
}

fn parse_policy(name: &str) -> Result<OnUnknown, NotAGrant> {
    let named = OnUnknown::NAMED.into_iter().find(|policy| policy.as_str() == name);
    named.ok_or_else(|| {
        NotAGrant(format!("`onUnknown={name}` is no policy: write onUnknown=retry, fail or ask"))
    })
}
