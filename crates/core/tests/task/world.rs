//! A task with its journal, as an owner would keep it: decide, number, apply, check.

use std::collections::BTreeMap;
use std::sync::Arc;

use remit_core::event::{Event, Fact, Grant, OnUnknown, TaskCreated};
use remit_core::grant::{Budgets, Caveat};
use remit_core::manifest::{Interface, Manifest, Method, Param};
use remit_core::task::{CallCommand, Command, Decision, Refusal, Task};
use remit_core::{Attempt, CallNumber, EventNumber, GrantId, ObjectId, Value};

/// The time at which every world begins.
pub(crate) const START_MS: u64 = 1_000;

/// A task, its journal and its clock.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) task: Task,
    pub(crate) journal: Vec<Event>,
    pub(crate) now_ms: u64,
    /// The agent's calls as they were asked, by number.
    pub(crate) asked: BTreeMap<CallNumber, CallCommand>,
}

impl World {
    pub(crate) fn new() -> Self {
        let fact = Fact::TaskCreated(Box::new(created()));
        let event = Event { number: EventNumber(1), time_ms: START_MS, fact };
        let task = Task::begin(&event).unwrap();
        Self { task, journal: vec![event], now_ms: START_MS, asked: BTreeMap::new() }
    }

    /// A world whose first attempt runs.
    pub(crate) fn running() -> Self {
        let mut world = Self::new();
        world.must(&Command::StartAttempt { node: "n".into() });
        world
    }

    /// Decides on a command and applies what it leads to. A fact that cannot follow is a bug.
    pub(crate) fn run(&mut self, command: &Command) -> Result<Decision, Refusal> {
        let decision = self.task.decide(command, self.now_ms)?;
        if let Decision::Record(facts) = &decision {
            assert!(!facts.is_empty(), "{command:?} led to no fact at all");
            for fact in facts {
                self.append(fact.clone());
            }
            if let Command::Call(call) = command {
                self.asked.insert(call.call, (**call).clone());
            }
            if let Some(Fact::TaskUpgraded(upgraded)) = facts.last() {
                self.asked.retain(|call, _| !upgraded.dropped.contains(call));
            }
        }
        Ok(decision)
    }

    /// Runs a command that must lead to facts; gives the last of them.
    #[track_caller]
    pub(crate) fn must(&mut self, command: &Command) -> Fact {
        match self.run(command).unwrap() {
            Decision::Record(mut facts) => facts.pop().unwrap(),
            Decision::Recorded => panic!("{command:?} was decided before"),
        }
    }

    /// Adds a root grant of the whole tool; gives its number.
    pub(crate) fn grant(&mut self, name: &str, caveats: Vec<Caveat>) -> GrantId {
        self.narrow(grant(name, None, "", caveats))
    }

    /// Adds a grant; gives its number.
    #[track_caller]
    pub(crate) fn narrow(&mut self, grant: Grant) -> GrantId {
        match self.must(&Command::AddGrant(Box::new(grant))) {
            Fact::GrantAdded(grant) => grant.grant,
            other => panic!("{other:?}"),
        }
    }

    /// The decision on a call of the running attempt.
    pub(crate) fn call(
        &mut self,
        number: u64,
        object: ObjectId,
        method: &str,
        args: Value,
    ) -> Result<Decision, Refusal> {
        let attempt = self.task.running().unwrap_or(Attempt(0));
        self.run(&call(attempt, number, object, method, args).into())
    }

    fn append(&mut self, fact: Fact) {
        let number = self.task.head().number.next();
        let event = Event { number, time_ms: self.now_ms, fact };
        self.task.apply(&event).unwrap_or_else(|rejected| panic!("{rejected}: {event:?}"));
        self.journal.push(event);
    }
}

/// A call of the agent's own.
pub(crate) fn call(
    attempt: Attempt,
    number: u64,
    object: ObjectId,
    method: &str,
    args: Value,
) -> CallCommand {
    let call = CallNumber(number);
    CallCommand {
        attempt,
        call,
        object,
        method: method.into(),
        args,
        through: None,
        delegate: None,
    }
}

/// A grant of the tool that [`manifest`] describes.
pub(crate) fn grant(name: &str, parent: Option<u32>, path: &str, caveats: Vec<Caveat>) -> Grant {
    Grant {
        grant: GrantId(0),
        parent: parent.map(GrantId),
        name: name.into(),
        tool: "fs".into(),
        version: "1.0.0".into(),
        node: "spiffe://mesh/main/tool-node/files".into(),
        path: path.into(),
        caveats,
        manifest: Arc::new(manifest()),
        holder: "task".into(),
        derived: None,
        origin: None,
        interface: String::new(),
        reserve: Budgets::NONE,
        by: String::new(),
        on_unknown: OnUnknown::Inherit,
    }
}

/// Arguments by name.
pub(crate) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Fields(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A text.
pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// A tool with one path, several paths, none, and a method that opens what is below.
pub(crate) fn manifest() -> Manifest {
    let param = |name: &str, path: bool| Param { name: name.into(), path, ..Param::default() };
    let method = |name: &str, params: Vec<Param>, read_only: bool, returns: &str| Method {
        name: name.into(),
        params,
        read_only,
        returns: returns.into(),
        ..Method::default()
    };
    let dir = Interface {
        name: "Dir".into(),
        methods: vec![
            method("read", vec![param("path", true), param("offset", false)], true, ""),
            method("write", vec![param("path", true), param("text", false)], false, ""),
            method("stage", vec![param("paths", true)], false, ""),
            method("list", vec![], true, ""),
            Method { pure_: true, ..method("size", vec![], true, "") },
            method("dir", vec![param("path", true)], true, "Dir"),
        ],
        ..Interface::default()
    };
    Manifest {
        tool: "fs".into(),
        version: "1.0.0".into(),
        root: "Dir".into(),
        descend: "dir".into(),
        interfaces: vec![dir],
        ..Manifest::default()
    }
}

fn created() -> TaskCreated {
    TaskCreated {
        name: "t".into(),
        agent: "script".into(),
        source: Vec::new(),
        entry: "main.ts".into(),
        input: Value::Null,
        seed: vec![7; 32],
        labels: Vec::new(),
        creator: "spiffe://mesh/main/client/me".into(),
        deadline_ms: 0,
        memory_bytes: 0,
        export: String::new(),
        parent: None,
        detached: false,
        limits: remit_core::event::TimeLimits::default(),
    }
}
