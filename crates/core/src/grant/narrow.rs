//! Narrowing, checked by machine: whether the caveats of a grant claim no more than those of the
//! grant it is narrowed from.
//!
//! Ancestors apply to every call whatever a child says, so nothing depends on this for safety. It
//! keeps a grant from promising what it will not keep. A caveat of the parent that the child says
//! nothing about is inherited. One that the child does speak of must be implied by what it says.

use super::guard::{Guard, Literal, Number, Ready, Span, Step, Test};
use super::{Caveat, path};
use crate::manifest::{Manifest, Method};

/// How the child stands to its parent.
#[derive(Debug, Clone, Copy)]
pub struct Relation<'a> {
    /// The child's root, seen from the parent's.
    pub below: &'a str,
    /// How many times the child was narrowed from it, itself included.
    pub distance: u32,
    /// What the tool's methods are.
    pub manifest: &'a Manifest,
}

/// A caveat that allows more than the one above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAttenuated {
    /// The child's.
    pub child: Caveat,
    /// The parent's.
    pub parent: Caveat,
}

/// The first caveat of `child` that is not shown to be within one of `parent`, of which it speaks.
pub fn not_attenuated(
    parent: &[Caveat],
    child: &[Caveat],
    relation: &Relation<'_>,
) -> Option<NotAttenuated> {
    parent.iter().find_map(|above| {
        let speaks = |below: &&Caveat| within(below, above, relation).is_some();
        let first = child.iter().find(speaks)?;
        let implied = child.iter().any(|below| within(below, above, relation) == Some(true));
        (!implied).then(|| NotAttenuated { child: first.clone(), parent: above.clone() })
    })
}

/// Whether whatever `child` allows, `parent` allows as well. `None`: they speak of different things,
/// and both apply.
pub fn within(child: &Caveat, parent: &Caveat, relation: &Relation<'_>) -> Option<bool> {
    use Caveat as C;
    let all_of = |these: &[String], those: &[String]| these.iter().all(|name| those.contains(name));
    Some(match (child, parent) {
        (C::Methods(these), C::Methods(those)) => {
            these.iter().all(|name| allows_method(those, name, relation.manifest))
        }
        (C::Path(this), C::Path(that)) => {
            path::join(relation.below, this).is_ok_and(|whole| path::is_within(&whole, that))
        }
        (C::Argument(this), C::Argument(that)) => return guard_within(this, that, relation),
        (C::Facet(these), C::Facet(those)) | (C::Audience(these), C::Audience(those)) => {
            all_of(these, those)
        }
        (C::ResultBytes(this), C::ResultBytes(that))
        | (C::Expires(this), C::Expires(that))
        | (C::IdleExpiry(this), C::IdleExpiry(that))
        | (C::Calls(this), C::Calls(that))
        | (C::BytesIn(this), C::BytesIn(that))
        | (C::BytesOut(this), C::BytesOut(that))
        | (C::Cost(this), C::Cost(that)) => this <= that,
        (C::NotBefore(this), C::NotBefore(that)) => this >= that,
        (C::Concurrency(this), C::Concurrency(that)) => this <= that,
        (C::DelegationDepth(this), C::DelegationDepth(that)) => {
            this.saturating_add(relation.distance) <= *that
        }
        (C::Rate(this), C::Rate(that)) => {
            let per_time = |of: u32, per_ms: u64| u128::from(of) * u128::from(per_ms);
            this.count <= that.count
                && per_time(this.count, that.per_ms) <= per_time(that.count, this.per_ms)
        }
        // The same of the same method.
        (C::Only(this, below), C::Only(that, above)) if this == that => {
            return within(below, above, relation);
        }
        // What is said of one method must not claim more than is allowed to all, and leaves the rest
        // to what is said of all.
        (C::Only(_, below), above) if within(below, above, relation) == Some(false) => false,
        // Of everything else each side speaks for itself, and both apply.
        (
            C::Methods(_)
            | C::Path(_)
            | C::Argument(_)
            | C::Cel(_)
            | C::ResultBytes(_)
            | C::NoObjects
            | C::Facet(_)
            | C::NotBefore(_)
            | C::Expires(_)
            | C::IdleExpiry(_)
            | C::Calls(_)
            | C::BytesIn(_)
            | C::BytesOut(_)
            | C::Rate(_)
            | C::Concurrency(_)
            | C::Cost(_)
            | C::Audience(_)
            | C::DelegationDepth(_)
            | C::RequiresApproval(_)
            | C::Requires(_)
            | C::Label(_)
            | C::Direct
            | C::Only(..)
            | C::Unknown(_),
            _,
        ) => return None,
    })
}

/// Whether a list of methods and classes allows everything that a name, or a class, stands for.
fn allows_method(list: &[String], name: &str, manifest: &Manifest) -> bool {
    let has = |name: &str| list.iter().any(|one| one == name);
    if has(name) || (name == "readOnly" && has("idempotent")) {
        return true;
    }
    let mut methods = methods(manifest).filter(|method| method.name == name).peekable();
    methods.peek().is_some()
        && methods.all(|method| {
            (method.read_only && (has("readOnly") || has("idempotent")))
                || (method.idempotent && has("idempotent"))
        })
}

fn methods(manifest: &Manifest) -> impl Iterator<Item = &Method> {
    manifest.interfaces.iter().flat_map(|interface| &interface.methods)
}

/// Two guards speak of the same thing if they look at the same place with the same kind of test,
/// or if the child names the values it allows, each of which can be tried.
fn guard_within(child: &Guard, parent: &Guard, relation: &Relation<'_>) -> Option<bool> {
    let kind = std::mem::discriminant::<Test>;
    let named = matches!(child.test, Test::Equals(_) | Test::OneOf(_));
    if child.at != parent.at || !(named || kind(&child.test) == kind(&parent.test)) {
        return None;
    }
    if child.optional && !parent.optional {
        return Some(false);
    }
    let params = || {
        methods(relation.manifest)
            .flat_map(|method| &method.params)
            .filter(|param| child.argument().is_none_or(|name| name == param.name))
    };
    // What no manifest describes could be either.
    let as_path = params().any(|param| param.path);
    let as_value = !as_path || params().any(|param| !param.path);
    let is_path = as_path.then(|| test_within(&child.test, parent, Some(relation.below)));
    let is_value = as_value.then(|| test_within(&child.test, parent, None));
    Some(is_path.unwrap_or(true) && is_value.unwrap_or(true))
}

/// Whether every value that passes `child` passes the parent's test. `below`: the values are paths,
/// and the child's are seen from there.
fn test_within(child: &Test, parent: &Guard, below: Option<&str>) -> bool {
    let moved = below.is_some_and(|below| !below.is_empty());
    match (child, &parent.test) {
        (Test::Equals(one), _) => passes(std::slice::from_ref(one), parent, below),
        (Test::OneOf(all), _) => passes(all, parent, below),
        (Test::Prefix(this), Test::Prefix(that)) => prefix_within(this, that, below),
        (Test::Range(min, max), Test::Range(least, most)) => {
            bound_within(*min, *least, Number::compare)
                && bound_within(*max, *most, |a, b| b.compare(a))
        }
        (Test::Length(this), Test::Length(that)) => !moved && span_within(*this, *that),
        (Test::Count(this), Test::Count(that)) => span_within(*this, *that),
        (Test::Glob(this), Test::Glob(that)) => !moved && (this == that || that == "**"),
        // Whether one regular expression is within another is not worth the time to find out.
        (Test::Regex(this), Test::Regex(that)) => !moved && this == that,
        (Test::List(this), Test::List(that)) => !moved && this == that,
        (Test::Keys(this), Test::Keys(that)) => this.iter().all(|name| that.contains(name)),
        (
            Test::Prefix(_)
            | Test::Range(..)
            | Test::Length(_)
            | Test::Count(_)
            | Test::Glob(_)
            | Test::Regex(_)
            | Test::List(_)
            | Test::Keys(_),
            _,
        ) => false,
    }
}

/// Whether each of some values passes the parent's guard.
fn passes(values: &[Literal], parent: &Guard, below: Option<&str>) -> bool {
    let whole = Guard { at: vec![Step::Each], optional: false, test: parent.test.clone() };
    let Ok(ready) = Ready::new(&whole) else { return false };
    values.iter().all(|literal| {
        // A null passes where the argument may be missing, and is nothing to look at where not.
        let value = match (literal, below) {
            (Literal::Text(text), Some(below)) => match path::join(below, text) {
                // A path that is not normalised equals none.
                Ok(whole) if path::join("", text).as_ref() == Ok(text) => Literal::Text(whole),
                _ => return true,
            },
            (literal, _) => literal.clone(),
        };
        let list = crate::value::Value::List(vec![value.to_value()]);
        ready.check(&list, |_| below.is_some()).is_ok()
    })
}

fn prefix_within(child: &str, parent: &str, below: Option<&str>) -> bool {
    let Some(below) = below else { return child.starts_with(parent) };
    let whole = match (below.is_empty(), child.is_empty()) {
        (true, _) => child.to_owned(),
        (false, true) => below.to_owned(),
        (false, false) => format!("{below}/{child}"),
    };
    // Text beginning so, at or below a place: both halves of how a path is tested.
    whole.starts_with(parent)
        && path::is_within(whole.trim_end_matches('/'), parent.trim_end_matches('/'))
}

/// Whether a bound is at least as tight as another; `None` is no bound.
fn bound_within(
    this: Option<Number>,
    that: Option<Number>,
    compare: impl Fn(Number, Number) -> std::cmp::Ordering,
) -> bool {
    match (this, that) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(this), Some(that)) => compare(this, that).is_ge(),
    }
}

const fn span_within(this: Span, that: Span) -> bool {
    this.min >= that.min && this.max <= that.max
}
