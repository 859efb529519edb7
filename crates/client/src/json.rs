//! Conversion between values and JSON.

use remit_core::{Value, json};
use serde_json::Value as Json;

/// Converts JSON to a value. Whole numbers are exact. `{"$data": base64}` becomes bytes;
/// `{"$float": "NaN"}`, `"Infinity"` and `"-Infinity"` become that number.
///
/// ```
/// use remit_client::{Value, value_from_json};
///
/// let value = value_from_json(serde_json::json!({ "depth": 3, "raw": { "$data": "aGk=" } }));
/// assert_eq!(value.field("depth"), Some(&Value::Integer(3)));
/// assert_eq!(value.field("raw"), Some(&Value::Data(b"hi".to_vec())));
/// ```
pub fn value_from_json(json: Json) -> Value {
    json::to_value(json)
}

/// Parses a JSON text to a value. `serde_json` alone would round a whole number of more than 64
/// bits and refuse half a surrogate pair.
///
/// ```
/// use remit_client::{Value, value_from_json_text};
///
/// assert_eq!(value_from_json_text("18446744073709551615"), Ok(Value::Unsigned(u64::MAX)));
/// assert!(value_from_json_text("18446744073709551616").is_err());
/// ```
///
/// # Errors
/// The text is not JSON, or it has a whole number that needs more than 64 bits.
pub fn value_from_json_text(text: &str) -> Result<Value, json::BadJson> {
    json::parse(text).map(json::to_value)
}

/// Converts a value to JSON. Bytes become `{"$data": base64}`, objects `{"$object": "grant 1"}`,
/// and numbers that JSON cannot represent `{"$float": "NaN"}`.
///
/// ```
/// use remit_client::{Value, value_to_json};
///
/// let value = Value::List(vec![Value::Integer(7), Value::Data(vec![0, 255])]);
/// assert_eq!(value_to_json(&value), serde_json::json!([7, { "$data": "AP8=" }]));
/// ```
pub fn value_to_json(value: &Value) -> Json {
    json::from_value(value)
}
