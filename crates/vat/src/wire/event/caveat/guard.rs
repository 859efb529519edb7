//! Guards: tests of one argument of a call.

use remit_core::Caveat;
use remit_core::grant::{Guard, Literal, Number, Span, Step, Test};
use remit_schema::caveat_capnp::{guard, literal, span};

use super::newer;
use crate::wire::{Malformed, len, text, texts, write_texts};

/// Reads a guard. A step or test that this version does not know makes it an unknown caveat.
pub(super) fn read(reader: guard::Reader<'_>) -> Result<Caveat, Malformed> {
    let mut at = Vec::new();
    for step in reader.get_at()? {
        at.push(match step.which() {
            Ok(guard::step::Name(name)) => Step::Name(text(name)?),
            Ok(guard::step::Each(())) => Step::Each,
            Err(kind) => return Ok(newer("step", kind)),
        });
    }
    let test = match reader.which() {
        Ok(guard::Equals(literal)) => Test::Equals(read_literal(literal?)?),
        Ok(guard::OneOf(literals)) => {
            Test::OneOf(literals?.iter().map(read_literal).collect::<Result<_, _>>()?)
        }
        Ok(guard::Prefix(prefix)) => Test::Prefix(text(prefix)?),
        Ok(guard::Glob(glob)) => Test::Glob(text(glob)?),
        Ok(guard::Regex(regex)) => Test::Regex(text(regex)?),
        Ok(guard::Range(range)) => {
            let range = range?;
            Test::Range(read_bound(range.get_min()?)?, read_bound(range.get_max()?)?)
        }
        Ok(guard::Length(span)) => Test::Length(read_span(span?)),
        Ok(guard::Count(span)) => Test::Count(read_span(span?)),
        Ok(guard::List(literals)) => {
            Test::List(literals?.iter().map(read_literal).collect::<Result<_, _>>()?)
        }
        Ok(guard::Keys(names)) => Test::Keys(texts(names?)?),
        Err(kind) => return Ok(newer("test", kind)),
    };
    Ok(Caveat::Argument(Guard { at, optional: reader.get_optional(), test }))
}

/// Writes a guard.
pub(super) fn write(mut b: guard::Builder<'_>, guard: &Guard) {
    b.set_optional(guard.optional);
    let mut steps = b.reborrow().init_at(len(guard.at.len()));
    for (at, step) in (0..).zip(&guard.at) {
        match step {
            Step::Name(name) => steps.reborrow().get(at).set_name(name),
            Step::Each => steps.reborrow().get(at).set_each(()),
        }
    }
    match &guard.test {
        Test::Equals(literal) => write_literal(b.init_equals(), literal),
        Test::OneOf(literals) => write_literals(b.init_one_of(len(literals.len())), literals),
        Test::List(literals) => write_literals(b.init_list(len(literals.len())), literals),
        Test::Keys(names) => write_texts(names, |count| b.init_keys(count)),
        Test::Prefix(prefix) => b.set_prefix(prefix),
        Test::Glob(glob) => b.set_glob(glob),
        Test::Regex(regex) => b.set_regex(regex),
        Test::Range(min, max) => {
            let mut b = b.init_range();
            write_bound(b.reborrow().init_min(), *min);
            write_bound(b.init_max(), *max);
        }
        Test::Length(span) => write_span(b.init_length(), *span),
        Test::Count(span) => write_span(b.init_count(), *span),
    }
}

fn read_literal(r: literal::Reader<'_>) -> Result<Literal, Malformed> {
    Ok(match r.which()? {
        literal::Null(()) => Literal::Null,
        literal::Bool(b) => Literal::Bool(b),
        literal::Integer(i) => Literal::Number(Number::Integer(i)),
        literal::Float(x) => Literal::Number(
            Number::float(x).ok_or_else(|| Malformed(format!("{x} is no number to compare")))?,
        ),
        literal::Text(t) => Literal::Text(text(t)?),
    })
}

fn write_literals(mut b: capnp::struct_list::Builder<'_, literal::Owned>, literals: &[Literal]) {
    for (at, literal) in (0..).zip(literals) {
        write_literal(b.reborrow().get(at), literal);
    }
}

fn write_literal(mut b: literal::Builder<'_>, literal: &Literal) {
    match literal {
        Literal::Null => b.set_null(()),
        Literal::Bool(value) => b.set_bool(*value),
        Literal::Number(number) => write_bound(b, Some(*number)),
        Literal::Text(text) => b.set_text(text),
    }
}

fn read_bound(r: literal::Reader<'_>) -> Result<Option<Number>, Malformed> {
    match read_literal(r)? {
        Literal::Null => Ok(None),
        Literal::Number(number) => Ok(Some(number)),
        _ => Err(Malformed("a bound is a number".into())),
    }
}

fn write_bound(mut b: literal::Builder<'_>, bound: Option<Number>) {
    match bound {
        None => b.set_null(()),
        Some(Number::Integer(i)) => b.set_integer(i),
        Some(Number::Float(x)) => b.set_float(x),
    }
}

fn read_span(r: span::Reader<'_>) -> Span {
    Span { min: r.get_min(), max: r.get_max() }
}

fn write_span(mut b: span::Builder<'_>, span: Span) {
    b.set_min(span.min);
    b.set_max(span.max);
}
