//! A call of a method as a script would write it.

use remit_core::manifest::Method;
use serde_json::Value as Json;

use super::signature::Signature;
use super::spelling::{is_identifier, property, string};

/// A call of `method` on `object` with its required arguments: examples of the tool's own where its
/// schema has some, else a value of the kind.
pub(crate) fn example(object: &str, method: &Method) -> String {
    let signature = Signature::of(method);
    let required = method.params.iter().filter(|param| param.required);
    let by_name = method.params.iter().skip_while(|param| param.required).any(|p| p.required);
    let value = |name: &str| value(name, signature.schema.described(name), 0);
    let args: Vec<String> = required
        .map(|param| match by_name {
            true => format!("{}: {}", property(&param.name), value(&param.name)),
            false => value(&param.name),
        })
        .collect();
    let args = if by_name { format!("{{ {} }}", args.join(", ")) } else { args.join(", ") };
    match is_identifier(&method.name) {
        true => format!("await {object}.{}({args})", method.name),
        false => format!("await {object}[{}]({args})", string(&method.name)),
    }
}

fn value(name: &str, schema: Option<&Json>, depth: usize) -> String {
    /// A value that is nested deeper says nothing more.
    const DEEP: usize = 3;
    let Some(schema) = schema.filter(|_| depth < DEEP) else { return string(name) };
    let listed = |keyword: &str| schema.get(keyword).and_then(|list| list.get(0));
    let said = listed("examples").or_else(|| schema.get("const")).or_else(|| listed("enum"));
    if let Some(said) = said {
        return literal(said);
    }
    if let Some(choice) = listed("anyOf").or_else(|| listed("oneOf")) {
        return value(name, Some(choice), depth + 1);
    }
    let kind = match schema.get("type") {
        Some(Json::Array(kinds)) => kinds.first().and_then(Json::as_str),
        kind => kind.and_then(Json::as_str),
    };
    match kind {
        Some("integer" | "number") => {
            schema.get("minimum").map_or("1".into(), std::string::ToString::to_string)
        }
        Some("boolean") => "true".into(),
        Some("null") => "null".into(),
        Some("array") => match schema.get("items") {
            Some(items) => format!("[{}]", value(name, Some(items), depth + 1)),
            None => "[]".into(),
        },
        Some("object") => fields(schema, depth),
        _ if schema.get("format").and_then(Json::as_str) == Some("object") => "object".into(),
        _ => string(name),
    }
}

fn fields(schema: &Json, depth: usize) -> String {
    let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
    let parts: Vec<String> = required
        .filter_map(Json::as_str)
        .map(|name| {
            let schema = schema.get("properties").and_then(|properties| properties.get(name));
            format!("{}: {}", property(name), value(name, schema, depth + 1))
        })
        .collect();
    if parts.is_empty() { "{}".into() } else { format!("{{ {} }}", parts.join(", ")) }
}

/// JSON is a literal of JavaScript too, in ASCII.
fn literal(json: &Json) -> String {
    match json {
        Json::String(text) => string(text),
        Json::Array(items) => {
            format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Json::Object(fields) => {
            let each = fields.iter().map(|(name, v)| format!("{}: {}", property(name), literal(v)));
            let parts: Vec<String> = each.collect();
            if parts.is_empty() { "{}".into() } else { format!("{{ {} }}", parts.join(", ")) }
        }
        other => other.to_string(),
    }
}
