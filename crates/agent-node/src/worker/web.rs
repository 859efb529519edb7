//! The natives behind `web.js`: text encodings, addresses and queries.

use std::cell::RefCell;
use std::rc::Rc;

use encoding_rs::{Decoder, DecoderResult, Encoding};
use remit_core::Value;
use rquickjs::context::EvalOptions;
use rquickjs::{Array, Ctx, Exception, Function, Object, TypedArray};
use url::{Url, form_urlencoded, quirks};

use super::chance::SeededRng;
use super::engine::{Shared, WEB};
use super::text::Text;
use super::values;

/// Evaluates `web.js`, when a script first uses one of its names.
pub(super) fn make<'js>(ctx: &Ctx<'js>, shared: &Rc<Shared>) -> rquickjs::Result<Object<'js>> {
    let mut options = EvalOptions::default();
    options.strict = true;
    options.filename = Some(WEB.to_owned());
    let make: Function<'js> = ctx.eval_with_options(include_str!("web.js"), options)?;
    let host = Object::new(ctx.clone())?;
    host.set("encode", Function::new(ctx.clone(), encode)?)?;
    host.set("decoder", Function::new(ctx.clone(), decoder)?)?;
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

fn random_bytes(chance: &mut SeededRng, count: usize) -> Vec<u8> {
    let words = std::iter::repeat_with(|| chance.next_word());
    words.flat_map(u64::to_le_bytes).take(count).collect()
}

fn encode<'js>(ctx: Ctx<'js>, text: Text) -> rquickjs::Result<rquickjs::Value<'js>> {
    bytes(&ctx, text.0.into_bytes())
}

/// The name of an encoding, and a function that decodes bytes in it. The function keeps an
/// incomplete character until its rest comes or the bytes are the last. Undefined: the encoding is
/// unknown.
fn decoder<'js>(
    ctx: Ctx<'js>,
    label: Text,
    keeps_mark: bool,
) -> rquickjs::Result<Option<Array<'js>>> {
    let Some(encoding) = Encoding::for_label_no_replacement(label.0.as_bytes()) else {
        return Ok(None);
    };
    let state = RefCell::new(None::<Decoder>);
    // Returns undefined if the bytes are malformed and `fatal` is set.
    let decode = move |bytes: TypedArray<'js, u8>, fatal: bool, last: bool| {
        // SAFETY: the bytes are read here at once, and no script runs meanwhile that could change
        // them.
        let bytes = unsafe { bytes.as_bytes() }.unwrap_or_default();
        let mut state = state.borrow_mut();
        let decoder = state.get_or_insert_with(|| match keeps_mark {
            true => encoding.new_decoder_without_bom_handling(),
            false => encoding.new_decoder_with_bom_removal(),
        });
        let room = decoder.max_utf8_buffer_length(bytes.len()).unwrap_or_default();
        let mut text = String::with_capacity(room);
        let malformed = if fatal {
            let decoded = decoder.decode_to_string_without_replacement(bytes, &mut text, last);
            matches!(decoded.0, DecoderResult::Malformed(..))
        } else {
            let _ = decoder.decode_to_string(bytes, &mut text, last);
            false
        };
        if last || malformed {
            *state = None;
        }
        (!malformed).then_some(text)
    };
    let made = Array::new(ctx.clone())?;
    made.set(0, encoding.name().to_ascii_lowercase())?;
    made.set(1, Function::new(ctx, decode)?)?;
    Ok(Some(made))
}

/// The absolute form of an address, resolved against `base` if it is relative. Undefined: it is not
/// an address.
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

/// Replaces one part of an address. A part that the address cannot have changes nothing, as in a
/// browser.
fn set_url_part(ctx: Ctx<'_>, href: Text, part: String, value: Text) -> rquickjs::Result<String> {
    let value = value.0;
    let mut url = Url::parse(&href.0)
        .map_err(|error| Exception::throw_type(&ctx, &format!("{}: {error}", href.0)))?;
    // The setters fail where a browser ignores the change.
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

/// The names and values of a query, alternating.
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
