//! The content of something: text where it is text, else bytes.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How bytes are given. What is asked for decides, and not what the bytes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As text.
    #[default]
    Text,
    /// As bytes.
    Data,
}

/// Text or bytes. As an argument it takes both; as a result it travels as what it is.
///
/// ```
/// use remit_tool_node::kit::Content;
/// assert_eq!(Content::from_bytes(b"plain".to_vec()), Content::Text("plain".into()));
/// assert_eq!(Content::from_bytes(vec![0xff]), Content::Data(vec![0xff]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Unicode text.
    Text(String),
    /// Bytes.
    Data(Vec<u8>),
}

impl Content {
    /// Text if `bytes` are UTF-8, else data.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Data(error.into_bytes()),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Data(data) => data,
        }
    }

    /// The bytes, as their owner.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Data(data) => data,
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Data(data) => serializer.serialize_bytes(data),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrData)
    }
}

struct TextOrData;

impl de::Visitor<'_> for TextOrData {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.into()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Content, E> {
        Ok(Content::Text(text))
    }

    fn visit_bytes<E: de::Error>(self, data: &[u8]) -> Result<Content, E> {
        Ok(Content::Data(data.into()))
    }

    fn visit_byte_buf<E: de::Error>(self, data: Vec<u8>) -> Result<Content, E> {
        Ok(Content::Data(data))
    }
}

impl JsonSchema for Content {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Content".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "text-or-bytes" })
    }
}
