//! What an attempt's worker process can reach: its task, and nothing else.

use std::rc::{Rc, Weak};
use std::sync::Arc;

use remit_core::event::Level;
use remit_core::task::{CapabilityCommand, CapabilityRequest, Command, Operation};
use remit_core::{Attempt, CallNumber, Code, Failure, ObjectId, Outcome};
use remit_faults::crash::{self, Step};
use remit_schema::event_capnp::log_emitted;
use remit_schema::object_capnp::recorded;
use remit_schema::peer_capnp::peer;
use remit_schema::task_capnp::{script, task_context};
use remit_vat::exception::to_exception;
use remit_vat::wire;

use crate::runtime::Owner;
use crate::runtime::delivery::ReplyPermit;
use crate::runtime::membrane::Membrane;

/// One attempt's view of its task.
struct Context {
    owner: Weak<Owner>,
    attempt: Attempt,
}

/// The bootstrap object of an attempt's connection.
pub fn client(owner: &Rc<Owner>, attempt: Attempt) -> task_context::Client {
    capnp_rpc::new_client(Context { owner: Rc::downgrade(owner), attempt })
}

impl Context {
    fn owner(&self) -> Result<Rc<Owner>, capnp::Error> {
        self.owner.upgrade().ok_or_else(|| {
            to_exception(&Failure::new(Code::Revoked, "the task is no longer owned here"))
        })
    }

    /// Asks for an operation and waits for its turn to be told.
    async fn operate(
        &self,
        owner: &Rc<Owner>,
        operation: CallNumber,
        command: &Command,
    ) -> Result<ReplyPermit, Failure> {
        owner.ask(self.attempt, operation)?;
        owner.record(command)?;
        owner.turn(operation).await
    }

    fn write_script(&self, owner: &Rc<Owner>, mut script: script::Builder<'_>) {
        owner.with(|task| {
            let created = task.created();
            let (source, entry) = task.program();
            script.set_entry(entry);
            script.set_name(&created.name);
            script.set_export(&created.export);
            script.set_seed(&created.seed);
            script.set_time_ms(task.created_ms());
            let input = wire::outcome::without_objects(&created.input);
            wire::value::write(script.reborrow().init_input(), &input, &[]);
            let count = u32::try_from(source.len()).unwrap_or(u32::MAX);
            let mut files = script.reborrow().init_source(count);
            for (at, file) in (0..count).zip(source) {
                let mut builder = files.reborrow().get(at);
                builder.set_path(&file.path);
                builder.set_text(&file.text);
            }
            // Those that were taken back too: a replay must find under their names what it found
            // before, and whoever uses one now is told that it was revoked. What a request was
            // answered with, the script has from there.
            let named = |held: &&remit_core::task::Held| {
                !held.grant.name.is_empty() && !task.is_gift(held.grant.grant)
            };
            let held: Vec<_> = task.grants().filter(named).collect();
            let count = u32::try_from(held.len()).unwrap_or(u32::MAX);
            let mut grants = script.init_grants(count);
            for (at, held) in (0..count).zip(held) {
                let object = ObjectId::Grant(held.grant.grant);
                let membrane = Membrane::held(owner, self.attempt, object);
                let mut builder = grants.reborrow().get(at);
                builder.set_name(&held.grant.name);
                builder.set_tool(&held.grant.tool);
                builder.set_object(owner.membranes().wrap(membrane));
            }
        });
    }
}

impl task_context::Server for Context {
    async fn begin(
        self: Rc<Self>,
        _: task_context::BeginParams,
        mut results: task_context::BeginResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner()?;
        owner.check_running(self.attempt).map_err(|failure| to_exception(&failure))?;
        self.write_script(&owner, results.get().init_script());
        Ok(())
    }

    async fn sleep(
        self: Rc<Self>,
        params: task_context::SleepParams,
        mut results: task_context::SleepResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner()?;
        let params = params.get()?;
        let operation = CallNumber(params.get_operation());
        let duration_ms = params.get_duration_ms();
        let command = Command::SetTimer { attempt: self.attempt, operation, duration_ms };
        let turn = self.operate(&owner, operation, &command).await;
        let turn = turn.map_err(|failure| to_exception(&failure))?;
        write_recorded(results.get().init_recorded(), &turn);
        Ok(())
    }

    async fn input(
        self: Rc<Self>,
        params: task_context::InputParams,
        mut results: task_context::InputResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner()?;
        let operation = CallNumber(params.get()?.get_operation());
        let command = Command::RequestInput { attempt: self.attempt, operation };
        let turn = self.operate(&owner, operation, &command).await;
        let turn = turn.map_err(|failure| to_exception(&failure))?;
        let value = owner.with(|task| match task.operation(operation) {
            Some(Operation::Input { delivered: Some((input, _)) }) => {
                task.input(*input).map(wire::outcome::without_objects)
            }
            _ => None,
        });
        let value = value.unwrap_or(remit_core::Value::Null);
        wire::value::write(results.get().init_value(), &value, &[]);
        write_recorded(results.get().init_recorded(), &turn);
        Ok(())
    }

    async fn steers(
        self: Rc<Self>,
        params: task_context::SteersParams,
        mut results: task_context::SteersResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner()?;
        let params = params.get()?;
        let operation = CallNumber(params.get_operation());
        let wait = params.get_wait();
        let command = Command::RequestSteers { attempt: self.attempt, operation, wait };
        let turn = self.operate(&owner, operation, &command).await;
        let turn = turn.map_err(|failure| to_exception(&failure))?;
        let values: Vec<remit_core::Value<u32>> =
            owner.with(|task| match task.operation(operation) {
                Some(Operation::Steers { delivered: Some((inputs, _)), .. }) => inputs
                    .iter()
                    .filter_map(|input| task.input(*input).map(wire::outcome::without_objects))
                    .collect(),
                _ => Vec::new(),
            });
        let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_values(count);
        for (at, value) in (0..count).zip(&values) {
            wire::value::write(list.reborrow().get(at), value, &[]);
        }
        write_recorded(results.get().init_recorded(), &turn);
        Ok(())
    }

    async fn request(
        self: Rc<Self>,
        params: task_context::RequestParams,
        mut results: task_context::RequestResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner()?;
        let params = params.get()?;
        let operation = CallNumber(params.get_operation());
        let command = Command::RequestCapability(Box::new(CapabilityCommand {
            attempt: self.attempt,
            operation,
            tool: params.get_tool()?.to_str().map_err(wire::Malformed::from)?.to_owned(),
            reason: params.get_reason()?.to_str().map_err(wire::Malformed::from)?.to_owned(),
        }));
        let turn = self.operate(&owner, operation, &command).await;
        let turn = turn.map_err(|failure| to_exception(&failure))?;
        let refused = owner.with(|task| match task.operation(operation) {
            Some(Operation::CapabilityRequest {
                answer: Some((CapabilityRequest::Refused(failure), _)),
                ..
            }) => Some(failure.clone()),
            _ => None,
        });
        if let Some(failure) = refused {
            return Err(to_exception(&failure));
        }
        let membrane = Membrane::held(&owner, self.attempt, ObjectId::Result(operation));
        results.get().set_object(owner.membranes().wrap(membrane));
        write_recorded(results.get().init_recorded(), &turn);
        Ok(())
    }

    async fn log(
        self: Rc<Self>,
        params: task_context::LogParams,
        _: task_context::LogResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner()?;
        let params = params.get()?;
        let level = match params.get_level()? {
            log_emitted::Level::Debug => Level::Debug,
            log_emitted::Level::Info => Level::Info,
            log_emitted::Level::Warn => Level::Warn,
            log_emitted::Level::Error => Level::Error,
        };
        let text = params.get_text()?.to_str().map_err(wire::Malformed::from)?.to_owned();
        let line = params.get_line();
        let command = Command::Log { attempt: self.attempt, line, level, text };
        owner.record(&command).map_err(|failure| to_exception(&failure))?;
        Ok(())
    }

    async fn finish(
        self: Rc<Self>,
        params: task_context::FinishParams,
        _: task_context::FinishResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner()?;
        let (outcome, _) = wire::outcome::read(params.get()?.get_outcome()?)?;
        let outcome = match outcome {
            Outcome::Failure(failure) => Outcome::Failure(failure),
            Outcome::Value { value, .. } => {
                match Arc::unwrap_or_clone(value).try_map(&mut |_| Err(())) {
                    Ok(value) => Outcome::value(value),
                    Err(()) => Outcome::Failure(Failure::new(
                        Code::InvalidArgument,
                        "the script returned an object: a task's result is a value, without references",
                    )),
                }
            }
        };
        let left_out = owner.left_out();
        let command =
            match left_out {
                Some((operation, what)) => Command::Fail(owner.with(|task| {
                    task.not_repeated(operation, &what, "the script ended without it")
                })),
                None => Command::Finish { attempt: self.attempt, outcome },
            };
        owner.check_running(self.attempt).map_err(|failure| to_exception(&failure))?;
        crash::point(Step::Received, "result");
        owner.record_durably(&command).await.map_err(|failure| to_exception(&failure))?;
        crash::point_after_turn(Step::Replied, "result");
        Ok(())
    }

    async fn body(
        self: Rc<Self>,
        params: task_context::BodyParams,
        mut results: task_context::BodyResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner()?;
        let call = CallNumber(params.get()?.get_operation());
        let value = owner.body(self.attempt, call).await;
        let value = value.map_err(|failure| to_exception(&failure))?;
        wire::value::write(results.get().init_value(), &value, &[]);
        Ok(())
    }

    async fn cancelled(
        self: Rc<Self>,
        _: task_context::CancelledParams,
        mut results: task_context::CancelledResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner()?;
        owner.over().await;
        results.get().set_reason("the task has ended");
        Ok(())
    }
}

impl peer::Server for Context {
    async fn ping(
        self: Rc<Self>,
        _: peer::PingParams,
        _: peer::PingResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

fn write_recorded(mut builder: recorded::Builder<'_>, turn: &ReplyPermit) {
    builder.set_number(turn.stamp.number.0);
    builder.set_time_ms(turn.stamp.time_ms);
}
