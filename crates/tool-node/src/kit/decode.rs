//! From values to Rust types, through serde, with the path of the argument that is wrong.

use std::fmt;

use remit_core::{Code, Failure, Value};
use serde::Deserialize;
use serde::de::value::StringDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::remote::{self, Remote};

/// The name by which [`Remote`] asks the decoder for an object.
pub(crate) const OBJECT: &str = "$remit::Remote";

/// Whole numbers beyond this are not exact as floats, so a float is not taken for one.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// `value` as a `T`; objects in it are numbers into `objects`. A value that does not fit is an
/// `invalid-argument` whose detail is the path of the argument, for example `filter.days[2]`.
///
/// A float that is a whole number serves as an integer, since scripts know one kind of number; null
/// serves as `None`; text is no number, and bytes are no text. A number is exact or refused: a whole
/// number that a float does not hold is no float, and `NaN` and the infinities are only floats.
///
/// ```
/// use remit_tool_node::kit::{Value, decode};
///
/// #[derive(serde::Deserialize)]
/// struct Filter {
///     days: Vec<u8>,
/// }
///
/// let filter = |last| {
///     let days = Value::List(vec![Value::Integer(1), last]);
///     decode::<Filter>(Value::Fields(vec![("days".into(), days)]), Vec::new())
/// };
/// assert_eq!(filter(Value::Float(2.0)).unwrap().days, [1, 2]);
/// assert_eq!(filter(Value::Text("two".into())).err().unwrap().detail, "days[1]");
/// ```
///
/// # Errors
/// `invalid-argument`, for whoever called.
pub fn decode<'de, T: Deserialize<'de>>(
    value: Value<u32>,
    objects: Vec<Remote>,
) -> Result<T, Failure> {
    let _lent = remote::lend(objects);
    T::deserialize(Decoder { value }).map_err(|wrong| wrong.failure())
}

/// What is wrong with a value, and where.
#[derive(Debug)]
struct Wrong {
    /// Innermost first.
    path: Vec<String>,
    message: String,
}

impl Wrong {
    fn at(mut self, part: String) -> Self {
        self.path.push(part);
        self
    }

    fn failure(self) -> Failure {
        let mut path = String::new();
        for part in self.path.iter().rev() {
            if !path.is_empty() && !part.starts_with('[') {
                path.push('.');
            }
            path.push_str(part);
        }
        let whole = path.is_empty();
        let place = if whole { String::new() } else { format!("the argument `{path}`: ") };
        let message = format!("{place}{}", self.message);
        Failure::new(Code::InvalidArgument, message).with_detail(path)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: Vec::new(), message: message.to_string() }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: vec![field.into()], message: "it is missing".into() }
    }
}

struct Decoder {
    value: Value<u32>,
}

impl Decoder {
    /// A float that is a whole number, as scripts write them, is one.
    fn whole(self) -> Value<u32> {
        match self.value {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and exact")]
            Value::Float(x) if x.fract() == 0.0 && x.abs() < EXACT => Value::Integer(x as i64),
            value => value,
        }
    }
}

/// The float that a whole number is, if there is one.
fn exact_float(number: i128) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "whether any is lost is what is looked at")]
    let float = number as f64;
    #[expect(clippy::cast_possible_truncation, reason = "a float of 64 bits fits 128")]
    let back = float as i128;
    (back == number).then_some(float)
}

macro_rules! floats {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            let whole = match self.value {
                Value::Float(x) => return visitor.visit_f64(x),
                Value::Integer(i) => i128::from(i),
                Value::Unsigned(n) => i128::from(n),
                _ => return self.deserialize_any(visitor),
            };
            let float = exact_float(whole).ok_or_else(|| {
                de::Error::custom(format!("{whole} would be rounded to a floating-point number"))
            });
            visitor.visit_f64(float?)
        }
    )*};
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            Decoder { value: self.whole() }.deserialize_any(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Decoder {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(b),
            Value::Integer(i) => match u64::try_from(i) {
                Ok(i) => visitor.visit_u64(i),
                Err(_) => visitor.visit_i64(i),
            },
            Value::Unsigned(n) => visitor.visit_u64(n),
            // What takes anything, such as JSON, would make null of it.
            Value::Float(x) if !x.is_finite() => {
                Err(de::Error::custom(format!("{x} is no number that can be passed here")))
            }
            Value::Float(x) => visitor.visit_f64(x),
            Value::Text(text) => visitor.visit_string(text),
            Value::Data(data) => visitor.visit_byte_buf(data),
            Value::List(items) => visitor.visit_seq(Items { items: items.into_iter(), at: 0 }),
            Value::Fields(fields) => {
                visitor.visit_map(Entries { fields: fields.into_iter(), waiting: None })
            }
            Value::Object(_) => Err(de::Error::custom("an object stands where data should")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Object(index) if name == OBJECT => {
                visitor.visit_newtype_struct(IntoDeserializer::<Wrong>::into_deserializer(index))
            }
            _ if name == OBJECT => Err(de::Error::custom("it must be an object")),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Text(variant) => visitor.visit_enum(variant.into_deserializer()),
            Value::Fields(mut fields) if fields.len() == 1 => {
                let (variant, value) = fields.remove(0);
                visitor.visit_enum(Variant { variant, value })
            }
            _ => Err(de::Error::custom("it must be the name of a variant, or one field")),
        }
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_i128 deserialize_u128
    }

    floats! { deserialize_f32 deserialize_f64 }

    serde::forward_to_deserialize_any! {
        bool char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Wrong> for Decoder {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Items {
    items: std::vec::IntoIter<Value<u32>>,
    at: usize,
}

impl<'de> de::SeqAccess<'de> for Items {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        let Some(value) = self.items.next() else { return Ok(None) };
        self.at += 1;
        let at = self.at - 1;
        seed.deserialize(Decoder { value }).map(Some).map_err(|wrong| wrong.at(format!("[{at}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries {
    fields: std::vec::IntoIter<(String, Value<u32>)>,
    waiting: Option<(String, Value<u32>)>,
}

impl<'de> de::MapAccess<'de> for Entries {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some((name, value)) = self.fields.next() else { return Ok(None) };
        self.waiting = Some((name.clone(), value));
        let key: StringDeserializer<Wrong> = name.clone().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|wrong| wrong.at(name))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let Some((name, value)) = self.waiting.take() else {
            return Err(de::Error::custom("a value was asked for before its name"));
        };
        seed.deserialize(Decoder { value }).map_err(|wrong| wrong.at(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

struct Variant {
    variant: String,
    value: Value<u32>,
}

impl<'de> de::EnumAccess<'de> for Variant {
    type Error = Wrong;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content), Wrong> {
        let name: StringDeserializer<Wrong> = self.variant.clone().into_deserializer();
        let variant = seed.deserialize(name)?;
        Ok((variant, Content { name: self.variant, value: self.value }))
    }
}

struct Content {
    name: String,
    value: Value<u32>,
}

impl<'de> de::VariantAccess<'de> for Content {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        match self.value {
            Value::Null => Ok(()),
            _ => Err(Wrong { path: vec![self.name], message: "it takes no value".into() }),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Wrong> {
        seed.deserialize(Decoder { value: self.value }).map_err(|wrong| wrong.at(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Wrong> {
        de::Deserializer::deserialize_any(Decoder { value: self.value }, visitor)
            .map_err(|wrong| wrong.at(self.name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        de::Deserializer::deserialize_any(Decoder { value: self.value }, visitor)
            .map_err(|wrong| wrong.at(self.name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kit::Content;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Args {
        days: u8,
        #[serde(default)]
        ratio: f64,
        mode: Option<Mode>,
        #[serde(default)]
        tags: Vec<BTreeMap<String, i64>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Fast,
        Within { km: u32 },
    }

    fn fields(fields: &[(&str, Value<u32>)]) -> Value<u32> {
        Value::Fields(fields.iter().map(|(n, v)| ((*n).into(), v.clone())).collect())
    }

    #[test]
    fn numbers_fit_as_scripts_write_them() {
        let args: Args =
            decode(fields(&[("days", Value::Float(3.0)), ("ratio", Value::Integer(2))]), vec![])
                .unwrap();
        assert_eq!(args, Args { days: 3, ratio: 2.0, mode: None, tags: vec![] });
    }

    #[test]
    fn numbers_are_exact_or_refused() {
        let f64_of = |value| decode::<f64>(value, vec![]);
        let i64_of = |value| decode::<i64>(value, vec![]);
        let u64_of = |value| decode::<u64>(value, vec![]);
        let json = |value| decode::<serde_json::Value>(value, vec![]);
        assert_eq!(u64_of(Value::Unsigned(u64::MAX)).unwrap(), u64::MAX);
        assert_eq!(i64_of(Value::Integer(i64::MIN)).unwrap(), i64::MIN);
        assert_eq!(f64_of(Value::Integer(1 << 53)).unwrap(), 9_007_199_254_740_992.0);
        assert_eq!(f64_of(Value::Unsigned(1 << 63)).unwrap(), 9_223_372_036_854_775_808.0);
        assert!(f64_of(Value::Float(f64::NAN)).unwrap().is_nan());
        assert_eq!(decode::<u128>(Value::Unsigned(u64::MAX), vec![]).unwrap(), u64::MAX.into());
        assert_eq!(json(Value::Unsigned(u64::MAX)).unwrap(), u64::MAX);
        for (refused, value) in [
            (i64_of(Value::Unsigned(1 << 63)).err(), "2^63 as a signed number"),
            (u64_of(Value::Integer(-1)).err(), "-1 as an unsigned number"),
            (i64_of(Value::Float(1e17)).err(), "a float beyond the exact ones"),
            (i64_of(Value::Float(f64::NAN)).err(), "NaN as a whole number"),
            (f64_of(Value::Integer((1 << 53) + 1)).map(|_| 0).err(), "a rounded float"),
            (f64_of(Value::Unsigned(u64::MAX)).map(|_| 0).err(), "a rounded float"),
            (json(Value::Float(f64::INFINITY)).map(|_| 0).err(), "an infinity as JSON"),
        ] {
            assert_eq!(refused.map(|failure| failure.code), Some(Code::InvalidArgument), "{value}");
        }
    }

    #[test]
    fn variants_are_names_or_single_fields() {
        let mode = |value| decode::<Mode>(value, vec![]);
        assert_eq!(mode(Value::Text("fast".into())).unwrap(), Mode::Fast);
        let within = fields(&[("within", fields(&[("km", Value::Integer(3))]))]);
        assert_eq!(mode(within).unwrap(), Mode::Within { km: 3 });
        assert!(mode(Value::Text("slow".into())).unwrap_err().message.contains("slow"));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        let wrong = |value| decode::<Args>(value, vec![]).unwrap_err();
        assert_eq!(wrong(fields(&[])).detail, "days");
        assert_eq!(wrong(fields(&[("days", Value::Integer(300))])).detail, "days");
        assert_eq!(wrong(fields(&[("days", Value::Float(0.5))])).detail, "days");
        let tags = Value::List(vec![fields(&[]), fields(&[("a", Value::Text("x".into()))])]);
        let failure = wrong(fields(&[("days", Value::Integer(1)), ("tags", tags)]));
        assert_eq!(failure.detail, "tags[1].a");
        assert_eq!(failure.code, Code::InvalidArgument);
    }

    #[test]
    fn data_and_text_are_both_content() {
        let data: Content = decode(Value::Data(vec![0, 255]), vec![]).unwrap();
        assert_eq!(data.as_bytes(), [0, 255]);
        let text: Content = decode(Value::Text("ä".into()), vec![]).unwrap();
        assert_eq!(text, Content::Text("ä".into()));
    }

    #[test]
    fn an_object_is_no_data() {
        assert!(decode::<serde_json::Value>(Value::Object(0), vec![]).is_err());
    }
}
