//! A call as the caveats see it: its arguments by name, its paths normalised, where it acts.

use std::borrow::Cow;

use super::{Caveat, Checker, path, text};
use crate::failure::{Code, Failure};
use crate::manifest::Method;
use crate::value::Value;

/// A call as the caveats see it.
#[derive(Debug, Clone, Default)]
pub struct ResolvedCall {
    /// The arguments by name, paths normalised.
    pub args: Value,
    /// Where the call acts, seen from the grant's root; empty: the root itself.
    pub path: String,
    /// The interface of the object that it returns; empty: none is promised.
    pub returns: String,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// Whether doing it twice is the same as doing it once.
    pub idempotent: bool,
    /// Whether it can destroy something.
    pub destructive: bool,
    /// The most that it costs; 0: the method does not say.
    pub max_cost: u64,
    /// Whether a manifest says what the arguments are called.
    pub(crate) described: bool,
    /// Which arguments are paths.
    pub(crate) path_args: Vec<String>,
    /// Where it acts, seen from the grant's root: at each path argument, or else where the object
    /// stands.
    pub(crate) paths: Vec<String>,
    /// Where the object stands, from which the paths among the arguments are seen.
    pub(crate) place: String,
}

impl ResolvedCall {
    /// A call of `method` with these arguments, on an object at `place`, seen from its grant's root;
    /// `None`: nobody can tell where that is.
    pub fn of(method: &Method, args: Value, place: Option<&str>) -> Result<Self, Failure> {
        let invalid = |why: String| Failure::new(Code::InvalidArgument, why);
        let named = Value::Fields(method.named_args(args).map_err(invalid)?);
        method.check_args(&named)?;
        let Value::Fields(mut args) = named else { return Err(invalid("no arguments".into())) };
        let (mut paths, mut path_args) = (Vec::new(), Vec::new());
        for (name, value) in &mut args {
            if method.params.iter().any(|param| param.path && param.name == *name) {
                path_args.push(name.clone());
                let wrong = |why| invalid(why).with_detail(name.clone());
                let given = normalised(value).map_err(wrong)?;
                if let Some(place) = place {
                    let join = |given: &String| path::join(place, given);
                    let seen = given.iter().map(join).collect::<Result<Vec<_>, _>>();
                    paths.extend(seen.map_err(|bad| wrong(bad.to_string()))?);
                }
            }
        }
        if paths.is_empty() {
            paths.extend(place.map(str::to_owned));
        }
        Ok(Self {
            args: Value::Fields(args),
            path: paths.first().cloned().unwrap_or_default(),
            returns: method.returns.clone(),
            read_only: method.read_only,
            idempotent: method.idempotent,
            destructive: method.destructive,
            max_cost: method.max_cost,
            described: place.is_some(),
            path_args,
            paths,
            place: place.unwrap_or_default().to_owned(),
        })
    }

    /// The arguments as the caveats of an ancestor see them, to whose root `way` is the way. `None`:
    /// nobody can tell what they are called.
    pub(crate) fn args_for(&self, checker: &Checker, way: &str) -> Option<Cow<'_, Value>> {
        self.described.then(|| match checker.looks_at_args() {
            true => self.args_seen_from(way),
            false => Cow::Borrowed(&self.args),
        })
    }

    /// The paths as seen from an ancestor's root, to which `way` is the way.
    pub(crate) fn paths_seen_from(&self, way: &str) -> Result<Cow<'_, [String]>, Failure> {
        seen_from(way, &self.paths)
    }

    /// The arguments with their paths as seen from an ancestor's root, to which `between` is the
    /// way.
    fn args_seen_from(&self, between: &str) -> Cow<'_, Value> {
        let Value::Fields(fields) = &self.args else { return Cow::Borrowed(&self.args) };
        if self.path_args.is_empty() || (between.is_empty() && self.place.is_empty()) {
            return Cow::Borrowed(&self.args);
        }
        let seen = |path: &str| {
            // Both were joined once already, so that neither can be too long or leave its base.
            let whole = path::join(&self.place, path).and_then(|path| path::join(between, &path));
            Value::Text(whole.unwrap_or_default())
        };
        let moved = |value: &Value| match value {
            Value::Text(path) => seen(path),
            Value::List(paths) => {
                Value::List(paths.iter().filter_map(Value::as_text).map(seen).collect())
            }
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Unsigned(_)
            | Value::Float(_)
            | Value::Data(_)
            | Value::Fields(_)
            | Value::Object(_) => value.clone(),
        };
        let field = |(name, value): &(String, Value)| {
            let value = if self.path_args.contains(name) { moved(value) } else { value.clone() };
            (name.clone(), value)
        };
        Cow::Owned(Value::Fields(fields.iter().map(field).collect()))
    }
}

/// The paths in a path-typed argument: one, several or none. They are normalised where they stand,
/// so that the tool gets what was checked.
fn normalised(value: &mut Value) -> Result<Vec<String>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Text(given) => {
            *given = path::join("", given).map_err(|bad| bad.to_string())?;
            Ok(vec![given.clone()])
        }
        Value::List(items) if items.iter().all(|item| matches!(item, Value::Text(_))) => {
            let each = items.iter_mut().map(normalised).collect::<Result<Vec<_>, _>>()?;
            Ok(each.into_iter().flatten().collect())
        }
        Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Data(_)
        | Value::List(_)
        | Value::Fields(_)
        | Value::Object(_)
        | Value::Unsigned(_) => Err("a path is text, and several are a list of texts".into()),
    }
}

/// The way from an ancestor's root `root` to the root `from` of a grant below it, both seen from
/// the tool's.
pub(crate) fn between<'a>(root: &str, from: &'a str) -> Result<&'a str, Failure> {
    if path::is_within(from, root) {
        return Ok(from[root.len()..].trim_start_matches('/'));
    }
    let why = format!("`{from}` is not within `{root}`, from which it was narrowed");
    Err(Failure::new(Code::Denied, why).with_detail(text::caveat_text(&Caveat::Path(root.into()))))
}

/// Paths as seen from an ancestor's root, to which `between` is the way.
fn seen_from<'a>(between: &str, paths: &'a [String]) -> Result<Cow<'a, [String]>, Failure> {
    if between.is_empty() {
        return Ok(Cow::Borrowed(paths));
    }
    let long = |bad: path::BadPath| Failure::new(Code::InvalidArgument, bad.to_string());
    let seen = paths.iter().map(|path| path::join(between, path).map_err(long));
    seen.collect::<Result<_, _>>().map(Cow::Owned)
}
