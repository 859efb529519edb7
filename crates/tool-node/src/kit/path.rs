//! Paths as arguments: relative, clean, and known as paths to whoever checks a grant.

use std::borrow::Cow;
use std::fmt;

use remit_core::grant::path;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A path below the object that a method is called on: parts separated by `/`, none of them empty,
/// `.` or `..`. The empty path is the object itself. An argument of this type (or an `Option` of
/// it) is marked in the manifest as a path, and the caveats of a grant are checked against it.
///
/// ```
/// use remit_tool_node::kit::RelPath;
/// assert_eq!(RelPath::new("./src//lib.rs").unwrap().as_str(), "src/lib.rs");
/// assert!(RelPath::new("../secrets").is_err());
/// assert!(RelPath::new("/etc/passwd").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RelPath(String);

impl RelPath {
    /// The path that `text` spells, cleaned.
    ///
    /// # Errors
    /// It is absolute, or climbs out by `..`.
    pub fn new(text: &str) -> Result<Self, path::BadPath> {
        path::join("", text).map(Self)
    }

    /// Seen from where `self` is seen, `below` seen from `self`.
    ///
    /// ```
    /// # use remit_tool_node::kit::RelPath;
    /// let (src, file) = (RelPath::new("src")?, RelPath::new("bin/main.rs")?);
    /// assert_eq!(src.join(&file)?.as_str(), "src/bin/main.rs");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As of [`RelPath::new`]: the whole is too long.
    pub fn join(&self, below: &Self) -> Result<Self, path::BadPath> {
        path::join(&self.0, &below.0).map(Self)
    }

    /// The path as text; empty: the object itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the object itself.
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Its parts, outermost first.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

impl<'de> Deserialize<'de> for RelPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(de::Error::custom)
    }
}

impl Serialize for RelPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for RelPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Path".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "path" })
    }
}
