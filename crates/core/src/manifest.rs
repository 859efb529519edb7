//! Manifests: what a tool says of its methods, and the hash that pins it.

mod change;
mod schema;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::{Code, Failure};
use crate::limits;
use crate::value::Value;

pub(crate) use schema::{ArgsSchema, Kinds, Shape};

/// What a tool says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// The tool's name, for example `fs`.
    pub tool: String,
    /// Its version, for example `1.2.0`; versions are compared number by number.
    pub version: String,
    /// What it is for, in a sentence.
    pub description: String,
    /// The interface of the root object.
    pub root: String,
    /// The method of the root interface that opens the path given with a grant; empty: none does.
    pub descend: String,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
}

/// A set of methods that some of the tool's objects have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Interface {
    /// Its name, for example `Dir`.
    pub name: String,
    /// What it stands for, in a sentence.
    pub description: String,
    /// Its methods.
    pub methods: Vec<Method>,
}

/// A method.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Method {
    /// Its name, for example `read`.
    pub name: String,
    /// What it does, in a sentence.
    pub description: String,
    /// Its parameters, in positional order.
    pub params: Vec<Param>,
    /// JSON Schema of its arguments, as text.
    pub args_schema: String,
    /// JSON Schema of its result, as text.
    pub result_schema: String,
    /// The interface of the object it returns; empty: it returns none.
    pub returns: String,
    /// It changes nothing.
    pub read_only: bool,
    /// Doing it twice is the same as doing it once.
    pub idempotent: bool,
    /// It may destroy something.
    pub destructive: bool,
    /// Its result depends on its arguments alone.
    pub pure_: bool,
    /// The longest a call may take, in milliseconds; 0: the owner's default.
    pub timeout_ms: u32,
    /// The most that one call costs, in units of the tool's own; 0: it does not say.
    #[serde(default)]
    pub max_cost: u64,
    /// The schema of its arguments, compiled when it is first needed.
    #[serde(skip)]
    pub compiled: Compiled,
}

/// The schema of a method's arguments as it is checked, or what is wrong with it. It follows from
/// the method, so that it makes no difference between two.
#[derive(Debug, Clone, Default)]
pub struct Compiled(OnceLock<Arc<Result<ArgsSchema, String>>>);

impl PartialEq for Compiled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Compiled {}

/// A parameter of a method.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Whether it must be given.
    pub required: bool,
    /// Whether it is a path below the object that the call is made on.
    pub path: bool,
    /// Whether it is itself a value with fields.
    pub fields: bool,
}

/// Whether `text` can stand in a grant as the name or the version of a tool.
///
/// # Errors
/// `invalid-argument` unless it is 1 to 64 of letters, digits, `-`, `_`, `.`, `+`.
pub fn check_name(text: &str) -> Result<(), Failure> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.+".contains(&b);
    if matches!(text.len(), 1..=64) && text.bytes().all(is_allowed) {
        return Ok(());
    }
    let shown: String = text.escape_debug().take(64).collect();
    let why = format!(
        "a tool's name and version are 1 to 64 of letters, digits, `-`, `_`, `.`, `+`, and `{shown}` is not"
    );
    Err(Failure::new(Code::InvalidArgument, why))
}

impl Manifest {
    /// The interface of this name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// The method of this name on this interface.
    pub fn method(&self, interface: &str, method: &str) -> Option<&Method> {
        self.interface(interface)?.methods.iter().find(|m| m.name == method)
    }

    /// Whether the schemas of all methods can be used, within bounds: asked when a tool registers,
    /// and not again.
    pub fn check_schemas(&self) -> Result<(), Failure> {
        let mut patterns = 0;
        for method in self.interfaces.iter().flat_map(|interface| &interface.methods) {
            // Compiled and let go of: most methods of most tools are never called.
            let schema = ArgsSchema::of(method).map_err(|why| {
                let why = format!("{}: the schema of `{}`: {why}", self.tool, method.name);
                Failure::new(Code::InvalidArgument, why).with_detail(method.name.clone())
            })?;
            patterns += schema.patterns();
            if patterns > limits::MAX_MANIFEST_PATTERNS {
                let most = limits::MAX_MANIFEST_PATTERNS;
                let why = format!("{}: its schemas have more than {most} patterns", self.tool);
                return Err(Failure::new(Code::Limit, why));
            }
        }
        Ok(())
    }

    /// The hash that pins the whole manifest, descriptions and annotations included: SHA-256. Every
    /// text goes with its length and every list with its count, so that no two manifests that
    /// differ have the same bytes under it.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"remit manifest 1");
        let Self { tool, version, description, root, descend, interfaces } = self;
        texts(&mut hash, &[tool, version, description, root, descend]);
        count(&mut hash, interfaces.len());
        for Interface { name, description, methods } in interfaces {
            texts(&mut hash, &[name, description]);
            count(&mut hash, methods.len());
            methods.iter().for_each(|method| method.hash_into(&mut hash));
        }
        hash.finalize().into()
    }
}

fn texts(hash: &mut Sha256, texts: &[&str]) {
    for text in texts {
        count(hash, text.len());
        hash.update(text.as_bytes());
    }
}

fn count(hash: &mut Sha256, number: usize) {
    hash.update((number as u64).to_be_bytes());
}

impl Method {
    fn hash_into(&self, hash: &mut Sha256) {
        let Self { name, description, params, args_schema, result_schema, returns, .. } = self;
        let Self { read_only, idempotent, destructive, pure_, timeout_ms, .. } = self;
        texts(hash, &[name, description, args_schema, result_schema, returns]);
        hash.update([*read_only, *idempotent, *destructive, *pure_].map(u8::from));
        hash.update(timeout_ms.to_be_bytes());
        count(hash, params.len());
        for Param { name, required, path, fields } in params {
            texts(hash, &[name]);
            hash.update([*required, *path, *fields].map(u8::from));
        }
        // A method that says nothing of it has the hash that it always had. As the length of a name,
        // which is what may follow otherwise, this would be absurd.
        if self.max_cost > 0 {
            hash.update(b"max-cost");
            hash.update(self.max_cost.to_be_bytes());
        }
    }

    /// The arguments by name. A script may give them by position, as a list: they take the names
    /// of the parameters in order, and fields at the end are named arguments, unless a parameter that
    /// must be given and is itself a value with fields has its place there: one that may be left out
    /// and has fields is given by name only. Nothing at all is no arguments. No argument may be given twice: who checks
    /// one of the two and uses the other would be fooled.
    pub fn named_args<O>(&self, args: Value<O>) -> Result<Vec<(String, Value<O>)>, String> {
        let named = match args {
            Value::Null => Vec::new(),
            Value::Fields(fields) => fields,
            Value::List(items) => self.name_positions(items)?,
            Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Data(_)
            | Value::Object(_)
            | Value::Unsigned(_) => {
                return Err("the arguments are neither a list nor fields".into());
            }
        };
        let mut names = BTreeSet::new();
        match named.iter().find(|(name, _)| !names.insert(name.as_str())) {
            Some((twice, _)) => Err(format!("the argument `{twice}` is given twice")),
            None => Ok(named),
        }
    }

    /// Checks arguments by name against the parameters and the schema: none that the method does not
    /// declare, none missing, each of its kind. What is null and need not be given counts as absent.
    ///
    /// # Errors
    /// `invalid-argument`, whose detail is the way to the argument, for example `filter.days[2]`.
    pub fn check_args<O: PartialEq>(&self, args: &Value<O>) -> Result<(), Failure> {
        let schema = self.schema().map_err(|why| self.unusable(why))?;
        let is_required = |name: &str| {
            let param = self.params.iter().find(|param| param.name == name);
            param.is_none_or(|param| param.required)
        };
        let absent =
            |name: &str, value: &Value<O>| matches!(value, Value::Null) && !is_required(name);
        schema.check(args, &absent).map_err(|wrong| self.wrong(&wrong))?;
        // A schema need not repeat what the manifest says of its parameters.
        let lacks = |param: &&Param| param.required && args.field(&param.name).is_none();
        match self.params.iter().find(lacks) {
            Some(param) => Err(self.missing(&param.name)),
            None => Ok(()),
        }
    }

    /// Whether an argument of this name may be the method's.
    pub(crate) fn may_take(&self, name: &str) -> bool {
        self.schema().is_ok_and(|schema| schema.shape().named(name).is_some())
    }

    /// The schema of its arguments; an error says why it cannot be used.
    pub(crate) fn schema(&self) -> Result<&ArgsSchema, &String> {
        let compile = || Arc::new(ArgsSchema::of(self));
        (**self.compiled.0.get_or_init(compile)).as_ref()
    }

    fn unusable(&self, why: &str) -> Failure {
        let why = format!(
            "the schema of the arguments of `{}` cannot be used, so no call of it is made: {why}",
            self.name
        );
        Failure::new(Code::InvalidArgument, why)
    }

    fn missing(&self, name: &str) -> Failure {
        let all: Vec<&str> = self.params.iter().map(|param| param.name.as_str()).collect();
        let why =
            format!("the argument `{name}` is missing: `{}` takes {}", self.name, all.join(", "));
        Failure::new(Code::InvalidArgument, why).with_detail(name)
    }

    fn wrong(&self, wrong: &schema::Wrong) -> Failure {
        let path = wrong.path();
        let why = match &wrong.why {
            schema::Why::Missing if wrong.is_at_top() => return self.missing(&path),
            schema::Why::Missing => format!("the argument `{path}` is missing"),
            schema::Why::Undeclared(names) => {
                let of = match path.rsplit_once('.') {
                    Some((of, _)) if !wrong.is_at_top() => of,
                    _ => &self.name,
                };
                let takes = match names.is_empty() {
                    true => "no arguments".to_owned(),
                    false => names.join(", "),
                };
                format!("`{of}` has no argument `{path}`: it takes {takes}")
            }
            schema::Why::Other(why) if path.is_empty() => format!("the arguments: {why}"),
            schema::Why::Other(why) => format!("the argument `{path}`: {why}"),
        };
        Failure::new(Code::InvalidArgument, why).with_detail(path)
    }

    fn name_positions<O>(&self, items: Vec<Value<O>>) -> Result<Vec<(String, Value<O>)>, String> {
        let given = items.len();
        let mut named: Vec<(String, Value<O>)> = Vec::new();
        for (position, item) in items.into_iter().enumerate() {
            let param = self.params.get(position);
            match (param, item) {
                (param, Value::Fields(fields))
                    if position + 1 == given && !param.is_some_and(|p| p.fields && p.required) =>
                {
                    named.extend(fields);
                }
                (Some(param), item) => named.push((param.name.clone(), item)),
                (None, _) => {
                    return Err(format!(
                        "{} takes {} arguments, {given} were given",
                        self.name,
                        self.params.len()
                    ));
                }
            }
        }
        Ok(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> Method {
        let param = |name: &str| Param { name: name.into(), ..Param::default() };
        Method {
            name: "read".into(),
            params: vec![param("path"), param("offset")],
            ..Method::default()
        }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn positions_take_the_names_of_the_parameters() {
        let named = read().named_args(Value::List(vec![text("a"), Value::Integer(3)])).unwrap();
        assert_eq!(named, vec![("path".into(), text("a")), ("offset".into(), Value::Integer(3))]);
    }

    #[test]
    fn fields_after_positions_are_named_arguments() {
        let options = Value::Fields(vec![("offset".into(), Value::Integer(3))]);
        let named = read().named_args(Value::List(vec![text("a"), options])).unwrap();
        assert_eq!(named, vec![("path".into(), text("a")), ("offset".into(), Value::Integer(3))]);
    }

    #[test]
    fn an_object_at_the_end_is_the_value_of_a_parameter_that_must_be_given_alone() {
        let fields = |required| Param { name: "more".into(), required, fields: true, path: false };
        let value = Value::Fields(vec![("more".into(), Value::Fields(Vec::new()))]);
        for (required, meant) in [(true, value.clone()), (false, Value::Fields(Vec::new()))] {
            let mut method = read();
            method.params[1] = fields(required);
            let named = method.named_args(Value::List(vec![text("a"), value.clone()])).unwrap();
            assert_eq!(named[1], ("more".into(), meant), "{required}");
        }
    }

    #[test]
    fn more_arguments_than_parameters_are_refused() {
        let many = Value::List(vec![text("a"), text("b"), text("c")]);
        assert!(read().named_args(many).is_err());
    }

    #[test]
    fn an_argument_given_twice_is_refused() {
        let path = Value::Fields(vec![("path".into(), text("b"))]);
        let many = Value::List(vec![text("a"), path]);
        assert!(read().named_args(many).unwrap_err().contains("`path`"));
    }

    #[test]
    fn no_text_passes_for_the_structure_around_it() {
        let with = |params: &[&str], methods: &[&str]| {
            let param = |name: &&str| Param { name: (*name).into(), ..Param::default() };
            let method = |name: &&str| Method {
                name: (*name).into(),
                params: params.iter().map(param).collect(),
                ..Method::default()
            };
            let methods = methods.iter().map(method).collect();
            let interface = Interface { name: "Dir".into(), methods, ..Interface::default() };
            Manifest { interfaces: vec![interface], ..Manifest::default() }.hash()
        };
        let all = [
            with(&[], &["a"]),
            with(&["method"], &["a"]),
            with(&["method", "false false false"], &["a"]),
            with(&[], &["a", "method"]),
            with(&["a"], &["a", "a"]),
        ];
        assert_eq!(BTreeSet::from(all).len(), all.len());
    }

    #[test]
    fn any_change_of_a_manifest_changes_its_hash() {
        let interface =
            Interface { name: "Dir".into(), methods: vec![read()], ..Interface::default() };
        let one =
            Manifest { tool: "fs".into(), interfaces: vec![interface], ..Manifest::default() };
        let mut two = one.clone();
        two.interfaces[0].methods[0].params[0].path = true;
        assert_ne!(one.hash(), two.hash());
    }
}
