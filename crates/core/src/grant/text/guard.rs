//! A guard as text: `arg.url=prefix:https://example.org/`.

use super::NotAGrant;
use super::caveat::Term;
use super::escape::{escape_step, unescape};
use crate::grant::{Guard, Literal, Number, Span, Step, Test};

/// A guard's name and items.
pub(super) fn write(guard: &Guard) -> (String, Vec<String>) {
    let mut name = "arg".to_owned();
    for step in &guard.at {
        name.push('.');
        match step {
            Step::Name(field) => name.push_str(&escape_step(field)),
            Step::Each => name.push('*'),
        }
    }
    if guard.optional {
        name.push('?');
    }
    let span = |span: &Span| {
        let min = if span.min == 0 { String::new() } else { span.min.to_string() };
        let max = if span.max == u64::MAX { String::new() } else { span.max.to_string() };
        format!("{min}..{max}")
    };
    let bound = |bound: &Option<Number>| bound.map_or_else(String::new, write_number);
    let (kind, items) = match &guard.test {
        Test::Equals(literal) => ("equals", vec![write_literal(literal)]),
        Test::OneOf(literals) => ("oneOf", literals.iter().map(write_literal).collect()),
        Test::Prefix(text) => ("prefix", vec![text.clone()]),
        Test::Glob(text) => ("glob", vec![text.clone()]),
        Test::Regex(text) => ("regex", vec![text.clone()]),
        Test::Range(min, max) => ("range", vec![format!("{}..{}", bound(min), bound(max))]),
        Test::Length(s) => ("length", vec![span(s)]),
        Test::Count(s) => ("count", vec![span(s)]),
        Test::List(literals) => ("list", literals.iter().map(write_literal).collect()),
        Test::Keys(names) => ("keys", names.clone()),
    };
    let mut items = items.into_iter();
    let first = format!("{kind}:{}", items.next().unwrap_or_default());
    (name, std::iter::once(first).chain(items).collect())
}

/// The guard that a term is, whose name goes on with `place` after `arg`.
pub(super) fn read(term: &Term<'_>, place: &str) -> Result<Guard, NotAGrant> {
    let (place, optional) = place.strip_suffix('?').map_or((place, false), |place| (place, true));
    let step = |step: &str| match step {
        "*" => Ok(Step::Each),
        name => unescape(name).map(Step::Name),
    };
    let steps = place.strip_prefix('.').map(|steps| steps.split('.'));
    let at = steps.into_iter().flatten().map(step).collect::<Result<_, _>>()?;
    let first = term.items.first().map_or("", String::as_str);
    let (kind, first) = first.split_once(':').unwrap_or((first, ""));
    let items: Vec<&str> =
        std::iter::once(first).chain(term.items.iter().skip(1).map(String::as_str)).collect();
    let text = items.join(",");
    let wrong = |what: &str, example: &str| term.wrong(what, &format!("{}={example}", term.name));
    let span =
        || parse_span(&text).ok_or_else(|| wrong("from..to is needed", &format!("{kind}:1..5")));
    let test = match kind {
        "equals" => Test::Equals(read_literal(&text)),
        "oneOf" if text.is_empty() => Test::OneOf(Vec::new()),
        "oneOf" => Test::OneOf(items.iter().map(|item| read_literal(item)).collect()),
        "prefix" => Test::Prefix(text),
        "glob" => Test::Glob(text),
        "regex" => Test::Regex(text),
        "range" => parse_range(&text).ok_or_else(|| wrong("from..to is needed", "range:1..5"))?,
        "length" => Test::Length(span()?),
        "count" => Test::Count(span()?),
        "list" if text.is_empty() => Test::List(Vec::new()),
        "list" => Test::List(items.iter().map(|item| read_literal(item)).collect()),
        "keys" if text.is_empty() => Test::Keys(Vec::new()),
        "keys" => Test::Keys(items.iter().map(|item| (*item).to_owned()).collect()),
        _ => {
            let kinds =
                "one of equals, oneOf, prefix, glob, regex, range, length, count, list, keys";
            return Err(wrong(kinds, "prefix:https://example.org/"));
        }
    };
    Ok(Guard { at, optional, test })
}

/// A literal; text that could be taken for something else stands in quotes.
pub(super) fn write_literal(literal: &Literal) -> String {
    match literal {
        Literal::Null => "null".into(),
        Literal::Bool(b) => b.to_string(),
        Literal::Number(number) => write_number(*number),
        Literal::Text(text) if !text.is_empty() && read_literal(text) == *literal => text.clone(),
        Literal::Text(text) => format!("\"{text}\""),
    }
}

fn read_literal(text: &str) -> Literal {
    let quoted = || text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match text {
        "null" => Literal::Null,
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        _ => parse_number(text)
            .map_or_else(|| Literal::Text(quoted().unwrap_or(text).to_owned()), Literal::Number),
    }
}

fn write_number(number: Number) -> String {
    match number {
        Number::Integer(i) => i.to_string(),
        // Always with a point or an exponent, so that it does not read as a whole number.
        Number::Float(x) => format!("{x:?}"),
    }
}

fn parse_number(text: &str) -> Option<Number> {
    let whole = || text.parse().ok().map(Number::Integer);
    whole().or_else(|| text.parse().ok().and_then(Number::float))
}

fn parse_range(text: &str) -> Option<Test> {
    let (min, max) = text.split_once("..")?;
    let bound = |text: &str| match text {
        "" => Some(None),
        text => parse_number(text).map(Some),
    };
    Some(Test::Range(bound(min)?, bound(max)?))
}

fn parse_span(text: &str) -> Option<Span> {
    let bound =
        |text: &str, open: u64| if text.is_empty() { Some(open) } else { text.parse().ok() };
    match text.split_once("..") {
        Some((min, max)) => Some(Span { min: bound(min, 0)?, max: bound(max, u64::MAX)? }),
        None => text.parse().ok().map(|n| Span { min: n, max: n }),
    }
}
