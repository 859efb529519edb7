//! What a task is made from, and what it is handed.

use remit_core::event::{OnUnknown, SourceFile, TimeLimits};
use remit_core::grant::text::GrantText;
use remit_core::{CallNumber, Caveat, EventNumber, Value};

use crate::own::OwnObject;

/// A program for a task that begins from another one's past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProgram {
    /// The program.
    pub source: Vec<SourceFile>,
    /// The path, among `source`, of the file that is run.
    pub entry: String,
}

/// Another program for a task that is at work.
#[derive(Debug, Clone)]
pub struct Upgrade {
    /// The program.
    pub source: Vec<SourceFile>,
    /// The path, among `source`, of the file that is run.
    pub entry: String,
    /// The event after which it need not repeat what the old one did; 0: it repeats all.
    pub at: EventNumber,
    /// Calls after that event that may be made once more though that is not harmless.
    pub again: Vec<CallNumber>,
    /// Only to try it: the task stays as it is, and is not paused meanwhile.
    pub dry_run: bool,
}

/// What a task is made from.
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
    /// A name for people. Need not be unique.
    pub name: String,
    /// The kind of agent, for example `script`.
    pub agent: String,
    /// The agent's program.
    pub source: Vec<SourceFile>,
    /// The path, among `source`, of the file that is run.
    pub entry: String,
    /// What the program gets as its second argument.
    pub input: Value,
    /// What the task is handed. Without any it can reach nothing.
    pub grants: Vec<GrantSpec>,
    /// What an agent node must have to be given this task.
    pub labels: Vec<String>,
    /// The longest the agent may compute between two waits, in milliseconds; 0: the node's default.
    pub deadline_ms: u32,
    /// The most memory of the agent in bytes; 0: the node's default.
    pub memory_bytes: u64,
    /// How long the task, one attempt and one call may take, in milliseconds. What takes longer ends
    /// with the code `timed-out`. 0: as long as it takes; for a call, the orchestrator's default.
    pub limits: TimeLimits,
}

impl TaskSpec {
    /// A script of one file, `main.ts`, that holds nothing.
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

    /// The same with one more grant.
    #[must_use]
    pub fn grant(mut self, grant: GrantSpec) -> Self {
        self.grants.push(grant);
        self
    }

    /// The same with this input.
    #[must_use]
    pub fn input(mut self, input: Value) -> Self {
        self.input = input;
        self
    }
}

/// A capability to be handed to a task.
#[derive(Debug, Clone)]
pub struct GrantSpec {
    /// By which the agent sees it: `remit.<name>`.
    pub name: String,
    /// What it stands for.
    pub root: GrantRoot,
    /// Conditions on its use; all must hold.
    pub caveats: Vec<Caveat>,
    /// What is done about a call of which nobody knows whether it happened.
    pub on_unknown: OnUnknown,
}

/// What a grant stands for.
#[derive(Debug, Clone)]
pub enum GrantRoot {
    /// A tool that is registered with the mesh.
    Tool {
        /// Its name, for example `fs`.
        tool: String,
        /// Its version; empty: the newest.
        version: String,
        /// A path below its root; empty: the root.
        path: String,
    },
    /// An object of the caller's own process. It lives as long as the caller's connection.
    Own(OwnObject),
}

impl GrantSpec {
    /// A grant from its text form, `tool[@version][:path][?caveat&caveat...]`, for example
    /// `fs:src?methods=read,list&calls=100&until=10m`. `until=10m` counts from `now_ms`,
    /// milliseconds since 1970. `docs/caveats.md` has every caveat there is.
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
    /// [`Error::Invalid`](crate::Error::Invalid), with what would be right.
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

    /// An object of the caller's own process.
    pub fn own(name: &str, object: OwnObject) -> Self {
        Self {
            name: name.to_owned(),
            root: GrantRoot::Own(object),
            caveats: Vec::new(),
            on_unknown: OnUnknown::Inherit,
        }
    }
}
