//! Random caveats and calls, of so few words that they meet.

use proptest::collection::vec;
use proptest::prelude::*;
use remit_core::grant::{Caveat, Guard, Literal, Need, Number, Rate, Span, Step, Test};
use remit_core::manifest::Manifest;
use remit_core::{ObjectId, TaskId, Value};

use super::world;

/// A call as the caveats of a grant see it. Paths are seen from the grant's root.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) read_only: bool,
    pub(crate) idempotent: bool,
    pub(crate) returns: String,
    pub(crate) args: Vec<(String, Value)>,
    /// Where the object stands.
    pub(crate) place: String,
    pub(crate) path_args: Vec<String>,
    pub(crate) user: &'static str,
    pub(crate) now_ms: u64,
    /// The times of the calls before it, and how many of them are in flight.
    pub(crate) before: Vec<u64>,
    pub(crate) in_flight: u32,
    /// Whether the grant and the task that may be required are alive.
    pub(crate) alive: [bool; 2],
    /// What it returns, and the interface of the object beside it.
    pub(crate) result: Value,
    pub(crate) object: Option<&'static str>,
}

impl Call {
    /// Whether something that may be required is alive.
    pub(crate) fn lives(&self, need: &Need) -> bool {
        self.alive[usize::from(matches!(need, Need::Task(_)))]
    }

    /// Where it acts.
    pub(crate) fn paths(&self) -> Vec<String> {
        let given = self.args.iter().filter(|(name, _)| self.path_args.contains(name));
        let each = given.flat_map(|(_, value)| match value {
            Value::Text(path) => vec![path.clone()],
            Value::List(items) => {
                items.iter().filter_map(Value::as_text).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        });
        let paths: Vec<String> = each.collect();
        if paths.is_empty() { vec![self.place.clone()] } else { paths }
    }

    /// The same call as seen from a root further up.
    pub(crate) fn seen_from_above(&self, below: &str) -> Self {
        let join = |path: &str| Value::Text(remit_core::grant::path::join(below, path).unwrap());
        let moved = |value: &Value| match value {
            Value::Text(path) => join(path),
            Value::List(items) => {
                Value::List(items.iter().filter_map(Value::as_text).map(join).collect())
            }
            other => other.clone(),
        };
        let arg = |(name, value): &(String, Value)| {
            let value = if self.path_args.contains(name) { moved(value) } else { value.clone() };
            (name.clone(), value)
        };
        Self { args: self.args.iter().map(arg).collect(), place: below.into(), ..self.clone() }
    }
}

/// A call of the tool that [`manifest`] describes.
pub(crate) fn call() -> impl Strategy<Value = Call> {
    let methods = prop::sample::select(manifest().interfaces[0].methods.clone());
    let words = (path(), path(), vec(path(), 0..3), text(), number_value());
    let times = (vec(0..60_u64, 0..6), 0..200_u64, 0..4_u32);
    let user = prop::sample::select(&["task", "ann", "bob"][..]);
    let alive = prop::sample::select(&[[true; 2], [true; 2], [true, false], [false, true]][..]);
    (methods, words, (times, alive, result()), user, any::<[bool; 2]>()).prop_map(
        |(method, (path, other, paths, text, number), (times, alive, result), user, given)| {
            let (before, now_ms, in_flight) = times;
            let value = |name: &str| match name {
                "path" => Value::Text(path.clone()),
                "paths" if given[1] => {
                    Value::List(paths.iter().cloned().map(Value::Text).collect())
                }
                "paths" => Value::Text(other.clone()),
                "text" => Value::Text(text.clone()),
                _ => number.clone(),
            };
            let named = method.params.iter().filter(|param| param.name != "offset" || given[0]);
            Call {
                args: named.map(|param| (param.name.clone(), value(&param.name))).collect(),
                path_args: method
                    .params
                    .iter()
                    .filter(|p| p.path)
                    .map(|p| p.name.clone())
                    .collect(),
                place: String::new(),
                read_only: method.read_only,
                idempotent: method.idempotent,
                returns: method.returns,
                method: method.name,
                user,
                now_ms: 100 + now_ms,
                before: before.into_iter().map(|at| 40 + at).collect(),
                in_flight,
                alive,
                result: result.0,
                object: result.1,
            }
        },
    )
}

/// What a call returns, and the interface of the object beside it.
fn result() -> impl Strategy<Value = (Value, Option<&'static str>)> {
    let object = || Value::Object(ObjectId::Grant(remit_core::GrantId(1)));
    let value = prop_oneof![
        6 => (0..60_usize).prop_map(|bytes| Value::Text("x".repeat(bytes))),
        1 => Just(object()),
        1 => Just(Value::List(vec![Value::Fields(vec![("it".into(), object())])])),
    ];
    let beside = vec![None, None, None, Some("Dir"), Some("File"), Some("")];
    (value, prop::sample::select(beside))
}

/// The tool of the calls: one of each kind of argument, and one name that is a path to one method
/// and none to another.
pub(crate) fn manifest() -> Manifest {
    let mut manifest = world::manifest();
    let methods = &mut manifest.interfaces[0].methods;
    let mut tag = methods[1].clone();
    tag.name = "tag".into();
    tag.idempotent = true;
    tag.params[0].path = false;
    methods.push(tag);
    manifest
}

fn path() -> impl Strategy<Value = String> {
    let part = prop::sample::select(&["a", "b", "ab"][..]);
    vec(part, 0..4).prop_map(|parts| parts.join("/"))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![path(), "[ab/\n]{0,4}", Just("5".to_owned())]
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        (-3..6_i64).prop_map(Number::Integer),
        (-6..12_i64).prop_map(|half| Number::Float(half as f64 / 2.0)),
        prop::sample::select(vec![Number::Integer(i64::MAX), Number::Float(9.3e18)]),
    ]
}

fn number_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => number().prop_map(|number| match number {
            Number::Integer(i) => Value::Integer(i),
            Number::Float(x) => Value::Float(x),
        }),
        1 => Just(Value::Null),
        1 => text().prop_map(Value::Text),
    ]
}

fn guard() -> impl Strategy<Value = Guard> {
    let at = prop_oneof![
        6 => prop::sample::select(&["path", "text", "offset", "paths"][..])
            .prop_map(|name| vec![Step::Name(name.into())]),
        2 => Just(vec![Step::Name("paths".into()), Step::Each]),
        1 => Just(vec![Step::Each]),
    ];
    let literal = || {
        prop_oneof![
            4 => text().prop_map(Literal::Text),
            3 => number().prop_map(Literal::Number),
            1 => Just(Literal::Null),
        ]
    };
    let bound = || prop::option::of(number());
    let span = || {
        (0..3_u64, prop_oneof![0..6_u64, Just(u64::MAX)]).prop_map(|(min, max)| Span { min, max })
    };
    let prefix = || prop_oneof![4 => text(), 1 => path().prop_map(|path| format!("{path}/"))];
    let glob = prop::sample::select(&["**", "*", "a*", "a/**", "*/b", "a/b", "**/b"][..]);
    let regex = prop::sample::select(&["a.*", "[ab]+", "a|b", ".*", "a/b"][..]);
    let test = prop_oneof![
        2 => literal().prop_map(Test::Equals),
        2 => vec(literal(), 0..4).prop_map(Test::OneOf),
        4 => prefix().prop_map(Test::Prefix),
        2 => glob.prop_map(|glob| Test::Glob(glob.into())),
        1 => regex.prop_map(|regex| Test::Regex(regex.into())),
        2 => (bound(), bound()).prop_map(|(min, max)| Test::Range(min, max)),
        2 => span().prop_map(Test::Length),
        1 => span().prop_map(Test::Count),
        1 => vec(literal(), 0..3).prop_map(Test::List),
        1 => vec(text(), 0..3).prop_map(Test::Keys),
    ];
    (at, any::<bool>(), test).prop_map(|(at, optional, test)| Guard { at, optional, test })
}

/// One caveat, now and then of one method alone.
pub(crate) fn caveat() -> impl Strategy<Value = Caveat> {
    let method = prop::sample::select(&["read", "write", "stage", "list"][..]);
    prop_oneof![
        5 => whole(),
        1 => (method, whole()).prop_map(|(method, inner)| {
            Caveat::Only(method.to_owned(), Box::new(inner))
        }),
    ]
}

/// One of all methods. Those that refuse almost every call are rare.
fn whole() -> impl Strategy<Value = Caveat> {
    let classes = ["readOnly", "idempotent", "read", "write", "dir", "list", "stage", "tag"];
    let methods = || {
        let name = prop::sample::select(classes.to_vec());
        vec(name.prop_map(str::to_owned), 1..5)
    };
    let users =
        vec(prop::sample::select(&["task", "ann", "bob"][..]).prop_map(str::to_owned), 1..4);
    let rate = (1..5_u32, prop::sample::select(&[10_u64, 50, 100][..]));
    prop_oneof![
        4 => methods().prop_map(Caveat::Methods),
        4 => path().prop_map(Caveat::Path),
        14 => guard().prop_map(Caveat::Argument),
        1 => prop::sample::select(&["user == 'task'", "method != 'read'"][..])
            .prop_map(|source| Caveat::Cel(source.into())),
        1 => Just(Caveat::NoObjects),
        2 => vec(prop::sample::select(&["Dir", "File"][..]).prop_map(str::to_owned), 0..3)
            .prop_map(Caveat::Facet),
        2 => (0..80_u64).prop_map(Caveat::ResultBytes),
        2 => (90..200_u64).prop_map(Caveat::NotBefore),
        2 => (150..320_u64).prop_map(Caveat::Expires),
        2 => (20..200_u64).prop_map(Caveat::IdleExpiry),
        2 => (0..8_u64).prop_map(Caveat::Calls),
        1 => (0..2_000_u64).prop_map(Caveat::BytesIn),
        2 => (0..800_u64).prop_map(Caveat::BytesOut),
        2 => rate.prop_map(|(count, per_ms)| Caveat::Rate(Rate { count, per_ms })),
        2 => (0..5_u32).prop_map(Caveat::Concurrency),
        1 => (0..4_u64).prop_map(Caveat::Cost),
        1 => users.prop_map(Caveat::Audience),
        1 => (0..4_u32).prop_map(Caveat::DelegationDepth),
        1 => methods().prop_map(Caveat::RequiresApproval),
        1 => prop_oneof![
            Just(Need::Grant("other".into())),
            Just(Need::Task(TaskId::from_bytes([7; 16]))),
        ]
        .prop_map(Caveat::Requires),
        1 => Just(Caveat::Direct),
        1 => Just(Caveat::Label("x".into())),
        1 => Just(Caveat::Unknown("moon=full".into())),
    ]
}
