//! Guards: what an argument, found by its path in the arguments, may be.

use serde::{Deserialize, Serialize};

use super::{path, pattern::Pattern};
use crate::limits;
use crate::manifest::Kinds;
use crate::value::Value;

/// A condition on one argument, or on a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Where in the arguments by name. Empty: the arguments as a whole, of which only their names are
    /// tested.
    pub at: Vec<Step>,
    /// Whether a call without that argument passes.
    pub optional: bool,
    /// What it must be.
    pub test: Test,
}

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// To a field; in a list, to the element at this index, counted from 0.
    Name(String),
    /// To every element or field. All must pass.
    Each,
}

/// What an argument must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Test {
    /// This.
    Equals(Literal),
    /// One of these.
    OneOf(Vec<Literal>),
    /// Text that begins so; of a path, one at or below it.
    Prefix(String),
    /// Text that matches this as a whole. `*` stays between slashes, `**` does not.
    Glob(String),
    /// Text that matches this as a whole.
    Regex(String),
    /// A number between these, both included. `None`: no bound on that side.
    Range(Option<Number>, Option<Number>),
    /// Text of so many characters, or data of so many bytes.
    Length(Span),
    /// A list of so many elements, or so many fields.
    Count(Span),
    /// A list of exactly these, in this order.
    List(Vec<Literal>),
    /// Fields of which each has one of these names.
    Keys(Vec<String>),
}

/// A value that arguments are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Literal {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number. A whole one equals the floating-point one that is worth the same.
    Number(Number),
    /// A text.
    Text(String),
}

/// A number that can be compared with every other.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Number {
    /// A whole number.
    Integer(i64),
    /// A finite number. See [`Number::float`].
    Float(f64),
}

/// From `min` to `max`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl Span {
    /// Whether `n` is between the ends.
    pub const fn contains(self, n: u64) -> bool {
        self.min <= n && n <= self.max
    }
}

impl Number {
    /// A floating-point number; `None` if it is infinite or none at all.
    pub fn float(x: f64) -> Option<Self> {
        x.is_finite().then_some(Self::Float(x))
    }

    /// Which of two is worth more. Exact: a whole number is not rounded to compare it.
    pub fn compare(self, other: Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            (Self::Float(a), Self::Float(b)) => {
                a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal)
            }
            (Self::Integer(a), Self::Float(b)) => compare_mixed(a, b),
            (Self::Float(a), Self::Integer(b)) => compare_mixed(b, a).reverse(),
        }
    }
}

/// Two numbers are equal if they are written the same; see [`Number::compare`] for their worth.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

impl Eq for Number {}

fn compare_mixed(whole: i64, float: f64) -> std::cmp::Ordering {
    use std::cmp::Ordering::{Equal, Greater, Less};
    // 2^63 is a float; i64::MAX is not.
    if float >= 9_223_372_036_854_775_808.0 {
        return Less;
    }
    if float < -9_223_372_036_854_775_808.0 {
        return Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the whole part fits, as was just seen")]
    let floor = float.floor() as i64;
    match whole.cmp(&floor) {
        Equal if float.fract() == 0.0 => Equal,
        Equal => Less,
        unequal @ (Less | Greater) => unequal,
    }
}

impl Literal {
    /// Whether the value is this one.
    pub fn is<O>(&self, value: &Value<O>) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Text(a), Value::Text(b)) => a == b,
            (Self::Number(a), value) => {
                number(value).is_some_and(|b| a.compare(b) == std::cmp::Ordering::Equal)
            }
            _ => false,
        }
    }

    /// The value that it stands for.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Number(Number::Integer(i)) => Value::Integer(*i),
            Self::Number(Number::Float(x)) => Value::Float(*x),
            Self::Text(t) => Value::Text(t.clone()),
        }
    }
}

/// The number that a value is, if it is a finite one.
pub fn number<O>(value: &Value<O>) -> Option<Number> {
    match value {
        Value::Integer(i) => Some(Number::Integer(*i)),
        Value::Float(x) => Number::float(*x),
        Value::Null
        | Value::Bool(_)
        | Value::Text(_)
        | Value::Data(_)
        | Value::List(_)
        | Value::Fields(_)
        | Value::Object(_)
        | Value::Unsigned(_) => None,
    }
}

impl Guard {
    /// The kinds of values that can pass.
    pub(crate) fn kinds(&self) -> Kinds {
        let number = Kinds::WHOLE.or(Kinds::FRACTION);
        let of = |literal: &Literal| match literal {
            // Where the argument need not be given, an empty list is nothing too.
            Literal::Null if self.optional => Kinds::NULL.or(Kinds::LIST),
            Literal::Null => Kinds::NULL,
            Literal::Bool(_) => Kinds::BOOL,
            Literal::Number(_) => number,
            Literal::Text(_) => Kinds::TEXT,
        };
        match &self.test {
            Test::Equals(literal) => of(literal),
            Test::OneOf(all) => all.iter().fold(Kinds::NONE, |kinds, one| kinds.or(of(one))),
            Test::Prefix(_) | Test::Glob(_) | Test::Regex(_) => Kinds::TEXT,
            Test::Range(..) => number,
            Test::Length(_) => Kinds::TEXT.or(Kinds::DATA),
            Test::Count(_) => Kinds::LIST.or(Kinds::FIELDS),
            Test::List(_) => Kinds::LIST,
            Test::Keys(_) => Kinds::FIELDS,
        }
    }

    /// Whether it looks for nothing, which an empty list is as well where nothing need be given.
    fn takes_nothing(&self) -> bool {
        self.optional
            && match &self.test {
                Test::Equals(literal) => *literal == Literal::Null,
                Test::OneOf(all) => all.contains(&Literal::Null),
                Test::Prefix(_)
                | Test::Glob(_)
                | Test::Regex(_)
                | Test::Range(..)
                | Test::Length(_)
                | Test::Count(_)
                | Test::List(_)
                | Test::Keys(_) => false,
            }
    }

    /// Whether it is well formed and within bounds; if not, why.
    pub fn validate(&self) -> Result<(), String> {
        if self.at.is_empty() && !matches!(self.test, Test::Keys(_)) {
            return Err("of all arguments only the names can be tested: arg=keys:to,subject".into());
        }
        if self.at.len() > limits::MAX_GUARD_STEPS {
            return Err(format!("a path of at most {} steps", limits::MAX_GUARD_STEPS));
        }
        if self.at.iter().any(|step| matches!(step, Step::Name(name) if name.is_empty())) {
            return Err("the name of the argument is missing, as in arg.path=prefix:src".into());
        }
        let long = |text: &String| text.len() > limits::MAX_CAVEAT_TEXT_BYTES;
        if self.at.iter().any(|step| matches!(step, Step::Name(name) if long(name))) {
            return Err(format!("a name of more than {} bytes", limits::MAX_CAVEAT_TEXT_BYTES));
        }
        let items = format!("at most {} values", limits::MAX_CAVEAT_ITEMS);
        let texts = format!("a text of more than {} bytes", limits::MAX_CAVEAT_TEXT_BYTES);
        let long_literal = |one: &Literal| matches!(one, Literal::Text(text) if long(text));
        match &self.test {
            Test::OneOf(all) | Test::List(all) if all.len() > limits::MAX_CAVEAT_ITEMS => {
                Err(items)
            }
            Test::OneOf(all) | Test::List(all) if all.iter().any(long_literal) => Err(texts),
            Test::Keys(all) if all.len() > limits::MAX_CAVEAT_ITEMS => Err(items),
            Test::Keys(all) if all.iter().any(long) => Err(texts),
            Test::Equals(Literal::Text(text)) | Test::Prefix(text) if long(text) => Err(texts),
            Test::Glob(_) | Test::Regex(_) => Pattern::compile(&self.test).map(|_| ()),
            Test::Equals(_)
            | Test::OneOf(_)
            | Test::Prefix(_)
            | Test::Range(..)
            | Test::Length(_)
            | Test::Count(_)
            | Test::List(_)
            | Test::Keys(_) => Ok(()),
        }
    }

    /// The name of the argument it looks into; `None`: into every one.
    pub fn argument(&self) -> Option<&str> {
        match self.at.first() {
            Some(Step::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// What it looks at, in words.
    fn place(&self) -> String {
        let step = |step: &Step| match step {
            Step::Name(name) => name.clone(),
            Step::Each => "*".into(),
        };
        match &self.at.iter().map(step).collect::<Vec<_>>()[..] {
            [] => "the arguments".into(),
            [all] if all == "*" => "an argument".into(),
            steps => format!("the argument `{}`", steps.join(".")),
        }
    }
}

/// A guard made ready to be checked many times.
#[derive(Debug, Clone)]
pub struct Ready {
    guard: Guard,
    pattern: Option<Pattern>,
}

impl Ready {
    /// Makes a guard ready; an error if it is not well formed.
    pub fn new(guard: &Guard) -> Result<Self, String> {
        guard.validate()?;
        let pattern = match &guard.test {
            Test::Glob(_) | Test::Regex(_) => Some(Pattern::compile(&guard.test)?),
            Test::Equals(_)
            | Test::OneOf(_)
            | Test::Prefix(_)
            | Test::Range(..)
            | Test::Length(_)
            | Test::Count(_)
            | Test::List(_)
            | Test::Keys(_) => None,
        };
        Ok(Self { guard: guard.clone(), pattern })
    }

    /// Whether the arguments pass; if not, why. `is_path` says which arguments are paths.
    pub fn check(&self, args: &Value, is_path: impl Fn(&str) -> bool) -> Result<(), String> {
        match (self.guard.at.split_first(), args) {
            (Some((Step::Each, rest)), Value::Fields(fields)) => {
                self.not_empty(fields.len())?;
                fields.iter().try_for_each(|(name, part)| self.walk(part, rest, is_path(name)))
            }
            _ => self.walk(args, &self.guard.at, self.guard.argument().is_some_and(is_path)),
        }
    }

    fn walk(&self, value: &Value, steps: &[Step], in_path: bool) -> Result<(), String> {
        let Some((step, rest)) = steps.split_first() else { return self.test(value, in_path) };
        match (step, value) {
            (Step::Name(name), Value::Fields(_)) => match value.field(name) {
                Some(part) => self.walk(part, rest, in_path),
                None => self.absent(),
            },
            (Step::Name(name), Value::List(items)) => {
                match name.parse::<usize>().ok().and_then(|at| items.get(at)) {
                    Some(part) => self.walk(part, rest, in_path),
                    None => self.absent(),
                }
            }
            (Step::Each, Value::List(items)) => {
                self.not_empty(items.len())?;
                items.iter().try_for_each(|item| self.walk(item, rest, in_path))
            }
            (Step::Each, Value::Fields(fields)) => {
                self.not_empty(fields.len())?;
                fields.iter().try_for_each(|(_, part)| self.walk(part, rest, in_path))
            }
            // What has no parts is not absent: it is something else than was asked for.
            (_, Value::Null) => self.absent(),
            _ => Err(format!("{} is {}, which has no parts", self.guard.place(), shown(value))),
        }
    }

    /// What holds for each of no elements says nothing: a recipient that must be one of some is one.
    fn not_empty(&self, count: usize) -> Result<(), String> {
        if count > 0 || self.guard.optional {
            return Ok(());
        }
        Err(format!("{} stands for at least one, and there is none", self.guard.place()))
    }

    fn absent(&self) -> Result<(), String> {
        match self.guard.optional {
            true => Ok(()),
            false => Err(format!("{} is missing, and must be given", self.guard.place())),
        }
    }

    fn test(&self, value: &Value, in_path: bool) -> Result<(), String> {
        let passes = match (&self.guard.test, value) {
            (Test::Equals(literal), value) => literal.is(value),
            (Test::OneOf(literals), value) => literals.iter().any(|literal| literal.is(value)),
            (Test::Prefix(prefix), Value::Text(text)) if in_path => {
                text.starts_with(prefix.as_str())
                    && path::is_within(text, prefix.trim_end_matches('/'))
            }
            (Test::Prefix(prefix), Value::Text(text)) => text.starts_with(prefix.as_str()),
            (Test::Glob(_) | Test::Regex(_), Value::Text(text)) => {
                self.pattern.as_ref().is_some_and(|pattern| pattern.matches(text))
            }
            (Test::Range(min, max), value) => number(value).is_some_and(|n| within(n, *min, *max)),
            (Test::Length(span), Value::Text(text)) => span.contains(text.chars().count() as u64),
            (Test::Length(span), Value::Data(data)) => span.contains(data.len() as u64),
            (Test::Count(span), Value::List(items)) => span.contains(items.len() as u64),
            (Test::Count(span), Value::Fields(fields)) => span.contains(fields.len() as u64),
            (Test::List(these), Value::List(items)) => {
                these.len() == items.len()
                    && these.iter().zip(items).all(|(one, item)| one.is(item))
            }
            (Test::Keys(names), Value::Fields(fields)) => {
                fields.iter().all(|(name, _)| names.contains(name))
            }
            // A value of another kind than the test is for.
            _ => false,
        };
        match (passes, value) {
            (true, _) => Ok(()),
            (false, Value::Null) if self.guard.optional => Ok(()),
            (false, Value::List(items)) if items.is_empty() && self.guard.takes_nothing() => Ok(()),
            (false, Value::Fields(fields)) if let Test::Keys(names) = &self.guard.test => {
                let other = fields.iter().map(|(name, _)| name).find(|name| !names.contains(name));
                let other: String =
                    other.into_iter().flat_map(|name| name.chars().take(80)).collect();
                let place = self.guard.place();
                Err(format!("{place} may have {}, and `{other}` is none", names.join(", ")))
            }
            (false, _) => {
                Err(format!("{} is {}, which is not allowed", self.guard.place(), shown(value)))
            }
        }
    }
}

/// Whether a number is between two, both included.
pub fn within(n: Number, min: Option<Number>, max: Option<Number>) -> bool {
    min.is_none_or(|min| n.compare(min).is_ge()) && max.is_none_or(|max| n.compare(max).is_le())
}

/// What an argument is, without giving away more of it than a few words.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Integer(i) => i.to_string(),
        Value::Unsigned(n) => n.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Text(t) if t.len() <= 80 => format!("`{t}`"),
        Value::Text(t) => {
            format!(
                "a text of {} characters that begins `{}`",
                t.chars().count(),
                t.chars().take(40).collect::<String>()
            )
        }
        Value::Data(d) => format!("{} bytes of data", d.len()),
        Value::List(items) => format!("a list of {}", items.len()),
        Value::Fields(fields) => format!("{} fields", fields.len()),
        Value::Object(_) => "an object".into(),
    }
}
