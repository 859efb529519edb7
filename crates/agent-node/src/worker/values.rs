//! Conversion of values between the script and `remit_core`.

use remit_core::Value;
use rquickjs::{
    BigInt, Coerced, Ctx, Error, Exception, FromJs as _, Function, IntoJs as _, TypedArray,
};

use super::text::Text;

/// How deep a script's values may nest, as on the wire. The depth is counted from 0 here.
const MAX_DEPTH: usize = remit_vat::wire::MAX_DEPTH - 1;

/// The largest integer that a JavaScript number holds exactly.
pub(super) const MAX_SAFE: i64 = (1 << 53) - 1;

/// The answers of `classify` in the prelude for an object that is no handle.
const PLAIN: i32 = -1;
const LIST: i32 = -2;
const BYTES: i32 = -3;
const BUFFER: i32 = -4;

/// Reads a script's value. The handles in it are appended to `handles`, in reading order, and
/// numbered by it.
pub(super) fn read<'js>(
    value: &rquickjs::Value<'js>,
    classify: &Function<'js>,
    handles: &mut Vec<usize>,
) -> rquickjs::Result<Value<u32>> {
    Reader { ctx: value.ctx().clone(), classify, handles, weight: 0 }.read(value, "the value", 0)
}

struct Reader<'a, 'js> {
    ctx: Ctx<'js>,
    classify: &'a Function<'js>,
    handles: &'a mut Vec<usize>,
    weight: usize,
}

impl<'js> Reader<'_, 'js> {
    fn read(
        &mut self,
        value: &rquickjs::Value<'js>,
        path: &str,
        depth: usize,
    ) -> rquickjs::Result<Value<u32>> {
        self.weigh(16)?;
        if depth > MAX_DEPTH {
            return Err(self.refuse(&format!("{path} nests more than {MAX_DEPTH} deep")));
        }
        if value.is_null() || value.is_undefined() {
            return Ok(Value::Null);
        }
        if let Some(b) = value.as_bool() {
            return Ok(Value::Bool(b));
        }
        if let Some(i) = value.as_int() {
            return Ok(Value::Integer(i64::from(i)));
        }
        if let Some(x) = value.as_float() {
            return Ok(number(x));
        }
        if let Some(text) = value.as_string() {
            let text = Text::of(text)?;
            self.weigh(text.len())?;
            return Ok(Value::Text(text));
        }
        if value.is_big_int() {
            // Read by its digits: the engine's own conversion wraps around.
            let digits = Coerced::<String>::from_js(&self.ctx, value.clone())?.0;
            let whole = digits.parse().map(Value::Integer);
            return whole.or_else(|_| digits.parse().map(Value::unsigned)).map_err(|_| {
                self.refuse(&format!("{path} is a bigint of more than 64 bits: pass it as text"))
            });
        }
        if value.is_function() || value.is_symbol() || !value.is_object() {
            let kind = value.type_name();
            return Err(self.refuse(&format!("{path} is a {kind}, which cannot be passed")));
        }
        self.read_object(value, path, depth)
    }

    fn read_object(
        &mut self,
        value: &rquickjs::Value<'js>,
        path: &str,
        depth: usize,
    ) -> rquickjs::Result<Value<u32>> {
        let class: i32 = self.classify.call((value.clone(),))?;
        match class {
            PLAIN => {
                let Some(object) = value.as_object() else { return Ok(Value::Null) };
                let mut fields = Vec::new();
                let mut names = std::collections::HashSet::new();
                for entry in object.clone().props::<Text, rquickjs::Value<'js>>() {
                    let (Text(name), field) = entry?;
                    if !field.is_undefined() {
                        self.weigh(name.len())?;
                        if name.contains(char::REPLACEMENT_CHARACTER) && !names.insert(name.clone()) {
                            return Err(self.refuse(&format!(
                                "{path} has two fields that are both named `{name}` when U+FFFD \
                                 stands for halves of surrogate pairs"
                            )));
                        }
                        let inner = self.read(&field, &format!("{path}.{name}"), depth + 1)?;
                        fields.push((name, inner));
                    }
                }
                Ok(Value::Fields(fields))
            }
            LIST => {
                let Some(array) = value.as_array() else { return Ok(Value::Null) };
                // A sparse array counts with its full length, whatever it holds.
                self.weigh(array.len().saturating_mul(16))?;
                let mut items = Vec::with_capacity(array.len());
                for at in 0..array.len() {
                    let item: rquickjs::Value<'js> = array.get(at)?;
                    items.push(self.read(&item, &format!("{path}[{at}]"), depth + 1)?);
                }
                Ok(Value::List(items))
            }
            BYTES => {
                let bytes = TypedArray::<u8>::from_js(&self.ctx, value.clone())?;
                // SAFETY: the bytes are copied here at once, and no script runs meanwhile that
                // could change them.
                let bytes = unsafe { bytes.as_bytes() }.unwrap_or_default();
                self.weigh(bytes.len())?;
                Ok(Value::Data(bytes.to_vec()))
            }
            BUFFER => {
                let buffer = rquickjs::ArrayBuffer::from_js(&self.ctx, value.clone())?;
                // SAFETY: as above.
                let bytes = unsafe { buffer.as_bytes() }.unwrap_or_default();
                self.weigh(bytes.len())?;
                Ok(Value::Data(bytes.to_vec()))
            }
            handle => match usize::try_from(handle) {
                Ok(handle) => {
                    self.handles.push(handle);
                    Ok(Value::Object(u32::try_from(self.handles.len() - 1).unwrap_or(u32::MAX)))
                }
                Err(_) => Err(self.refuse(&format!(
                    "{path} is an object of a class; pass plain objects, lists, text, numbers or bytes"
                ))),
            },
        }
    }

    fn weigh(&mut self, bytes: usize) -> rquickjs::Result<()> {
        self.weight = self.weight.saturating_add(bytes);
        if self.weight <= remit_core::limits::MAX_VALUE_BYTES {
            return Ok(());
        }
        let most = remit_core::limits::MAX_VALUE_BYTES;
        Err(self.refuse(&format!("a value of more than {most} bytes cannot be passed")))
    }

    fn refuse(&self, why: &str) -> Error {
        Exception::throw_type(&self.ctx, why)
    }
}

fn number(x: f64) -> Value<u32> {
    #[expect(clippy::cast_precision_loss, reason = "the bound is exact in a float")]
    let safe =
        x.fract() == 0.0 && x.abs() <= MAX_SAFE as f64 && !(x == 0.0 && x.is_sign_negative());
    if safe {
        #[expect(clippy::cast_possible_truncation, reason = "it was just checked to be whole")]
        let whole = x as i64;
        Value::Integer(whole)
    } else {
        Value::Float(x)
    }
}

/// Writes a value for the script. `object` makes the script's proxy for an object in it.
pub(super) fn write<'js>(
    ctx: &Ctx<'js>,
    value: &Value<u32>,
    object: &mut impl FnMut(u32) -> rquickjs::Result<rquickjs::Value<'js>>,
) -> rquickjs::Result<rquickjs::Value<'js>> {
    match value {
        Value::Null => Ok(rquickjs::Value::new_null(ctx.clone())),
        Value::Bool(b) => b.into_js(ctx),
        Value::Integer(i) if i.unsigned_abs() <= MAX_SAFE.unsigned_abs() => {
            #[expect(clippy::cast_precision_loss, reason = "it is within the exact range")]
            let number = *i as f64;
            number.into_js(ctx)
        }
        Value::Integer(i) => BigInt::from_i64(ctx.clone(), *i)?.into_js(ctx),
        Value::Unsigned(n) => BigInt::from_u64(ctx.clone(), *n)?.into_js(ctx),
        Value::Float(x) => x.into_js(ctx),
        Value::Text(text) => text.as_str().into_js(ctx),
        Value::Data(bytes) => TypedArray::<u8>::new(ctx.clone(), bytes.clone())?.into_js(ctx),
        Value::List(items) => {
            let array = rquickjs::Array::new(ctx.clone())?;
            for (at, item) in items.iter().enumerate() {
                array.set(at, write(ctx, item, object)?)?;
            }
            array.into_js(ctx)
        }
        Value::Fields(fields) => {
            let made = rquickjs::Object::new(ctx.clone())?;
            for (name, field) in fields {
                let field = write(ctx, field, object)?;
                // Defined, not assigned: a field named `__proto__` is an ordinary field.
                made.prop(
                    name.as_str(),
                    rquickjs::object::Property::from(field).writable().enumerable().configurable(),
                )?;
            }
            made.into_js(ctx)
        }
        Value::Object(index) => object(*index),
    }
}
