//! Calls in words, for the people who are to judge them.

use super::Task;
use crate::event::CallRequested;
use crate::grant::resolved_call::ResolvedCall;
use crate::value::Value;

/// Characters of one call's arguments that are shown: all of them stand beside the words.
const SHOWN: usize = 300;

/// Bytes of an argument of bytes that are shown, in hexadecimal.
const SHOWN_BYTES: usize = 16;

impl Task {
    /// A call in words: tool, method, arguments, who asks, through which grant, what the method says
    /// of itself.
    pub(super) fn in_words(
        &self,
        request: &CallRequested,
        resolved: &ResolvedCall,
        user: &str,
    ) -> String {
        let grant = self.grants.get(&request.grant).map(|held| &held.grant);
        let name = match grant.map_or("", |grant| grant.name.as_str()) {
            "" => format!("grant {}", request.grant),
            name => format!("`{name}`"),
        };
        let annotated = match resolved {
            resolved if resolved.destructive => "it may destroy something",
            resolved if resolved.read_only => "it changes nothing",
            resolved if resolved.idempotent => "twice is the same as once",
            _ => "it has an effect",
        };
        let who = if user == "task" { "the task's agent" } else { user };
        format!("{}, by {who} through {name}; {annotated}", self.call_in_words(request))
    }

    /// A call in fewer words: tool, method, arguments.
    pub fn call_in_words(&self, request: &CallRequested) -> String {
        let tool = self.grants.get(&request.grant).map_or("?", |held| held.grant.tool.as_str());
        let at = match request.path.as_str() {
            "" => String::new(),
            path => format!(" at {path:?}"),
        };
        let (method, args) = (&request.method, args(&request.args));
        format!("{tool}: {method}({args}){at}")
    }
}

/// Arguments by name, cut to a length that a person reads.
pub(super) fn args(args: &Value) -> String {
    let mut text = String::new();
    match args {
        Value::Fields(fields) => write_fields(fields, &mut text),
        Value::Null => {}
        args @ (Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Data(_)
        | Value::List(_)
        | Value::Object(_)
        | Value::Unsigned(_)) => write(args, &mut text),
    }
    if text.chars().count() > SHOWN {
        text = text.chars().take(SHOWN).collect::<String>() + "… (cut here)";
    }
    text
}

fn write_fields(fields: &[(String, Value)], text: &mut String) {
    for (at, (name, value)) in fields.iter().enumerate() {
        text.push_str(if at == 0 { "" } else { ", " });
        // What an agent calls a field is its own to choose.
        match name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            true => text.push_str(name),
            false => text.push_str(&format!("{name:?}")),
        }
        text.push_str(": ");
        write(value, text);
    }
}

fn write(value: &Value, text: &mut String) {
    // More would not be shown.
    if text.len() > 4 * SHOWN {
        return;
    }
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(b) => text.push_str(&b.to_string()),
        Value::Integer(i) => text.push_str(&i.to_string()),
        Value::Unsigned(n) => text.push_str(&n.to_string()),
        Value::Float(x) => text.push_str(&x.to_string()),
        Value::Text(written) => text.push_str(&format!("{written:?}")),
        Value::Data(bytes) => {
            let head = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
            text.push_str(&format!("0x{}", hex::encode(head)));
            if head.len() < bytes.len() {
                text.push_str(&format!("… ({} bytes)", bytes.len()));
            }
        }
        Value::Object(object) => text.push_str(&object.to_string()),
        Value::List(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                write(item, text);
            }
            text.push(']');
        }
        Value::Fields(fields) => {
            text.push('{');
            write_fields(fields, text);
            text.push('}');
        }
    }
}
