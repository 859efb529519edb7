//! A JSON Schema as a type of TypeScript.

use std::cell::Cell;

use remit_core::json;
use serde_json::{Map, Value as Json};

use super::spelling::{property, string};
use crate::limits;

/// Which way a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// An argument. A whole number may be a `bigint`.
    Given,
    /// A result.
    Returned,
}

/// A schema that was read.
pub(crate) struct Schema {
    root: Json,
}

/// One spelling of a schema, which is bounded as a whole: definitions that name others many times
/// would make it grow without end.
struct Speller<'a> {
    root: &'a Json,
    way: Direction,
    left: Cell<usize>,
}

impl Schema {
    /// Reads a schema. One that is absent or no JSON allows everything.
    pub(crate) fn read(text: &str) -> Self {
        Self { root: json::parse(text).unwrap_or(Json::Bool(true)) }
    }

    /// The type of the whole.
    pub(crate) fn spelled(&self, way: Direction) -> String {
        self.speller(way).spell(&self.root, 0).text
    }

    /// The type of one of its properties.
    pub(crate) fn property(&self, name: &str, way: Direction) -> String {
        match self.described(name) {
            Some(schema) => self.speller(way).spell(schema, 0).text,
            None => "unknown".into(),
        }
    }

    /// The schema of one of its properties.
    pub(crate) fn described(&self, name: &str) -> Option<&Json> {
        self.root.get("properties")?.get(name)
    }

    /// Whether it allows fields that it does not name.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.root.get("additionalProperties"), Some(more) if *more != Json::Bool(false))
    }

    const fn speller(&self, way: Direction) -> Speller<'_> {
        Speller { root: &self.root, way, left: Cell::new(limits::TYPE_PARTS) }
    }
}

/// A type, and whether it needs brackets as a part of another one.
struct Type {
    text: String,
    compound: bool,
}

impl Type {
    fn one(text: impl Into<String>) -> Self {
        Self { text: text.into(), compound: false }
    }

    fn part(&self) -> String {
        if self.compound { format!("({})", self.text) } else { self.text.clone() }
    }
}

/// Several types joined by `|` or `&`, without repeats. `unknown` in a union is all of it.
fn joined(types: Vec<Type>, by: &str) -> Type {
    if by == " | " && types.iter().any(|each| each.text == "unknown") {
        return Type::one("unknown");
    }
    let mut parts: Vec<String> = Vec::new();
    for each in &types {
        let part = each.part();
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    match (&parts[..], types.into_iter().next()) {
        ([_], Some(only)) => only,
        ([], _) | (_, None) => Type::one("never"),
        (many, _) => Type { text: many.join(by), compound: true },
    }
}

impl Speller<'_> {
    fn spell(&self, schema: &Json, depth: usize) -> Type {
        let left = self.left.get();
        if left == 0 || depth > limits::TYPE_DEPTH {
            return Type::one("unknown");
        }
        self.left.set(left - 1);
        match schema {
            Json::Bool(false) => Type::one("never"),
            Json::Object(map) => self.object(map, depth),
            _ => Type::one("unknown"),
        }
    }

    fn object(&self, map: &Map<String, Json>, depth: usize) -> Type {
        if let Some(Json::String(reference)) = map.get("$ref") {
            let found = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return found.map_or(Type::one("unknown"), |schema| self.spell(schema, depth + 1));
        }
        if let Some(literal) = map.get("const") {
            return self.literal(literal);
        }
        if let Some(Json::Array(values)) = map.get("enum") {
            let values = values.iter().take(limits::TYPE_PARTS);
            return joined(values.map(|value| self.literal(value)).collect(), " | ");
        }
        let mut all = Vec::new();
        for keyword in ["anyOf", "oneOf"] {
            if let Some(Json::Array(choices)) = map.get(keyword) {
                let each = choices.iter().map(|choice| self.spell(choice, depth + 1)).collect();
                all.push(joined(each, " | "));
            }
        }
        if let Some(Json::Array(parts)) = map.get("allOf") {
            all.extend(parts.iter().map(|part| self.spell(part, depth + 1)));
        }
        let says = ["type", "properties", "items", "prefixItems", "additionalProperties", "format"];
        if all.is_empty() || says.iter().any(|keyword| map.contains_key(*keyword)) {
            all.push(self.kinds(map, depth));
        }
        // `unknown` adds nothing to an intersection.
        let meant = all.iter().any(|each| each.text != "unknown");
        all.retain(|each| !meant || each.text != "unknown");
        joined(all, " & ")
    }

    fn literal(&self, value: &Json) -> Type {
        match value {
            Json::Null => Type::one("null"),
            Json::Bool(_) => Type::one(value.to_string()),
            Json::Number(number) if exact(number) => Type::one(number.to_string()),
            Json::Number(number) if number.is_f64() => Type::one("number"),
            Json::Number(number) => Type::one(format!("{number}n")),
            Json::String(text) => Type::one(string(text)),
            Json::Array(_) | Json::Object(_) => Type::one("unknown"),
        }
    }

    fn kinds(&self, map: &Map<String, Json>, depth: usize) -> Type {
        let format = map.get("format").and_then(Json::as_str);
        match map.get("type") {
            Some(Json::String(name)) => self.kind(name, map, depth),
            Some(Json::Array(names)) => {
                let names = names.iter().filter_map(Json::as_str);
                joined(names.map(|name| self.kind(name, map, depth)).collect(), " | ")
            }
            _ if format == Some("object") => Type::one("RemitObject"),
            _ if map.contains_key("properties") => self.fields(map, depth),
            _ if map.contains_key("items") || map.contains_key("prefixItems") => {
                self.list(map, depth)
            }
            _ => Type::one("unknown"),
        }
    }

    fn kind(&self, name: &str, map: &Map<String, Json>, depth: usize) -> Type {
        match name {
            "null" => Type::one("null"),
            "boolean" => Type::one("boolean"),
            "integer" if self.way == Direction::Given => {
                Type { text: "number | bigint".into(), compound: true }
            }
            "integer" | "number" => Type::one("number"),
            "string" => {
                let format = map.get("format").and_then(Json::as_str);
                let bytes = matches!(format, Some("text-or-bytes" | "binary"));
                if bytes || map.contains_key("contentEncoding") {
                    return Type { text: "string | Uint8Array".into(), compound: true };
                }
                Type::one("string")
            }
            "array" => self.list(map, depth),
            "object" => self.fields(map, depth),
            _ => Type::one("unknown"),
        }
    }

    fn list(&self, map: &Map<String, Json>, depth: usize) -> Type {
        let each = |schema: &Json| self.spell(schema, depth + 1);
        let first = map.get("prefixItems").or_else(|| map.get("items").filter(|i| i.is_array()));
        let Some(Json::Array(first)) = first else {
            let item = map.get("items").map_or(Type::one("unknown"), each);
            return Type::one(format!("{}[]", item.part()));
        };
        let least = map.get("minItems").and_then(Json::as_u64).unwrap_or_default();
        let mut parts: Vec<String> = (0_u64..)
            .zip(first)
            .map(|(at, item)| format!("{}{}", each(item).part(), if at < least { "" } else { "?" }))
            .collect();
        let rest = map.get("items").filter(|items| !items.is_array());
        match rest.or_else(|| map.get("additionalItems")) {
            Some(Json::Bool(false)) => {}
            Some(rest) => parts.push(format!("...{}[]", each(rest).part())),
            None => parts.push("...unknown[]".into()),
        }
        Type::one(format!("[{}]", parts.join(", ")))
    }

    fn fields(&self, map: &Map<String, Json>, depth: usize) -> Type {
        let none = Map::new();
        let properties = map.get("properties").and_then(Json::as_object).unwrap_or(&none);
        let required = map.get("required").and_then(Json::as_array);
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
        let mut parts: Vec<String> = properties
            .iter()
            .map(|(name, schema)| {
                let mark = if is_required(name) { "" } else { "?" };
                format!("{}{mark}: {}", property(name), self.spell(schema, depth + 1).text)
            })
            .collect();
        match map.get("additionalProperties") {
            Some(Json::Bool(false)) => {}
            Some(more @ Json::Object(_)) if parts.is_empty() => {
                parts.push(format!("[name: string]: {}", self.spell(more, depth + 1).text));
            }
            // An index signature must allow what the named fields hold.
            Some(_) => parts.push("[name: string]: unknown".into()),
            None if parts.is_empty() => parts.push("[name: string]: unknown".into()),
            None => {}
        }
        match parts.is_empty() {
            true => Type::one("{}"),
            false => Type::one(format!("{{ {} }}", parts.join("; "))),
        }
    }
}

/// Whether a number of JavaScript is exactly this whole number.
fn exact(number: &serde_json::Number) -> bool {
    const MOST: u64 = (1 << 53) - 1;
    number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64()).is_some_and(|n| n <= MOST)
}
