//! What a task is to be made from, as a client says it.

use std::sync::Arc;

use remit_core::event::{Grant, OnUnknown, Origin, SourceFile, TimeLimits};
use remit_core::grant::Need;
use remit_core::{Caveat, Code, Failure, Manifest, Task, TaskId, Value};
use remit_schema::object_capnp::object;

use crate::limits;

/// What a task is to be made from.
#[derive(Default)]
pub struct TaskSpec {
    /// A name for people.
    pub name: String,
    /// The kind of agent.
    pub agent: String,
    /// The program.
    pub source: Vec<SourceFile>,
    /// The file of it that is run.
    pub entry: String,
    /// The second argument of the program.
    pub input: Value,
    /// What an agent node must have.
    pub labels: Vec<String>,
    /// What the task is handed.
    pub grants: Vec<GrantSpec>,
    /// The creation's idempotency key; empty: none.
    pub key: String,
    /// The longest an attempt may compute without waiting, in milliseconds; 0: the node's default.
    pub deadline_ms: u32,
    /// The most memory of an attempt in bytes; 0: the node's default.
    pub memory_bytes: u64,
    /// The name of the export that is run; empty: the default one.
    pub export: String,
    /// The task that spawns it.
    pub parent: Option<TaskId>,
    /// Whether it outlives that task.
    pub detached: bool,
    /// How long it and its parts may take.
    pub limits: TimeLimits,
    /// The id it will have, if that was said before.
    pub id: Option<TaskId>,
}

/// A capability to be handed to a task.
pub struct GrantSpec {
    /// By which the agent sees it.
    pub name: String,
    /// What it stands for.
    pub root: GrantRoot,
    /// Its caveats.
    pub caveats: Vec<Caveat>,
    /// What is done about a call of unknown outcome.
    pub on_unknown: OnUnknown,
}

/// What a grant stands for.
pub enum GrantRoot {
    /// A tool that a tool node serves.
    Tool {
        /// Its name.
        tool: String,
        /// Its version; empty: the newest.
        version: String,
        /// The path below its root.
        path: String,
    },
    /// An object of the creator's own process.
    Own {
        /// The object.
        object: object::Client,
        /// What it says of itself.
        manifest: Arc<Manifest>,
    },
    /// What another task passes on.
    Passed {
        /// Where it is checked and charged first.
        origin: Origin,
        /// The grant there.
        grant: Box<Grant>,
    },
}

/// Bounds on what a client may send, and the mistakes it is likely to make.
pub(super) fn check(spec: &TaskSpec) -> Result<(), Failure> {
    check_program(&spec.source, &spec.entry)?;
    let long = |text: &String| text.len() > remit_core::limits::MAX_NAME_BYTES;
    let wrong = if long(&spec.name)
        || long(&spec.agent)
        || long(&spec.key)
        || long(&spec.export)
        || spec.labels.iter().any(long)
    {
        Some(format!("a name of more than {} bytes", remit_core::limits::MAX_NAME_BYTES))
    } else if spec.labels.len() > limits::LABELS {
        Some(format!("{} labels; at most {} are taken", spec.labels.len(), limits::LABELS))
    } else if spec.input.weight() > remit_core::limits::MAX_VALUE_BYTES {
        Some(format!("an input of more than {} bytes", remit_core::limits::MAX_VALUE_BYTES))
    } else {
        None
    };
    wrong.map_or(Ok(()), |why| Err(Failure::new(Code::InvalidArgument, why)))
}

/// The failure of a caveat, with the name of the grant that has it.
pub(super) fn of_grant(name: &str, failure: Failure) -> Failure {
    if failure.detail.is_empty() || name.is_empty() {
        return failure;
    }
    Failure { message: format!("the grant `{name}`: {}", failure.message), ..failure }
}

/// Refuses grants that require one which the task does not have: they would never be good.
pub(super) fn check_needs(task: &Task) -> Result<(), Failure> {
    let has = |name: &String| task.grants().any(|held| held.grant.name == *name);
    let needs = task.grants().flat_map(|held| {
        held.grant.caveats.iter().filter_map(|caveat| match caveat {
            Caveat::Requires(Need::Grant(name)) => Some((&held.grant.name, name)),
            _ => None,
        })
    });
    match needs.into_iter().find(|(_, name)| !has(name)) {
        Some((grant, name)) => {
            let why = format!(
                "the grant `{grant}` requires the grant `{name}`, and the task is given none of that name"
            );
            Err(Failure::new(Code::InvalidArgument, why))
        }
        None => Ok(()),
    }
}

/// Bounds on a program, and that its entry is there.
pub(super) fn check_program(source: &[SourceFile], entry: &str) -> Result<(), Failure> {
    let bytes: usize = source.iter().map(|file| file.path.len() + file.text.len()).sum();
    let count = source.len();
    let why = if source.iter().all(|file| file.path != entry) {
        format!("the entry `{entry}` is not among the {count} source files")
    } else if count > limits::SOURCE_FILES || bytes > limits::SOURCE_BYTES {
        format!(
            "{count} source files of {bytes} bytes; at most {} of {} are taken",
            limits::SOURCE_FILES,
            limits::SOURCE_BYTES
        )
    } else {
        return Ok(());
    };
    Err(Failure::new(Code::InvalidArgument, why))
}
