//! Caveats as a script writes them: `{methods: ["read"], calls: 10, until: "10m"}`.

use super::NotAGrant;
use super::caveat::{Term, read};
use super::escape::escape_step;
use super::guard::write_literal;
use crate::grant::{Caveat, Literal, Number};
use crate::limits;
use crate::value::Value;

/// Reads caveats from a value with a field for each, named as in the text form. A field's value is
/// what stands after `=` as text, number, `true` or a list. Guards stand below `arg` by path, each
/// as text (`"prefix:src"`) or as `{prefix: "src"}`; what is of one method stands below its name.
/// `now_ms` is what `until: "10m"` counts from.
pub fn caveats_from_value(value: &Value, now_ms: u64) -> Result<Vec<Caveat>, NotAGrant> {
    let Value::Fields(fields) = value else {
        return Err(NotAGrant(
            "caveats are named, for example {methods: [\"read\"], calls: 10}".into(),
        ));
    };
    let mut caveats = Vec::new();
    for (name, value) in fields {
        read_field("", name, value, now_ms, &mut caveats)?;
        if caveats.len() > limits::MAX_CAVEATS {
            return Err(NotAGrant(format!("a grant has at most {} caveats", limits::MAX_CAVEATS)));
        }
    }
    Ok(caveats)
}

/// Reads one field. `of`: the method that it stands below, with a dot, or nothing.
fn read_field(
    of: &str,
    name: &str,
    value: &Value,
    now_ms: u64,
    into: &mut Vec<Caveat>,
) -> Result<(), NotAGrant> {
    let whole = format!("{of}{name}");
    let is_guard = |name: &str| name.strip_prefix("arg.").is_some() || name.contains(".arg.");
    match (name, value) {
        ("arg", Value::Fields(guards)) => {
            for (place, guard) in guards {
                into.extend(guards_at(&format!("{whole}.{place}"), guard, now_ms)?);
            }
        }
        (name, value) if is_guard(name) => into.extend(guards_at(&whole, value, now_ms)?),
        (method, Value::Fields(fields)) if of.is_empty() => {
            for (name, value) in fields {
                read_field(&format!("{}.", escape_step(method)), name, value, now_ms, into)?;
            }
        }
        (_, value) => into.push(one(&whole, items(value, plain)?, now_ms)?),
    }
    Ok(())
}

/// The guards on one argument: all of `{prefix: "a", length: "..9"}` must hold.
fn guards_at(name: &str, value: &Value, now_ms: u64) -> Result<Vec<Caveat>, NotAGrant> {
    let Value::Fields(tests) = value else {
        return Ok(vec![one(name, items(value, plain)?, now_ms)?]);
    };
    let mut guards = Vec::new();
    for (kind, value) in tests {
        let literals = ["equals", "oneOf", "list"].contains(&kind.as_str());
        let mut items = items(value, if literals { literal } else { plain })?;
        let span = matches!(kind.as_str(), "range" | "length" | "count");
        if span && items.len() == 2 && matches!(value, Value::List(_)) {
            items = vec![items.join("..")];
        }
        match items.first_mut() {
            Some(first) => *first = format!("{kind}:{first}"),
            None => items.push(format!("{kind}:")),
        }
        guards.push(one(name, items, now_ms)?);
    }
    Ok(guards)
}

fn one(name: &str, items: Vec<String>, now_ms: u64) -> Result<Caveat, NotAGrant> {
    let term = Term { name, items };
    read(&term, now_ms)?.ok_or_else(|| {
        let name: String = name.chars().take(80).collect();
        NotAGrant(format!("there is no caveat `{name}`; docs/caveats.md lists them all"))
    })
}

fn items(
    value: &Value,
    of: impl Fn(&Value) -> Result<String, NotAGrant>,
) -> Result<Vec<String>, NotAGrant> {
    let Value::List(items) = value else { return Ok(vec![of(value)?]) };
    items.iter().map(of).collect()
}

/// A value as the text form has it.
fn plain(value: &Value) -> Result<String, NotAGrant> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        value @ (Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Data(_)
        | Value::List(_)
        | Value::Fields(_)
        | Value::Object(_)
        | Value::Unsigned(_)) => literal(value),
    }
}

/// A value as a literal of the text form, in which the text `5` and the number are not the same.
fn literal(value: &Value) -> Result<String, NotAGrant> {
    let literal = match value {
        Value::Null => Some(Literal::Null),
        Value::Bool(b) => Some(Literal::Bool(*b)),
        Value::Integer(i) => Some(Literal::Number(Number::Integer(*i))),
        // A script's numbers have no kinds: 10 may arrive as 10.0.
        #[expect(clippy::cast_possible_truncation, reason = "whole, and far from the ends")]
        Value::Float(x) if x.fract() == 0.0 && x.abs() < 9e15 => {
            Some(Literal::Number(Number::Integer(*x as i64)))
        }
        Value::Float(x) => Number::float(*x).map(Literal::Number),
        Value::Text(text) => Some(Literal::Text(text.clone())),
        Value::Data(_)
        | Value::List(_)
        | Value::Fields(_)
        | Value::Object(_)
        | Value::Unsigned(_) => None,
    };
    literal.map(|literal| write_literal(&literal)).ok_or_else(|| {
        NotAGrant("a caveat is made of texts, numbers, true, false and lists".into())
    })
}
