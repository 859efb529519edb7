//! The built-in tool `tasks`: agents that make tasks of their own.

use std::rc::{Rc, Weak};

use remit_core::event::{SourceFile, TimeLimits};
use remit_core::task::{Command, Delegation, Ending, Sent};
use remit_core::{CallNumber, Caveat, Code, Failure, Outcome, TaskId, Value};
use remit_schema::object_capnp::object;
use remit_vat::exception::to_exception;
use remit_vat::wire;

use crate::limits;
use crate::runtime::membrane::own_word;
use crate::runtime::{Owner, TaskKey};
use crate::serve::keys::{SENT, SPAWN};
use crate::tasks::family::holder;
use crate::tasks::tool::MANIFEST;
use crate::tasks::{GrantSpec, TaskSpec, Tasks};

/// The root of the tool, for the agent of the task that was granted it, and for those of the tasks
/// that it was passed on to: calls of them all are in the journal of that one.
struct Root {
    holder: Weak<Owner>,
}

/// A task, for the agent of the task that spawned it.
struct Spawned {
    holder: Weak<Owner>,
    key: TaskKey,
}

/// The tool's root object for the task that was granted it.
pub(crate) fn root(holder: &Rc<Owner>) -> object::Client {
    capnp_rpc::new_client(Root { holder: Rc::downgrade(holder) })
}

/// A call on one of the two: the method, its fields, and the objects in them.
struct IncomingCall {
    owner: Rc<Owner>,
    tasks: Rc<Tasks>,
    method: String,
    fields: Vec<(String, Value<u32>)>,
    table: Vec<object::Client>,
    key: Vec<u8>,
    call: CallNumber,
}

impl IncomingCall {
    fn read(holder: &Weak<Owner>, params: &object::CallParams) -> Result<Self, Failure> {
        let owner = holder.upgrade().ok_or_else(away)?;
        let tasks = owner.services().tasks.upgrade().ok_or_else(away)?;
        let read = || {
            let params = params.get()?;
            let (args, table) = wire::value::read(params.get_args()?)?;
            let method = params.get_method()?.to_str()?.to_owned();
            Ok::<_, wire::Malformed>((method, args, table, params.get_key()?.to_vec()))
        };
        let (method, args, table, key) = read()?;
        let fields = match args {
            Value::Fields(fields) => fields,
            _ => Vec::new(),
        };
        let number = key.get(16..).and_then(|number| number.try_into().ok());
        // The tool may have been passed on: what it does is done for the task that calls, with what
        // that one holds.
        let number = number.map(u64::from_be_bytes).unwrap_or_default();
        let (owner, call) = owner.acting(Owner::number_in(number));
        Ok(Self { owner, tasks, method, fields, table, key, call })
    }

    fn take(&mut self, name: &str) -> Option<Value<u32>> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.remove(at).1)
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "takes text")),
        }
    }

    fn flag(&mut self, name: &str) -> Result<bool, Failure> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(yes)) => Ok(yes),
            Some(_) => Err(wrong(name, "takes true or false")),
        }
    }

    fn number(&mut self, name: &str) -> Result<u64, Failure> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(0),
            Some(Value::Unsigned(number)) => Ok(number),
            Some(Value::Integer(number)) => {
                u64::try_from(number).map_err(|_| wrong(name, "takes a number of at least 0"))
            }
            Some(_) => Err(wrong(name, "takes a whole number")),
        }
    }

    fn data(&mut self, name: &str) -> Result<Value, Failure> {
        let value = self.take(name).unwrap_or(Value::Null);
        value.try_map(&mut |_| {
            Err(wrong(name, "takes plain data; objects are passed on in `grants`"))
        })
    }

    /// Passes one of the objects among the arguments on to a task.
    async fn pass(&self, value: &Value<u32>, name: &str, to: TaskId) -> Result<GrantSpec, Failure> {
        let object = match value {
            Value::Object(index) => self.table.get(*index as usize).cloned(),
            _ => None,
        };
        let object = object.ok_or_else(|| wrong(name, "is no object that could be passed on"))?;
        let lent = self.owner.membranes().lent(object, self.call).await;
        let object = lent.ok_or_else(|| wrong(name, "is none of the task's own objects"))?;
        self.owner.decided(object).await?;
        let pass = Delegation {
            object,
            holder: holder(to),
            caveats: Vec::<Caveat>::new(),
            key: self.derivation_key(name),
        };
        self.tasks.pass_on(&self.owner, pass, name).await
    }

    fn derivation_key(&self, name: &str) -> Vec<u8> {
        [&self.key[..], b"/", name.as_bytes()].concat()
    }
}

fn wrong(field: &str, why: &str) -> Failure {
    Failure::new(Code::InvalidArgument, format!("`{field}` {why}")).with_detail(field)
}

impl Root {
    async fn spawn(&self, mut asked: IncomingCall) -> Result<Rc<Owner>, Failure> {
        let grants = match asked.take("grants") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Fields(grants)) => grants,
            Some(_) => return Err(wrong("grants", "takes objects by name")),
        };
        // An earlier try may have passed some of them on already, to a task of this id.
        let earlier = asked.owner.with(|task| {
            let mut passed = grants
                .iter()
                .filter_map(|(name, _)| task.derived_under(&asked.derivation_key(name)));
            let holder = task.grant(passed.next()?)?.grant.holder.clone();
            holder.strip_prefix("task:")?.parse::<TaskId>().ok()
        });
        let now_ms = (asked.owner.services().now_ms)();
        let id = earlier.unwrap_or_else(|| TaskId::new(now_ms, remit_vat::chance::bytes()));
        let loaded = asked.owner.loaded().await?;
        let mut spec = self.spec(&mut asked)?;
        drop(loaded);
        spec.id = Some(id);
        if let Some((name, _)) = asked.fields.first() {
            let known = "source, export, input, grants, name, agent, labels, detached, deadlineMs, memoryBytes, timeLimitMs, attemptLimitMs, callTimeoutMs";
            return Err(wrong(name, &format!("is no field of spawn; it has {known}")));
        }
        for (name, value) in &grants {
            spec.grants.push(asked.pass(value, name, id).await?);
        }
        let creator = asked.owner.with(|task| task.created().creator.parse());
        let creator = creator.map_err(|error: remit_core::identity::NotAnIdentity| {
            Failure::new(Code::Failed, error.to_string())
        })?;
        let child = asked.tasks.create(spec, &creator).await?;
        // The parent may have ended while this was written, and looked for children before.
        let orphan =
            asked.owner.with(|task| task.ending().is_some() || task.cancelling().is_some())
                && !child.with(|task| task.created().detached);
        if orphan {
            let reason = format!("the task that spawned it, {}, has ended", asked.owner.key().task);
            child.cancel(Failure::new(Code::Cancelled, reason), "").await?;
        }
        Ok(child)
    }

    fn spec(&self, asked: &mut IncomingCall) -> Result<TaskSpec, Failure> {
        let parent = asked.owner.with(|task| std::sync::Arc::clone(task.created()));
        let export = asked.text("export")?.unwrap_or_default();
        let (source, entry) = match asked.text("source")? {
            Some(text) => (vec![SourceFile { path: "main.ts".into(), text }], "main.ts".to_owned()),
            None if export.is_empty() => {
                let why = "is missing, and so is `export`: give the program as text, or name an exported function of this one";
                return Err(wrong("source", why));
            }
            None => asked.owner.with(|task| {
                let (source, entry) = task.program();
                (source.to_vec(), entry.to_owned())
            }),
        };
        let labels = match asked.take("labels") {
            None | Some(Value::Null) => parent.labels.clone(),
            Some(Value::List(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::Text(label) => Ok(label),
                    _ => Err(wrong("labels", "takes a list of texts")),
                })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(wrong("labels", "takes a list of texts")),
        };
        let name = asked.text("name")?;
        let name = name.unwrap_or_else(|| format!("{} / {}", parent.name, asked.call));
        Ok(TaskSpec {
            id: None,
            name,
            agent: asked.text("agent")?.unwrap_or_else(|| parent.agent.clone()),
            source,
            entry,
            export,
            input: asked.data("input")?,
            labels,
            grants: Vec::new(),
            key: format!("{SPAWN}{}", hex::encode(&asked.key)),
            deadline_ms: u32::try_from(asked.number("deadlineMs")?).unwrap_or(u32::MAX),
            memory_bytes: asked.number("memoryBytes")?,
            parent: Some(asked.owner.key().task),
            detached: asked.flag("detached")?,
            limits: TimeLimits {
                task_ms: asked.number("timeLimitMs")?,
                attempt_ms: asked.number("attemptLimitMs")?,
                call_ms: u32::try_from(asked.number("callTimeoutMs")?).unwrap_or(u32::MAX),
                // No agent says how soon what it did is forgotten.
                retention_ms: asked.owner.with(|task| task.created().limits.retention_ms),
            },
        })
    }
}

impl object::Server for Root {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let asked = match IncomingCall::read(&self.holder, &params) {
            Ok(asked) => asked,
            Err(failure) => return own_word(failure, &mut results),
        };
        if asked.method != "spawn" {
            return Err(to_exception(&no_method(&asked.method)));
        }
        let child = match self.spawn(asked).await {
            Ok(child) => child,
            Err(failure) => return own_word(failure, &mut results),
        };
        let detached = child.with(|task| task.created().detached);
        let value = Value::<u32>::Fields(vec![
            ("id".into(), Value::Text(child.key().task.to_string())),
            ("detached".into(), Value::Bool(detached)),
        ]);
        wire::value::write(results.get().init_value(), &value, &[]);
        let spawned = Spawned { holder: self.holder.clone(), key: child.key().clone() };
        results.get().set_object(capnp_rpc::new_client(spawned));
        Ok(())
    }

    async fn describe(
        self: Rc<Self>,
        _: object::DescribeParams,
        mut results: object::DescribeResults,
    ) -> Result<(), capnp::Error> {
        wire::manifest::write(results.get().init_manifest(), &MANIFEST);
        results.get().set_interface("Tasks");
        Ok(())
    }
}

impl Spawned {
    /// Does what was asked. A failure that is not the owner's own word is in the outcome.
    async fn act(&self, asked: IncomingCall) -> Result<Outcome<u32>, Failure> {
        match asked.method.as_str() {
            "result" => self.result(&asked).await,
            _ => self.steer(asked).await.map(Outcome::value),
        }
    }

    async fn steer(&self, mut asked: IncomingCall) -> Result<Value<u32>, Failure> {
        match asked.method.as_str() {
            "info" => {
                let head = asked.tasks.working(&self.key)?.head();
                let count = Value::unsigned;
                Ok(Value::Fields(vec![
                    ("id".into(), Value::Text(self.key.task.to_string())),
                    ("name".into(), Value::Text(head.name)),
                    ("status".into(), Value::Text(head.status.as_str().into())),
                    ("events".into(), count(head.number.0)),
                    ("calls".into(), count(head.calls)),
                    ("detail".into(), Value::Text(head.detail)),
                ]))
            }
            "events" => {
                let after = remit_core::EventNumber(asked.number("after")?);
                let owner = asked.tasks.working(&self.key)?;
                owner.past(after).await;
                let (head, ended) =
                    owner.with(|task| (task.head().number, task.ending().is_some()));
                if head <= after && !ended {
                    return Err(away());
                }
                owner.durable(head).await?;
                let journal = &asked.owner.services().journal;
                let read =
                    journal.read(&self.key.tenant, self.key.task, after, limits::EVENTS_FOR_AGENT);
                let events = read.map_err(|e| Failure::new(Code::Failed, e.to_string()))?;
                Ok(Value::List(events.iter().map(plain).collect()))
            }
            "send" => {
                let value = asked.data("value")?;
                let steer = asked.flag("steer")?;
                let key = format!("{SENT}{}", hex::encode(&asked.key));
                let sender = holder(asked.owner.key().task);
                let child = asked.tasks.working(&self.key)?;
                child
                    .record_durably(&Command::AcceptInput(Box::new(Sent {
                        value,
                        sender,
                        key: key.clone(),
                        steer,
                    })))
                    .await?;
                let input = child.with(|task| task.accepted_input(&key));
                Ok(Value::unsigned(input.0))
            }
            "cancel" => {
                let reason = asked.text("reason")?.unwrap_or_default();
                let reason: String = reason.chars().take(limits::REASON_CHARS).collect();
                let reason = format!("{reason} ({})", holder(asked.owner.key().task));
                let child = asked.tasks.working(&self.key)?;
                child.cancel(Failure::new(Code::Cancelled, reason), "").await?;
                Ok(Value::Null)
            }
            "grant" => {
                let name = asked.text("name")?.unwrap_or_default();
                let object = asked.take("object").unwrap_or(Value::Null);
                let spec = asked.pass(&object, &name, self.key.task).await?;
                let child = asked.tasks.working(&self.key)?;
                if child.with(|task| task.grants().all(|held| held.grant.name != name)) {
                    asked.tasks.hand(&child, spec).await?;
                }
                Ok(Value::Null)
            }
            other => Err(no_method(other)),
        }
    }

    /// How the task ended. Its failure is its own, whatever its code says.
    async fn result(&self, asked: &IncomingCall) -> Result<Outcome<u32>, Failure> {
        let child = asked.tasks.working(&self.key)?;
        child.over().await;
        let head = child.with(|task| task.head().number);
        child.durable(head).await?;
        let ending = child.with(|task| task.ending().cloned());
        match ending {
            Some(Ending::Completed(value)) => {
                Ok(Outcome::value(wire::outcome::without_objects(&value)))
            }
            Some(Ending::Failed(failure)) => Ok(Outcome::Failure(failure)),
            Some(Ending::Cancelled(reason)) => {
                Ok(Outcome::Failure(Failure::new(Code::Cancelled, reason)))
            }
            None => Err(away()),
        }
    }
}

impl object::Server for Spawned {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let asked = match IncomingCall::read(&self.holder, &params) {
            Ok(asked) => asked,
            Err(failure) => return own_word(failure, &mut results),
        };
        match self.act(asked).await {
            Ok(Outcome::Value { value, .. }) => {
                wire::value::write(results.get().init_value(), &value, &[]);
                Ok(())
            }
            Ok(Outcome::Failure(failure)) => Err(to_exception(&failure)),
            Err(failure) => own_word(failure, &mut results),
        }
    }

    async fn describe(
        self: Rc<Self>,
        _: object::DescribeParams,
        mut results: object::DescribeResults,
    ) -> Result<(), capnp::Error> {
        wire::manifest::write(results.get().init_manifest(), &MANIFEST);
        results.get().set_interface("Task");
        Ok(())
    }
}

/// An event as an agent is shown it.
fn plain(event: &remit_core::Event) -> Value<u32> {
    let number = Value::unsigned;
    Value::Fields(vec![
        ("number".into(), number(event.number.0)),
        ("timeMs".into(), number(event.time_ms)),
        ("event".into(), Value::Text(event.fact.name().into())),
    ])
}

fn away() -> Failure {
    Failure::new(Code::Unavailable, "the task's owner is away")
}

fn no_method(name: &str) -> Failure {
    Failure::new(Code::NotFound, format!("tasks has no method `{name}` on this object"))
}
