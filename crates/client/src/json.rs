//! Values as JSON and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use remit_core::Value;
use serde_json::{Map, Number, Value as Json};

/// The field that marks bytes, which JSON cannot spell: `{"$data": "aGVsbG8="}`.
const DATA: &str = "$data";

/// A value from JSON. Whole numbers become integers where 64 bits suffice; `{"$data": base64}`
/// becomes bytes.
///
/// ```
/// use remit_client::{Value, value_from_json};
///
/// let value = value_from_json(serde_json::json!({ "depth": 3, "raw": { "$data": "aGk=" } }));
/// assert_eq!(value.field("depth"), Some(&Value::Integer(3)));
/// assert_eq!(value.field("raw"), Some(&Value::Data(b"hi".to_vec())));
/// ```
pub fn value_from_json(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(b),
        Json::Number(n) => match n.as_i64() {
            Some(i) => Value::Integer(i),
            None => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().map(value_from_json).collect()),
        Json::Object(fields) => match data_of(&fields) {
            Some(bytes) => Value::Data(bytes),
            None => Value::Fields(
                fields.into_iter().map(|(name, json)| (name, value_from_json(json))).collect(),
            ),
        },
    }
}

/// JSON from a value. Bytes become `{"$data": base64}`, objects `{"$object": "grant 1"}`, and
/// numbers that JSON cannot spell become null.
///
/// ```
/// use remit_client::{Value, value_to_json};
///
/// let value = Value::List(vec![Value::Integer(7), Value::Data(vec![0, 255])]);
/// assert_eq!(value_to_json(&value), serde_json::json!([7, { "$data": "AP8=" }]));
/// ```
pub fn value_to_json(value: &Value) -> Json {
    let marked = |mark: &str, text: String| {
        Json::Object(Map::from_iter([(mark.to_owned(), Json::String(text))]))
    };
    match value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Integer(i) => Json::Number((*i).into()),
        Value::Float(x) => Number::from_f64(*x).map_or(Json::Null, Json::Number),
        Value::Text(text) => Json::String(text.clone()),
        Value::Data(bytes) => marked(DATA, STANDARD.encode(bytes)),
        Value::List(items) => Json::Array(items.iter().map(value_to_json).collect()),
        Value::Fields(fields) => {
            Json::Object(fields.iter().map(|(n, v)| (n.clone(), value_to_json(v))).collect())
        }
        Value::Object(object) => marked("$object", object.to_string()),
    }
}

fn data_of(fields: &Map<String, Json>) -> Option<Vec<u8>> {
    match (fields.len(), fields.get(DATA)) {
        (1, Some(Json::String(text))) => STANDARD.decode(text).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_back_as_it_went_in() {
        for json in [
            json!(null),
            json!([true, -3, 2.5, "x", { "$data": "" }]),
            json!({ "z": 1, "a": { "b": [] } }),
            json!({ "$data": "not base64!" }),
        ] {
            assert_eq!(value_to_json(&value_from_json(json.clone())), json);
        }
    }

    #[test]
    fn what_json_cannot_spell_is_marked_or_null() {
        assert_eq!(value_to_json(&Value::Float(f64::NAN)), json!(null));
        assert_eq!(value_from_json(json!(u64::MAX)), Value::Float(18_446_744_073_709_551_615.0));
        let object = Value::Object(remit_core::ObjectId::Grant(remit_core::GrantId(1)));
        assert_eq!(value_to_json(&object), json!({ "$object": "grant 1" }));
    }
}
