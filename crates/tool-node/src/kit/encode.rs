//! From Rust types to values, through serde. Integers stay integers and bytes stay data.

use std::fmt;

use remit_core::{Code, Failure, Value};
use serde::Serialize;
use serde::ser;

/// `result` as a value. An `Option` that is `None` is null; a map needs keys that are text or
/// numbers; an integer must fit 64 bits, with or without a sign.
///
/// ```
/// use remit_tool_node::kit::{Value, encode};
///
/// #[derive(serde::Serialize)]
/// struct Sky {
///     clear: bool,
///     degrees: i32,
/// }
///
/// let sky = encode(&Sky { clear: true, degrees: -3 }).unwrap();
/// assert_eq!(sky.field("degrees"), Some(&Value::Integer(-3)));
/// assert_eq!(encode(&u64::MAX).unwrap(), Value::Unsigned(u64::MAX));
/// assert!(encode(&u128::MAX).is_err());
/// ```
///
/// # Errors
/// `failed` if the type cannot be a value: that is a mistake in the tool's code.
pub fn encode<T: Serialize + ?Sized>(result: &T) -> Result<Value<u32>, Failure> {
    result.serialize(Encoder).map_err(|error| {
        Failure::new(Code::Failed, format!("the tool's result cannot be sent: {error}"))
    })
}

/// Why a type cannot be a value.
#[derive(Debug)]
struct Unfit(String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

impl ser::Error for Unfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

struct Encoder;

type Encoded = Result<Value<u32>, Unfit>;

fn integer<T: TryInto<i64> + TryInto<u64> + fmt::Display + Copy>(value: T) -> Encoded {
    let signed = TryInto::<i64>::try_into(value).map(Value::Integer);
    let fits = signed.or_else(|_| TryInto::<u64>::try_into(value).map(Value::unsigned));
    fits.map_err(|_| Unfit(format!("the integer {value} does not fit 64 bits")))
}

fn variant(name: &str, value: Value<u32>) -> Value<u32> {
    Value::Fields(vec![(name.to_owned(), value)])
}

impl ser::Serializer for Encoder {
    type Ok = Value<u32>;
    type Error = Unfit;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    fn serialize_bool(self, v: bool) -> Encoded {
        Ok(Value::Bool(v))
    }
    fn serialize_i8(self, v: i8) -> Encoded {
        integer(v)
    }
    fn serialize_i16(self, v: i16) -> Encoded {
        integer(v)
    }
    fn serialize_i32(self, v: i32) -> Encoded {
        integer(v)
    }
    fn serialize_i64(self, v: i64) -> Encoded {
        integer(v)
    }
    fn serialize_u8(self, v: u8) -> Encoded {
        integer(v)
    }
    fn serialize_u16(self, v: u16) -> Encoded {
        integer(v)
    }
    fn serialize_u32(self, v: u32) -> Encoded {
        integer(v)
    }
    fn serialize_u64(self, v: u64) -> Encoded {
        integer(v)
    }
    fn serialize_i128(self, v: i128) -> Encoded {
        integer(v)
    }
    fn serialize_u128(self, v: u128) -> Encoded {
        integer(v)
    }
    fn serialize_f32(self, v: f32) -> Encoded {
        Ok(Value::Float(v.into()))
    }
    fn serialize_f64(self, v: f64) -> Encoded {
        Ok(Value::Float(v))
    }
    fn serialize_char(self, v: char) -> Encoded {
        Ok(Value::Text(v.into()))
    }
    fn serialize_str(self, v: &str) -> Encoded {
        Ok(Value::Text(v.into()))
    }
    fn serialize_bytes(self, v: &[u8]) -> Encoded {
        Ok(Value::Data(v.into()))
    }
    fn serialize_none(self) -> Encoded {
        Ok(Value::Null)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Encoded {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Encoded {
        Ok(Value::Null)
    }
    fn serialize_unit_struct(self, _name: &'static str) -> Encoded {
        Ok(Value::Null)
    }
    fn serialize_unit_variant(self, _name: &'static str, _at: u32, name: &'static str) -> Encoded {
        Ok(Value::Text(name.into()))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Encoded {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _at: u32,
        name: &'static str,
        value: &T,
    ) -> Encoded {
        Ok(variant(name, value.serialize(self)?))
    }
    fn serialize_seq(self, _len: Option<usize>) -> Result<Items, Unfit> {
        Ok(Items { items: Vec::new(), variant: None })
    }
    fn serialize_tuple(self, len: usize) -> Result<Items, Unfit> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Items, Unfit> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _at: u32,
        name: &'static str,
        _len: usize,
    ) -> Result<Items, Unfit> {
        Ok(Items { items: Vec::new(), variant: Some(name) })
    }
    fn serialize_map(self, _len: Option<usize>) -> Result<Entries, Unfit> {
        Ok(Entries { fields: Vec::new(), key: None, variant: None })
    }
    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Entries, Unfit> {
        self.serialize_map(Some(len))
    }
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _at: u32,
        name: &'static str,
        _len: usize,
    ) -> Result<Entries, Unfit> {
        Ok(Entries { fields: Vec::new(), key: None, variant: Some(name) })
    }
}

struct Items {
    items: Vec<Value<u32>>,
    variant: Option<&'static str>,
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        self.items.push(value.serialize(Encoder)?);
        Ok(())
    }

    fn finish(self) -> Value<u32> {
        let list = Value::List(self.items);
        match self.variant {
            Some(name) => variant(name, list),
            None => list,
        }
    }
}

macro_rules! items {
    ($($kind:ident $method:ident;)*) => {$(
        impl ser::$kind for Items {
            type Ok = Value<u32>;
            type Error = Unfit;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
                self.push(value)
            }

            fn end(self) -> Encoded {
                Ok(self.finish())
            }
        }
    )*};
}

items! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

struct Entries {
    fields: Vec<(String, Value<u32>)>,
    key: Option<String>,
    variant: Option<&'static str>,
}

impl Entries {
    fn push<T: Serialize + ?Sized>(&mut self, name: String, value: &T) -> Result<(), Unfit> {
        self.fields.push((name, value.serialize(Encoder)?));
        Ok(())
    }

    fn finish(self) -> Value<u32> {
        let fields = Value::Fields(self.fields);
        match self.variant {
            Some(name) => variant(name, fields),
            None => fields,
        }
    }
}

impl ser::SerializeMap for Entries {
    type Ok = Value<u32>;
    type Error = Unfit;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unfit> {
        self.key = Some(match key.serialize(Encoder)? {
            Value::Text(name) => name,
            Value::Integer(number) => number.to_string(),
            Value::Unsigned(number) => number.to_string(),
            _ => return Err(Unfit("a map whose keys are neither text nor integers".into())),
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        match self.key.take() {
            Some(name) => self.push(name, value),
            None => Err(Unfit("a map's value without its key".into())),
        }
    }

    fn end(self) -> Encoded {
        Ok(self.finish())
    }
}

macro_rules! structs {
    ($($kind:ident)*) => {$(
        impl ser::$kind for Entries {
            type Ok = Value<u32>;
            type Error = Unfit;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Unfit> {
                self.push(name.to_owned(), value)
            }

            fn end(self) -> Encoded {
                Ok(self.finish())
            }
        }
    )*};
}

structs! { SerializeStruct SerializeStructVariant }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::Content;

    #[derive(Serialize)]
    struct Report {
        count: u64,
        mean: Option<f64>,
        body: Content,
        kind: Kind,
    }

    #[derive(Serialize)]
    enum Kind {
        Range(u8, u8),
    }

    #[test]
    fn fields_keep_their_order_and_numbers_their_kind() {
        let body = Content::from_bytes(vec![0xff]);
        let report = Report { count: 7, mean: None, body, kind: Kind::Range(1, 2) };
        let range = Value::List(vec![Value::Integer(1), Value::Integer(2)]);
        let fields = vec![
            ("count".to_owned(), Value::Integer(7)),
            ("mean".to_owned(), Value::Null),
            ("body".to_owned(), Value::Data(vec![0xff])),
            ("kind".to_owned(), Value::Fields(vec![("Range".into(), range)])),
        ];
        assert_eq!(encode(&report).unwrap(), Value::Fields(fields));
    }

    #[test]
    fn an_integer_that_does_not_fit_is_an_error() {
        assert_eq!(encode(&u128::MAX).unwrap_err().code, Code::Failed);
        assert_eq!(encode(&i128::MIN).unwrap_err().code, Code::Failed);
    }
}
