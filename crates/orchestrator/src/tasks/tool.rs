//! What the built-in tool `tasks` says of itself.

pub(crate) mod object;

use std::sync::{Arc, LazyLock};

use remit_core::grant::guard::{Guard, Literal, Step, Test};
use remit_core::manifest::{Interface, Method, Param};
use remit_core::{Caveat, Code, Failure, Manifest};

/// The tool's name.
pub const NAME: &str = "tasks";

/// The path of a grant whose holder may spawn tasks that outlive its own.
const DETACHED: &str = "detached";

/// What a grant of the tool with this path is bound by, whatever else it says.
pub(super) fn bound(path: &str) -> Result<Option<Caveat>, Failure> {
    match path {
        "" => Ok(Some(Caveat::Argument(Guard {
            at: vec![Step::Name("detached".into())],
            optional: true,
            test: Test::Equals(Literal::Bool(false)),
        }))),
        DETACHED => Ok(None),
        _ => {
            let why = format!(
                "`{NAME}:{path}` cannot be granted: write `{NAME}`, or `{NAME}:{DETACHED}` if the tasks that it spawns may outlive it"
            );
            Err(Failure::new(Code::InvalidArgument, why))
        }
    }
}

/// The manifest, which is the same for as long as the program is.
pub static MANIFEST: LazyLock<Arc<Manifest>> = LazyLock::new(|| {
    Arc::new(Manifest {
        tool: NAME.into(),
        version: "1.0.0".into(),
        description: "Spawns tasks, which hold what they are passed and nothing else".into(),
        root: "Tasks".into(),
        descend: String::new(),
        interfaces: vec![tasks(), task()],
    })
});

/// Fields of `spawn`, with their JSON Schemas and what they mean.
const SPAWN: [(&str, &str, &str); 13] = [
    ("source", r#""type":"string""#, "the program, one module; else `export` of this task's own"),
    (
        "export",
        r#""type":"string""#,
        "the exported function that is run; the default one if absent",
    ),
    ("input", "", "what the program is given beside `remit`"),
    ("grants", r#""type":"object""#, "objects that the task will hold, by name"),
    ("name", r#""type":"string""#, "a name for people"),
    ("agent", r#""type":"string""#, "the kind of agent; as this task's if absent"),
    ("labels", r#""type":"array""#, "what the agent node must have; as this task's if absent"),
    (
        "detached",
        r#""type":"boolean""#,
        "whether it outlives this task; the grant must be `tasks:detached`",
    ),
    ("deadlineMs", r#""type":"integer""#, "the longest it may compute between two awaits"),
    ("memoryBytes", r#""type":"integer""#, "the most memory it may use"),
    ("timeLimitMs", r#""type":"integer""#, "the longest it may take in all"),
    ("attemptLimitMs", r#""type":"integer""#, "the longest one attempt may take"),
    ("callTimeoutMs", r#""type":"integer""#, "the longest one of its calls may take"),
];

fn tasks() -> Interface {
    let fields: Vec<String> = SPAWN
        .iter()
        .map(|(name, schema, what)| {
            let comma = if schema.is_empty() { "" } else { "," };
            format!(r#""{name}":{{{schema}{comma}"description":"{what}"}}"#)
        })
        .collect();
    let spawn = Method {
        name: "spawn".into(),
        description: "Starts a task. It is cancelled when this one ends, unless it is detached"
            .into(),
        params: params(&SPAWN.map(|(name, ..)| name), &["input", "grants"]),
        args_schema: format!(
            r#"{{"type":"object","properties":{{{}}},"additionalProperties":false}}"#,
            fields.join(",")
        ),
        result_schema: r#"{"type":"object","properties":{"id":{"type":"string"},"detached":{"type":"boolean"}}}"#.into(),
        returns: "Task".into(),
        idempotent: true,
        ..Method::default()
    };
    Interface { name: "Tasks".into(), description: "Makes tasks".into(), methods: vec![spawn] }
}

fn task() -> Interface {
    let method = |name: &str, description: &str| Method {
        name: name.into(),
        description: description.into(),
        ..Method::default()
    };
    let looks = |name: &str, description: &str| Method {
        read_only: true,
        idempotent: true,
        ..method(name, description)
    };
    let acts = |name: &str, description: &str, fields: &[&str], values: &[&str]| Method {
        params: params(fields, values),
        idempotent: true,
        ..method(name, description)
    };
    Interface {
        name: "Task".into(),
        description: "A task that this one spawned".into(),
        methods: vec![
            looks("result", "Waits until it has ended: what it returned, or its failure"),
            looks("info", "Where it stands now: id, name, status, events, calls, detail"),
            Method {
                params: params(&["after"], &[]),
                ..looks(
                    "events",
                    "Its events after a number, at most a hundred, as plain data; waits for one, or for its end",
                )
            },
            acts(
                "send",
                "Gives it input; `steer`: for what it does now",
                &["value", "steer"],
                &["value"],
            ),
            acts("cancel", "Ends it", &["reason"], &[]),
            acts("grant", "Passes it one more object", &["name", "object"], &[]),
        ],
    }
}

fn params(names: &[&str], values: &[&str]) -> Vec<Param> {
    names
        .iter()
        .map(|&name| Param {
            name: name.into(),
            required: false,
            path: false,
            fields: values.contains(&name),
        })
        .collect()
}
