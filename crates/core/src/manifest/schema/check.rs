//! A value held against a schema.

use std::cell::Cell;
use std::cmp::Ordering;

use serde_json::Value as Json;

use super::{FieldRules, Kinds, Node, NumberRule, Others, Range, Rule};
use crate::grant::guard::{self, Number};
use crate::limits;
use crate::value::Value;

/// What is wrong with arguments, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Innermost first.
    steps: Vec<String>,
    /// Why, as the rest of a sentence about the argument.
    pub(crate) why: Why,
}

/// Why an argument is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is not declared; these are.
    Undeclared(Vec<String>),
    /// It is missing.
    Missing,
    /// Something else, in words.
    Other(String),
}

impl Wrong {
    fn new(why: impl Into<String>) -> Self {
        Self { steps: Vec::new(), why: Why::Other(why.into()) }
    }

    fn at(mut self, step: impl Into<String>) -> Self {
        self.steps.push(step.into());
        self
    }

    /// The way to the argument, for example `filter.days[2]`. A peer wrote it: it is cut.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.extend(step.chars().take(80));
        }
        path
    }

    /// Whether it is an argument itself, and not a part of one.
    pub(crate) fn is_at_top(&self) -> bool {
        self.steps.len() == 1
    }
}

/// One check of the arguments of one call.
pub(super) struct Check<'a, O> {
    /// Comparisons that may still be made: a schema and a value that are both large multiply.
    steps: Cell<u64>,
    passed_over: &'a dyn Fn(&str, &Value<O>) -> bool,
}

type Checked = Result<(), Wrong>;

impl<'a, O: PartialEq> Check<'a, O> {
    pub(super) fn new(passed_over: &'a dyn Fn(&str, &Value<O>) -> bool) -> Self {
        Self { steps: Cell::new(limits::MAX_SCHEMA_STEPS), passed_over }
    }

    pub(super) fn root(&self, node: &Node, args: &Value<O>) -> Checked {
        self.node(node, args, true)
    }

    /// `top`: the value is the arguments as a whole.
    fn node(&self, node: &Node, value: &Value<O>, top: bool) -> Checked {
        self.spend(1)?;
        if !node.kinds.has(Kinds::of(value)) {
            return Err(Wrong::new(format!(
                "it is {}, and must be {}",
                Kinds::of(value).in_words(),
                node.kinds.in_words()
            )));
        }
        node.rules.iter().try_for_each(|rule| self.rule(rule, value, top))
    }

    fn holds(&self, node: &Node, value: &Value<O>, top: bool) -> Result<bool, Wrong> {
        let held = self.node(node, value, top).is_ok();
        // One that failed for want of steps says nothing of the value.
        self.spend(0).map(|()| held)
    }

    fn rule(&self, rule: &Rule, value: &Value<O>, top: bool) -> Checked {
        match (rule, value) {
            (Rule::OneOf(all), value) => self.one_of(all, value),
            (Rule::Number(rule, bound), value) => within(*rule, *bound, value),
            (Rule::Length(range), Value::Text(text)) => {
                self.spend(text.len() as u64 / 64)?;
                in_range(*range, text.chars().count(), "characters")
            }
            (Rule::Length(range), Value::Data(data)) => in_range(*range, data.len(), "bytes"),
            (Rule::Pattern(pattern), Value::Text(text)) => {
                self.spend(text.len() as u64 / 64)?;
                let short = text.len() <= limits::MAX_MATCHED_BYTES;
                match short && pattern.is_match(text) {
                    true => Ok(()),
                    false => Err(Wrong::new(format!("it does not match `{pattern}`"))),
                }
            }
            (Rule::Count(range), Value::List(items)) => in_range(*range, items.len(), "elements"),
            (Rule::Elements(first, rest), Value::List(items)) => self.elements(first, rest, items),
            (Rule::Unique, Value::List(items)) => self.unique(items),
            (Rule::Fields(rules), Value::Fields(fields)) => self.fields(rules, fields, top),
            (Rule::FieldCount(range), Value::Fields(fields)) => {
                in_range(*range, fields.len(), "fields")
            }
            (Rule::Required(names), Value::Fields(fields)) => self.required(names, fields, top),
            (Rule::RequiredWith(field, names), Value::Fields(fields)) => {
                match self.gives(fields, field, top) {
                    true => self.required(names, fields, top),
                    false => Ok(()),
                }
            }
            (Rule::All(nodes), value) => {
                nodes.iter().try_for_each(|node| self.node(node, value, top))
            }
            (Rule::Any(nodes), value) => self.any(nodes, value, top),
            (Rule::One(nodes), value) => self.one(nodes, value, top),
            (Rule::Not(node), value) => match self.holds(node, value, top)? {
                true => Err(Wrong::new("it is what it must not be")),
                false => Ok(()),
            },
            (Rule::If(parts), value) => {
                let [condition, then, otherwise] = &**parts;
                let holds = self.holds(condition, value, top)?;
                self.node(if holds { then } else { otherwise }, value, top)
            }
            (Rule::Never, _) => Err(Wrong::new("nothing may be given here")),
            // What speaks of texts, lists or fields says nothing of another kind of value.
            (
                Rule::Length(_)
                | Rule::Pattern(_)
                | Rule::Count(_)
                | Rule::Elements(..)
                | Rule::Unique
                | Rule::Fields(_)
                | Rule::FieldCount(_)
                | Rule::Required(_)
                | Rule::RequiredWith(..),
                _,
            ) => Ok(()),
        }
    }

    fn spend(&self, steps: u64) -> Checked {
        match self.steps.get().checked_sub(steps) {
            Some(left) if left > 0 => {
                self.steps.set(left);
                Ok(())
            }
            _ => {
                self.steps.set(0);
                let most = limits::MAX_SCHEMA_STEPS;
                Err(Wrong::new(format!("to check it takes more than {most} steps: give less")))
            }
        }
    }

    fn one_of(&self, all: &[Json], value: &Value<O>) -> Checked {
        self.spend(all.len() as u64)?;
        if all.iter().any(|json| same(json, value)) {
            return Ok(());
        }
        let shown: Vec<String> = all.iter().take(8).map(Json::to_string).collect();
        let more = if all.len() > shown.len() { ", ..." } else { "" };
        let shown: String = shown.join(", ").chars().take(200).collect();
        Err(Wrong::new(format!("it must be one of {shown}{more}")))
    }

    fn elements(&self, first: &[Node], rest: &Option<Box<Node>>, items: &[Value<O>]) -> Checked {
        for (at, item) in items.iter().enumerate() {
            let Some(node) = first.get(at).or(rest.as_deref()) else { return Ok(()) };
            self.node(node, item, false).map_err(|wrong| wrong.at(format!("[{at}]")))?;
        }
        Ok(())
    }

    fn unique(&self, items: &[Value<O>]) -> Checked {
        let pairs = (items.len() as u64).saturating_mul(items.len() as u64) / 2;
        self.spend(pairs)?;
        let twice = (1..items.len()).find(|at| items[..*at].contains(&items[*at]));
        twice.map_or(Ok(()), |at| Err(Wrong::new("it is in the list twice").at(format!("[{at}]"))))
    }

    fn fields(&self, rules: &FieldRules, fields: &[(String, Value<O>)], top: bool) -> Checked {
        for (name, value) in fields {
            if top && (self.passed_over)(name, value) {
                continue;
            }
            self.field(rules, name, value).map_err(|wrong| wrong.at(name.as_str()))?;
        }
        Ok(())
    }

    fn field(&self, rules: &FieldRules, name: &str, value: &Value<O>) -> Checked {
        let named = rules.named.binary_search_by(|(one, _)| one.as_str().cmp(name));
        let named = named.ok().map(|at| &rules.named[at].1);
        self.spend(1 + rules.matching.len() as u64)?;
        let short = name.len() <= limits::MAX_MATCHED_BYTES;
        let matching = rules.matching.iter().filter(|(pattern, _)| short && pattern.is_match(name));
        let mut said = named.is_some();
        for node in named.into_iter().chain(matching.map(|(_, node)| node)) {
            said = true;
            self.node(node, value, false)?;
        }
        match &rules.others {
            _ if said => Ok(()),
            Others::Any => Ok(()),
            Others::Each(node) => self.node(node, value, false),
            Others::Only(names) => match names.binary_search_by(|one| one.as_str().cmp(name)) {
                Ok(_) => Ok(()),
                Err(_) => {
                    let own = rules.named.iter().map(|(name, _)| name.clone());
                    let mut all: Vec<String> = own.chain(names.iter().cloned()).collect();
                    all.sort();
                    all.dedup();
                    Err(Wrong { steps: Vec::new(), why: Why::Undeclared(all) })
                }
            },
        }
    }

    fn gives(&self, fields: &[(String, Value<O>)], name: &str, top: bool) -> bool {
        let over = |value: &Value<O>| top && (self.passed_over)(name, value);
        fields.iter().any(|(given, value)| given == name && !over(value))
    }

    fn required(&self, names: &[String], fields: &[(String, Value<O>)], top: bool) -> Checked {
        self.spend((names.len() * fields.len()) as u64)?;
        match names.iter().find(|name| !self.gives(fields, name, top)) {
            Some(missing) => {
                Err(Wrong { steps: Vec::new(), why: Why::Missing }.at(missing.as_str()))
            }
            None => Ok(()),
        }
    }

    fn any(&self, nodes: &[Node], value: &Value<O>, top: bool) -> Checked {
        let mut first = None;
        for node in nodes {
            match self.node(node, value, top) {
                Ok(()) => return Ok(()),
                // The one that came furthest says best what is wrong.
                Err(wrong)
                    if first.as_ref().is_none_or(|f: &Wrong| f.steps.len() < wrong.steps.len()) =>
                {
                    first = Some(wrong);
                }
                Err(_) => {}
            }
            self.spend(0)?;
        }
        Err(first.unwrap_or_else(|| Wrong::new("nothing may be given here")))
    }

    fn one(&self, nodes: &[Node], value: &Value<O>, top: bool) -> Checked {
        let mut holding = 0;
        for node in nodes {
            holding += usize::from(self.holds(node, value, top)?);
        }
        match holding {
            1 => Ok(()),
            0 => self.any(nodes, value, top),
            _ => Err(Wrong::new("it is more than one of the things that it may be one of")),
        }
    }
}

fn within<O>(rule: NumberRule, bound: f64, value: &Value<O>) -> Checked {
    let (Some(given), Some(limit)) = (number(value), Number::float(bound)) else { return Ok(()) };
    let order = given.compare(limit);
    let (holds, why) = match rule {
        NumberRule::Minimum => (order != Ordering::Less, "at least"),
        NumberRule::Maximum => (order != Ordering::Greater, "at most"),
        NumberRule::ExclusiveMinimum => (order == Ordering::Greater, "more than"),
        NumberRule::ExclusiveMaximum => (order == Ordering::Less, "less than"),
        NumberRule::MultipleOf => (is_multiple(given, bound), "a multiple of"),
    };
    if holds { Ok(()) } else { Err(Wrong::new(format!("it must be {why} {bound}"))) }
}

fn is_multiple(given: Number, of: f64) -> bool {
    match given {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and far from the ends")]
        Number::Integer(given) if of.fract() == 0.0 && of.abs() < 9e15 => given % (of as i64) == 0,
        #[expect(
            clippy::cast_precision_loss,
            reason = "a divisor with a fraction is not exact anyway"
        )]
        Number::Integer(given) => (given as f64 / of).fract() == 0.0,
        Number::Float(given) => (given / of).fract() == 0.0,
    }
}

fn in_range(Range(least, most): Range, count: usize, of: &str) -> Checked {
    if (least..=most).contains(&(count as u64)) {
        return Ok(());
    }
    let bound = match (least, most) {
        (least, u64::MAX) => format!("at least {least}"),
        (0, most) => format!("at most {most}"),
        (least, most) => format!("{least} to {most}"),
    };
    Err(Wrong::new(format!("it has {count} {of}, and must have {bound}")))
}

/// The number that a value is. Beyond those with a sign it is rounded to a float, as bounds are.
fn number<O>(value: &Value<O>) -> Option<Number> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "its bounds are floats as well")]
        Value::Unsigned(n) => Number::float(*n as f64),
        value @ (Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Data(_)
        | Value::List(_)
        | Value::Fields(_)
        | Value::Object(_)) => guard::number(value),
    }
}

/// Whether a value is this one of JSON.
fn same<O>(json: &Json, value: &Value<O>) -> bool {
    match (json, value) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::String(a), Value::Text(b)) => a == b,
        (Json::Number(a), Value::Unsigned(b)) => a.as_u64() == Some(*b),
        (Json::Number(a), value) => {
            let a = a.as_i64().map(Number::Integer).or_else(|| a.as_f64().and_then(Number::float));
            a.zip(number(value)).is_some_and(|(a, b)| a.compare(b) == Ordering::Equal)
        }
        (Json::Array(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Value::Fields(b)) => {
            a.len() == b.len() && b.iter().all(|(n, b)| a.get(n).is_some_and(|a| same(a, b)))
        }
        (Json::Null | Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_), _) => {
            false
        }
    }
}
