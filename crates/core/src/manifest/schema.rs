//! The JSON Schema of a method's arguments, compiled once and checked against values as they are.
//!
//! A schema comes from a tool node, so it is not trusted: its size, its nesting and its patterns are
//! bounded, it may refer to its own definitions only and not to itself, and a keyword that would
//! restrict the arguments and is not known here is refused instead of passed over. All this is found
//! out when the tool registers.
//!
//! Fields are closed unless the schema says otherwise: where JSON Schema lets `properties` stand
//! beside fields that it does not name, here `additionalProperties` must say so. A tool that reads
//! an alias of an argument would void every guard on that argument.

mod check;
mod compile;
mod keyword;
mod shape;

use regex::Regex;
use serde_json::Value as Json;

pub(crate) use check::{Why, Wrong};
pub(crate) use shape::Shape;

use super::Method;
use crate::value::Value;

/// What a method's arguments must be.
#[derive(Debug)]
pub(crate) struct ArgsSchema {
    root: Node,
    patterns: usize,
}

/// What one value must be: of one of these kinds, and all rules must hold.
#[derive(Debug, Default)]
struct Node {
    kinds: Kinds,
    rules: Vec<Rule>,
}

/// Some of the kinds that a value can be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u16);

/// One thing that must hold.
#[derive(Debug)]
enum Rule {
    /// It is one of these: `enum` and `const`.
    OneOf(Vec<Json>),
    /// Bounds of a number.
    Number(NumberRule, f64),
    /// How many characters a text has, or bytes of data.
    Length(Range),
    /// A text has a match of this.
    Pattern(Box<Regex>),
    /// How many elements a list has.
    Count(Range),
    /// The elements of a list: the first ones each by itself, then all others; `None`: anything.
    Elements(Vec<Node>, Option<Box<Node>>),
    /// No two elements of a list are the same.
    Unique,
    /// The fields of a value.
    Fields(Box<FieldRules>),
    /// How many fields a value has.
    FieldCount(Range),
    /// The fields that it must have.
    Required(Vec<String>),
    /// If it has this field, it has these.
    RequiredWith(String, Vec<String>),
    /// All of these hold.
    All(Vec<Node>),
    /// One of these holds, or more.
    Any(Vec<Node>),
    /// Exactly one of these holds.
    One(Vec<Node>),
    /// This does not hold.
    Not(Box<Node>),
    /// If the first holds, the second does, else the third.
    If(Box<[Node; 3]>),
    /// Nothing passes.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NumberRule {
    Minimum,
    Maximum,
    ExclusiveMinimum,
    ExclusiveMaximum,
    MultipleOf,
}

/// From the first to the second, both included.
#[derive(Debug, Clone, Copy)]
struct Range(u64, u64);

/// What the fields of a value are.
#[derive(Debug, Default)]
struct FieldRules {
    /// Those with a name, sorted by it.
    named: Vec<(String, Node)>,
    /// Those whose name has a match.
    matching: Vec<(Regex, Node)>,
    /// All others.
    others: Others,
}

/// What fields may be there that no name and no pattern is for.
#[derive(Debug, Default)]
enum Others {
    /// Any.
    #[default]
    Any,
    /// Those that are so.
    Each(Box<Node>),
    /// Those of these names alone, sorted: other parts of the schema speak of them.
    Only(Vec<String>),
}

impl Kinds {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOL: Self = Self(1 << 1);
    /// A whole number, however it is written.
    pub(crate) const WHOLE: Self = Self(1 << 2);
    pub(crate) const FRACTION: Self = Self(1 << 3);
    pub(crate) const TEXT: Self = Self(1 << 4);
    pub(crate) const DATA: Self = Self(1 << 5);
    pub(crate) const LIST: Self = Self(1 << 6);
    pub(crate) const FIELDS: Self = Self(1 << 7);
    pub(crate) const OBJECT: Self = Self(1 << 8);
    pub(crate) const ALL: Self = Self((1 << 9) - 1);

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    const fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    /// The kind of a value.
    fn of<O>(value: &Value<O>) -> Self {
        /// From here on a float cannot tell whole numbers from each other.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOL,
            Value::Integer(_) | Value::Unsigned(_) => Self::WHOLE,
            Value::Float(x) if x.fract() == 0.0 && x.abs() < EXACT => Self::WHOLE,
            Value::Float(_) => Self::FRACTION,
            Value::Text(_) => Self::TEXT,
            Value::Data(_) => Self::DATA,
            Value::List(_) => Self::LIST,
            Value::Fields(_) => Self::FIELDS,
            Value::Object(_) => Self::OBJECT,
        }
    }

    /// The kinds in words, for example `text or null`.
    pub(crate) fn in_words(self) -> String {
        let whole = if self.has(Self::FRACTION) { "a number" } else { "a whole number" };
        let names = [
            (Self::TEXT, "text"),
            (Self::DATA, "bytes"),
            (Self::WHOLE, whole),
            (Self::BOOL, "true or false"),
            (Self::LIST, "a list"),
            (Self::FIELDS, "fields"),
            (Self::OBJECT, "an object"),
            (Self::NULL, "null"),
        ];
        let named: Vec<&str> =
            names.iter().filter(|(kind, _)| self.has(*kind)).map(|(_, name)| *name).collect();
        if named.is_empty() { "nothing".into() } else { named.join(" or ") }
    }
}

impl Default for Kinds {
    fn default() -> Self {
        Self::ALL
    }
}

impl ArgsSchema {
    /// The schema of a method's arguments. One without a schema takes its parameters, whatever they
    /// are. The error says what is wrong with the schema.
    pub(crate) fn of(method: &Method) -> Result<Self, String> {
        let params = method.params.iter().map(|param| param.name.as_str());
        let (root, patterns) = compile::arguments(&method.args_schema, params)?;
        Ok(Self { root, patterns })
    }

    /// How many patterns it has.
    pub(crate) const fn patterns(&self) -> usize {
        self.patterns
    }

    /// Checks arguments by name. `passed_over`: whether a field at the top counts as not given.
    pub(crate) fn check<O: PartialEq>(
        &self,
        args: &Value<O>,
        passed_over: &dyn Fn(&str, &Value<O>) -> bool,
    ) -> Result<(), Wrong> {
        check::Check::new(passed_over).root(&self.root, args)
    }

    /// What stands at the top: the arguments as a whole.
    pub(crate) fn shape(&self) -> Shape<'_> {
        Shape::of(&self.root)
    }
}

#[cfg(test)]
mod tests;
