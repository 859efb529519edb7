//! The natives behind `web.js`: text encodings, addresses and queries.

use std::rc::Rc;

use remit_core::Value;
use rquickjs::context::EvalOptions;
use rquickjs::{Array, Ctx, Exception, Function, IntoJs as _, Object, TypedArray};
use url::{Url, form_urlencoded, quirks};

use super::chance::Chance;
use super::engine::{Shared, WEB};
use super::text::Text;
use super::values;

/// What `web.js` defines, made when a script first looks at one of it.
pub(super) fn make<'js>(ctx: &Ctx<'js>, shared: &Rc<Shared>) -> rquickjs::Result<Object<'js>> {
    let mut options = EvalOptions::default();
    options.strict = true;
    options.filename = Some(WEB.to_owned());
    let make: Function<'js> = ctx.eval_with_options(include_str!("web.js"), options)?;
    let host = Object::new(ctx.clone())?;
    host.set("encode", Function::new(ctx.clone(), encode)?)?;
    host.set("decode", Function::new(ctx.clone(), decode)?)?;
    host.set("parseUrl", Function::new(ctx.clone(), parse_url)?)?;
    host.set("urlParts", Function::new(ctx.clone(), url_parts)?)?;
    host.set("setUrlPart", Function::new(ctx.clone(), set_url_part)?)?;
    host.set("parseQuery", Function::new(ctx.clone(), parse_query)?)?;
    host.set("writeQuery", Function::new(ctx.clone(), write_query)?)?;
    let own = Rc::clone(shared);
    let random = move |ctx: Ctx<'js>, count: usize| {
        bytes(&ctx, random_bytes(&mut own.chance.borrow_mut(), count))
    };
    host.set("random", Function::new(ctx.clone(), random)?)?;
    let prelude = super::host::prelude(ctx, shared)?;
    host.set("isHeld", prelude.get::<_, Function<'js>>("isHeld")?)?;
    make.call((host,))
}

fn bytes<'js>(ctx: &Ctx<'js>, bytes: Vec<u8>) -> rquickjs::Result<rquickjs::Value<'js>> {
    values::write(ctx, &Value::Data(bytes), &mut |_| Ok(rquickjs::Value::new_null(ctx.clone())))
}

fn random_bytes(chance: &mut Chance, count: usize) -> Vec<u8> {
    let words = std::iter::repeat_with(|| chance.next_word());
    words.flat_map(u64::to_le_bytes).take(count).collect()
}

fn encode<'js>(ctx: Ctx<'js>, text: Text) -> rquickjs::Result<rquickjs::Value<'js>> {
    bytes(&ctx, text.0.into_bytes())
}

/// Decodes bytes: the text, and how many bytes were used. Those of a character whose rest is still
/// to come are left over unless these are the `last` ones. Null: something is no text, and `fatal`.
fn decode<'js>(
    ctx: Ctx<'js>,
    encoding: String,
    bytes: TypedArray<'js, u8>,
    fatal: bool,
    last: bool,
) -> rquickjs::Result<rquickjs::Value<'js>> {
    // SAFETY: the bytes are read here and now; no script runs that could change them.
    let bytes = unsafe { bytes.as_bytes() }.unwrap_or_default();
    let (text, used, odd) = match encoding.as_str() {
        "utf-8" => decode_utf8(bytes, last),
        "utf-16le" => decode_utf16(bytes, u16::from_le_bytes, last),
        "utf-16be" => decode_utf16(bytes, u16::from_be_bytes, last),
        _ => (bytes.iter().map(|byte| windows_1252(*byte)).collect(), bytes.len(), false),
    };
    if odd && fatal {
        return Ok(rquickjs::Value::new_null(ctx));
    }
    let decoded = Array::new(ctx.clone())?;
    decoded.set(0, text)?;
    decoded.set(1, used)?;
    decoded.into_js(&ctx)
}

fn decode_utf8(bytes: &[u8], last: bool) -> (String, usize, bool) {
    let (mut text, mut used, mut odd) = (String::new(), 0, false);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        used += chunk.valid().len();
        let invalid = chunk.invalid();
        let cut = used + invalid.len() == bytes.len()
            && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if invalid.is_empty() || (cut && !last) {
            break;
        }
        (text, odd) = (text + "\u{fffd}", true);
        used += invalid.len();
    }
    (text, used, odd)
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, last: bool) -> (String, usize, bool) {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    let mut odd = last && !rest.is_empty();
    let mut used = bytes.len() - if last { 0 } else { rest.len() };
    if !last && units.pop_if(|unit| matches!(unit, 0xd800..=0xdbff)).is_some() {
        used -= 2;
    }
    let characters = char::decode_utf16(units);
    let mut text: String = characters
        .map(|character| {
            odd |= character.is_err();
            character.unwrap_or(char::REPLACEMENT_CHARACTER)
        })
        .collect();
    if last && !rest.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    (text, used, odd)
}

/// Latin-1 but for the characters that Windows has in place of control characters.
fn windows_1252(byte: u8) -> char {
    const SPECIAL: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => SPECIAL[usize::from(byte - 0x80)],
        byte => char::from(byte),
    }
}

/// The whole of an address, seen from `base` if it is relative; undefined: it is none.
fn parse_url(address: Text, base: Option<Text>) -> Option<String> {
    let base = match base {
        Some(base) => Some(Url::parse(&base.0).ok()?),
        None => None,
    };
    Url::options().base_url(base.as_ref()).parse(&address.0).ok().map(Into::into)
}

/// The parts of an address, in the order in which `web.js` expects them.
fn url_parts(href: Text) -> Option<Vec<String>> {
    let url = Url::parse(&href.0).ok()?;
    let origin = quirks::origin(&url);
    let parts = [
        origin.as_str(),
        quirks::protocol(&url),
        quirks::username(&url),
        quirks::password(&url),
        quirks::host(&url),
        quirks::hostname(&url),
        quirks::port(&url),
        quirks::pathname(&url),
        quirks::search(&url),
        quirks::hash(&url),
    ];
    Some(parts.map(str::to_owned).to_vec())
}

/// The address with another part. A part that it cannot have changes nothing, as in a browser.
fn set_url_part(ctx: Ctx<'_>, href: Text, part: String, value: Text) -> rquickjs::Result<String> {
    let value = value.0;
    let mut url = Url::parse(&href.0)
        .map_err(|error| Exception::throw_type(&ctx, &format!("{}: {error}", href.0)))?;
    // They fail for what a browser passes over.
    let _passed_over = match part.as_str() {
        "protocol" => quirks::set_protocol(&mut url, &value),
        "username" => quirks::set_username(&mut url, &value),
        "password" => quirks::set_password(&mut url, &value),
        "host" => quirks::set_host(&mut url, &value),
        "hostname" => quirks::set_hostname(&mut url, &value),
        "port" => quirks::set_port(&mut url, &value),
        "pathname" => {
            quirks::set_pathname(&mut url, &value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, &value);
            Ok(())
        }
        _ => {
            quirks::set_hash(&mut url, &value);
            Ok(())
        }
    };
    Ok(url.into())
}

/// The names and values of a query, one after the other.
fn parse_query(query: Text) -> Vec<String> {
    let pairs = form_urlencoded::parse(query.0.as_bytes());
    pairs.flat_map(|(name, value)| [name.into_owned(), value.into_owned()]).collect()
}

fn write_query(pairs: Vec<Text>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for pair in pairs.chunks_exact(2) {
        query.append_pair(&pair[0].0, &pair[1].0);
    }
    query.finish()
}
