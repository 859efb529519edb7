//! From what a server answers to values, and from arguments to what it is asked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use remit_core::{Failure, Value};
use rmcp::model::{CallToolResult, ContentBlock, GetPromptResult, JsonObject, ResourceContents};
use serde_json::{Number, Value as Json};

use crate::kit::{encode, fail};
use crate::limits;

type Converted = Result<Value<u32>, Failure>;

/// What a tool answered: structured content is the value; otherwise it is the list of blocks.
pub(super) fn of_call(result: &CallToolResult) -> Converted {
    if result.is_error == Some(true) {
        return Err(fail::failed(texts(&result.content)));
    }
    match &result.structured_content {
        Some(value) => encode(value),
        None => blocks(&result.content),
    }
}

/// The messages of a prompt.
pub(super) fn of_prompt(result: &GetPromptResult) -> Converted {
    let message = |message: &rmcp::model::PromptMessage| -> Converted {
        Ok(fields([("role", encode(&message.role)?), ("content", block(&message.content)?)]))
    };
    let messages = result.messages.iter().map(message).collect::<Result<_, _>>()?;
    let mut prompt = vec![("messages".to_owned(), Value::List(messages))];
    if let Some(description) = &result.description {
        prompt.push(("description".into(), Value::Text(description.clone())));
    }
    Ok(Value::Fields(prompt))
}

/// What was read of a resource.
pub(super) fn of_contents(contents: &[ResourceContents]) -> Converted {
    contents.iter().map(content).collect::<Result<_, _>>().map(Value::List)
}

/// The words of a tool that failed.
fn texts(blocks: &[ContentBlock]) -> String {
    let texts = blocks.iter().filter_map(|block| Some(block.as_text()?.text.as_str()));
    let mut text = texts.collect::<Vec<_>>().join("\n");
    text.truncate(text.floor_char_boundary(limits::MCP_WORDS_BYTES));
    if text.is_empty() { "the MCP server's tool failed without a word".into() } else { text }
}

fn blocks(blocks: &[ContentBlock]) -> Converted {
    blocks.iter().map(block).collect::<Result<_, _>>().map(Value::List)
}

fn block(block: &ContentBlock) -> Converted {
    let with_bytes = |kind: &str, data: &str, mime_type: &str| {
        Ok(fields([
            ("type", text(kind)),
            ("data", Value::Data(bytes(data)?)),
            ("mimeType", text(mime_type)),
        ]))
    };
    match block {
        ContentBlock::Text(said) => {
            Ok(fields([("type", text("text")), ("text", text(&said.text))]))
        }
        ContentBlock::Image(image) => with_bytes("image", &image.data, &image.mime_type),
        ContentBlock::Audio(audio) => with_bytes("audio", &audio.data, &audio.mime_type),
        ContentBlock::Resource(resource) => {
            Ok(fields([("type", text("resource")), ("resource", content(&resource.resource)?)]))
        }
        link => encode(link),
    }
}

fn content(content: &ResourceContents) -> Converted {
    let (uri, mime_type, named) = match content {
        ResourceContents::TextResourceContents { uri, mime_type, text: said, .. } => {
            (uri, mime_type, ("text", text(said)))
        }
        ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
            (uri, mime_type, ("data", Value::Data(bytes(blob)?)))
        }
        _ => {
            return Err(fail::failed("the MCP server sent a resource of a kind that is not known"));
        }
    };
    let mime_type = mime_type.as_ref().map(|mime_type| ("mimeType", text(mime_type)));
    Ok(fields([("uri", text(uri)), named].into_iter().chain(mime_type)))
}

fn bytes(base64: &str) -> Result<Vec<u8>, Failure> {
    let wrong = |_| fail::failed("the MCP server sent bytes that are no base64");
    STANDARD.decode(base64).map_err(wrong)
}

fn text(text: &str) -> Value<u32> {
    Value::Text(text.to_owned())
}

fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, Value<u32>)>) -> Value<u32> {
    Value::Fields(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Arguments as a server takes them: bytes as base64.
pub(super) fn to_arguments(args: &Value<u32>) -> Result<JsonObject, Failure> {
    match to_json(args)? {
        Json::Object(args) => Ok(args),
        Json::Null => Ok(JsonObject::new()),
        _ => Err(fail::invalid("", "the arguments have no names")),
    }
}

fn to_json(value: &Value<u32>) -> Result<Json, Failure> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(is) => Json::Bool(*is),
        Value::Integer(number) => Json::from(*number),
        Value::Unsigned(number) => Json::from(*number),
        Value::Float(number) => Number::from_f64(*number).map(Json::Number).ok_or_else(|| {
            fail::invalid("", "NaN and infinite numbers cannot be sent to an MCP server")
        })?,
        Value::Text(text) => Json::String(text.clone()),
        Value::Data(bytes) => Json::String(STANDARD.encode(bytes)),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Fields(fields) => {
            let field = |(name, value): &(String, Value<u32>)| Ok((name.clone(), to_json(value)?));
            Json::Object(fields.iter().map(field).collect::<Result<_, Failure>>()?)
        }
        Value::Object(_) => {
            return Err(fail::invalid("", "an object cannot be sent to an MCP server"));
        }
    })
}
