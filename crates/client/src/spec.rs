//! The specification of a task: its program, its limits and its grants.

use remit_core::event::{OnUnknown, SourceFile, TimeLimits};
use remit_core::grant::text::GrantText;
use remit_core::{CallNumber, Caveat, EventNumber, Value};

use crate::own::OwnObject;

/// The program of a task that is forked from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProgram {
    /// The files of the program.
    pub source: Vec<SourceFile>,
    /// The path, among `source`, of the file that is run.
    pub entry: String,
}

/// Another program for a running task.
#[derive(Debug, Clone)]
pub struct Upgrade {
    /// The files of the program.
    pub source: Vec<SourceFile>,
    /// The path, among `source`, of the file that is run.
    pub entry: String,
    /// The event after which the new program need not repeat what the old one did; 0: it must
    /// repeat everything.
    pub at: EventNumber,
    /// Calls after that event that may be repeated although they are neither read-only nor
    /// idempotent.
    pub again: Vec<CallNumber>,
    /// Whether to try only: the task is neither changed nor paused.
    pub dry_run: bool,
}

/// The specification of a task.
///
/// ```
/// use remit_client::{GrantSpec, TaskSpec};
///
/// let spec = TaskSpec::script("hello", "export default async () => 'hello';")
///     .grant(GrantSpec::parse("src", "fs:src?methods=readOnly", 0)?);
/// assert_eq!(spec.entry, "main.ts");
/// # Ok::<(), remit_client::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TaskSpec {
    /// The task's name, for people. It need not be unique.
    pub name: String,
    /// The kind of agent, for example `script`.
    pub agent: String,
    /// The files of the program.
    pub source: Vec<SourceFile>,
    /// The path, among `source`, of the file that is run.
    pub entry: String,
    /// The second argument of the program.
    pub input: Value,
    /// The capabilities of the task. A task without grants can reach nothing.
    pub grants: Vec<GrantSpec>,
    /// The labels that an agent node must have to run this task.
    pub labels: Vec<String>,
    /// The longest time that the agent may compute between two awaits, in milliseconds; 0: the
    /// node's default.
    pub deadline_ms: u32,
    /// The agent's memory limit in bytes; 0: the node's default.
    pub memory_bytes: u64,
    /// Time limits of the task, of one attempt and of one call, in milliseconds. An overrun ends
    /// with the code `timed-out`. 0: no limit; for a call, the orchestrator's default.
    pub limits: TimeLimits,
}

impl TaskSpec {
    /// A script of one file, `main.ts`, without grants.
    pub fn script(name: impl Into<String>, text: impl Into<String>) -> Self {
        let entry = "main.ts".to_owned();
        Self {
            name: name.into(),
            agent: "script".into(),
            source: vec![SourceFile { path: entry.clone(), text: text.into() }],
            entry,
            input: Value::Null,
            grants: Vec::new(),
            labels: Vec::new(),
            deadline_ms: 0,
            memory_bytes: 0,
            limits: TimeLimits::default(),
        }
    }

    /// Adds a grant.
    #[must_use]
    pub fn grant(mut self, grant: GrantSpec) -> Self {
        self.grants.push(grant);
        self
    }

    /// Sets the input.
    #[must_use]
    pub fn input(mut self, input: Value) -> Self {
        self.input = input;
        self
    }
}

/// A capability to hand to a task.
#[derive(Debug, Clone)]
pub struct GrantSpec {
    /// The name by which the agent sees it: `remit.<name>`.
    pub name: String,
    /// The object that the grant leads to.
    pub root: GrantRoot,
    /// Conditions on the use of the grant; all must hold.
    pub caveats: Vec<Caveat>,
    /// The policy for a call of unknown outcome.
    pub on_unknown: OnUnknown,
}

/// The object that a grant leads to.
#[derive(Debug, Clone)]
pub enum GrantRoot {
    /// A tool that is registered with the mesh.
    Tool {
        /// The tool's name, for example `fs`.
        tool: String,
        /// The tool's version; empty: the newest.
        version: String,
        /// A path below the tool's root; empty: the root.
        path: String,
    },
    /// An object of the caller's own process. It lives as long as the caller's connection.
    Own(OwnObject),
}

impl GrantSpec {
    /// Parses a grant from its text form, `tool[@version][:path][?caveat&caveat...]`, for example
    /// `fs:src?methods=read,list&calls=100&until=10m`. `now_ms`, in milliseconds since 1970, is the
    /// start of relative times such as `until=10m`. `docs/caveats.md` lists all caveats.
    ///
    /// ```
    /// use remit_client::{GrantRoot, GrantSpec};
    ///
    /// let grant = GrantSpec::parse("src", "fs@1.2.0:src?methods=read,list&until=10m", 1_000)?;
    /// assert!(matches!(&grant.root, GrantRoot::Tool { path, .. } if path == "src"));
    /// assert_eq!(grant.caveats.len(), 2);
    /// let wrong = GrantSpec::parse("src", "fs?calls=many", 0).unwrap_err();
    /// assert!(wrong.to_string().contains("calls"));
    /// # Ok::<(), remit_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid); the message says what is allowed.
    pub fn parse(name: &str, text: &str, now_ms: u64) -> Result<Self, crate::Error> {
        let grant = GrantText::parse(text, now_ms)
            .map_err(|error| crate::Error::Invalid(format!("the grant `{name}`: {error}")))?;
        Ok(Self {
            name: name.to_owned(),
            root: GrantRoot::Tool { tool: grant.tool, version: grant.version, path: grant.path },
            caveats: grant.caveats,
            on_unknown: grant.on_unknown,
        })
    }

    /// A grant of an object of the caller's own process, without caveats.
    pub fn own(name: &str, object: OwnObject) -> Self {
        Self {
            name: name.to_owned(),
            root: GrantRoot::Own(object),
            caveats: Vec::new(),
            on_unknown: OnUnknown::Inherit,
        }
    }
}
