//! A task, as a client holds it.

mod feed;

use std::cell::RefCell;
use std::rc::Rc;

use remit_core::event::SettlementDecided;
use remit_core::task::{Command, Ending, Sent};
use remit_core::{CallNumber, EventNumber, Failure, GrantId, Identity, Outcome, Reference};
use remit_schema::mesh_capnp::{fork, task, task_info};
use remit_vat::crash::{self, Step};
use remit_vat::exception::to_exception;
use remit_vat::wire;

use self::feed::{Feed, Lease};
use super::viewer::ViewerServer;
use super::{questions, task_spec};
use crate::journal::TaskHead;
use crate::limits;
use crate::owner::{Owner, TaskKey};
use crate::refs::{RefSpec, Standing, Target};
use crate::tasks::{Forked, Program, Tasks, Then};

/// One client's hold on a task.
pub struct TaskServer {
    tasks: Rc<Tasks>,
    key: TaskKey,
    holder: Identity,
    /// The sturdy reference that it was restored from, if it was.
    through: Option<Standing>,
}

/// A reference to the task `key` for `holder`.
pub fn client(tasks: &Rc<Tasks>, key: TaskKey, holder: &Identity) -> task::Client {
    let (tasks, holder) = (Rc::clone(tasks), holder.clone());
    capnp_rpc::new_client(TaskServer { tasks, key, holder, through: None })
}

/// A reference to the task `key` for as long as the sturdy one stands from which it is restored.
pub fn standing(
    tasks: &Rc<Tasks>,
    key: TaskKey,
    holder: &Identity,
    through: Standing,
) -> task::Client {
    let viewer = through.viewer;
    let (tasks, holder) = (Rc::clone(tasks), holder.clone());
    let task = TaskServer { tasks, key, holder, through: Some(through) };
    if viewer {
        capnp_rpc::new_client(ViewerServer::new(task))
    } else {
        capnp_rpc::new_client(task)
    }
}

/// Writes what stands in a list of tasks.
pub fn write_info(mut info: task_info::Builder<'_>, key: &TaskKey, head: &TaskHead) {
    info.set_id(key.task.to_string());
    info.set_name(&head.name);
    info.set_status(head.status.as_str());
    info.set_created_ms(head.created_ms);
    info.set_events(head.number.0);
    info.set_attempt(head.attempt.0);
    info.set_node(&head.node);
    info.set_detail(&head.detail);
    info.set_calls(head.calls);
}

impl TaskServer {
    fn owner(&self) -> Result<Rc<Owner>, capnp::Error> {
        self.stands().map_err(|failure| to_exception(&failure))?;
        self.tasks.get(&self.key).map_err(|failure| to_exception(&failure))
    }

    fn write_fork(&self, mut fork: fork::Builder<'_>, forked: &Forked) {
        let key = forked.owner.key();
        fork.set_id(key.task.to_string());
        fork.set_at(forked.at.0);
        let count = u32::try_from(forked.dropped.len()).unwrap_or(u32::MAX);
        let mut dropped = fork.reborrow().init_dropped(count);
        for (at, call) in (0..count).zip(&forked.dropped) {
            dropped.set(at, call.0);
        }
        fork.set_task(client(&self.tasks, key.clone(), &self.holder));
    }

    /// Whether its holder may still use it.
    fn stands(&self) -> Result<(), Failure> {
        match &self.through {
            Some(through) => {
                let refs = self.tasks.refs()?;
                refs.check_standing(&self.key.tenant, through)?;
                refs.note_use(&self.key.tenant, through);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Waits until its holder may use it no more.
    async fn over(&self) {
        match (&self.through, self.tasks.refs()) {
            (Some(through), Ok(refs)) => refs.over(&self.key.tenant, through).await,
            _ => std::future::pending().await,
        }
    }

    async fn saved(&self, target: Target, spec: RefSpec) -> Result<Reference, capnp::Error> {
        self.owner()?;
        crash::point(Step::Received, "reference");
        let saving = async {
            let (refs, what) = (self.tasks.refs()?, (&self.key, target));
            refs.save(&self.tasks, what, spec, &self.holder, self.through.as_ref()).await
        };
        let made = saving.await.map_err(|failure| to_exception(&failure))?;
        crash::point(Step::Flushed, "reference");
        Ok(made)
    }

    async fn command(&self, command: &Command) -> Result<Rc<Owner>, capnp::Error> {
        let owner = self.owner()?;
        crash::point(Step::Received, "command");
        owner.record_durably(command).await.map_err(|failure| to_exception(&failure))?;
        crash::point_after_turn(Step::Replied, "command");
        Ok(owner)
    }
}

impl task::Server for TaskServer {
    async fn info(
        self: Rc<Self>,
        _: task::InfoParams,
        mut results: task::InfoResults,
    ) -> Result<(), capnp::Error> {
        let head = self.owner()?.head();
        write_info(results.get().init_info(), &self.key, &head);
        Ok(())
    }

    async fn events(
        self: Rc<Self>,
        params: task::EventsParams,
        mut results: task::EventsResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let cursor = EventNumber(params.get_after());
        let sink = params.get_sink()?;
        let feed = Feed { tasks: Rc::clone(&self.tasks), key: self.key.clone(), cursor, sink };
        self.owner()?;
        // A cursor before all that is still held is refused here, where its holder hears it.
        let journal = &self.tasks.services().journal;
        let next = journal.read(&self.key.tenant, self.key.task, cursor, 1);
        next.map_err(|error| to_exception(&error.into_failure()))?;
        let held = Rc::clone(&self);
        let running = tokio::task::spawn_local(async move {
            tokio::select! {
                biased;
                () = held.over() => tracing::debug!("a follower's reference stands no more"),
                Err(failure) = feed.run() => tracing::debug!(%failure, "a follower's feed ended"),
            }
        });
        let lease = Lease { running: RefCell::new(Some(running)) };
        results.get().set_subscription(capnp_rpc::new_client(lease));
        Ok(())
    }

    async fn send(
        self: Rc<Self>,
        params: task::SendParams,
        mut results: task::SendResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (value, table) = wire::value::read(params.get_value()?)?;
        let key = params.get_key()?.to_str().map_err(wire::Malformed::from)?.to_owned();
        let value = value.try_map(&mut |_| {
            Err(wire::Malformed(format!("{} objects in an input: grant them instead", table.len())))
        })?;
        let sender = self.holder.to_string();
        let steer = params.get_steer();
        let sent = Sent { value, sender, key: key.clone(), steer };
        let command = Command::AcceptInput(Box::new(sent));
        let owner = self.command(&command).await?;
        results.get().set_input(owner.with(|task| task.accepted_input(&key)).0);
        Ok(())
    }

    async fn cancel(
        self: Rc<Self>,
        params: task::CancelParams,
        _: task::CancelResults,
    ) -> Result<(), capnp::Error> {
        let reason = params.get()?.get_reason()?.to_str().map_err(wire::Malformed::from)?;
        let reason = format!("{} ({})", reason.chars().take(1000).collect::<String>(), self.holder);
        let why = Failure::new(remit_core::Code::Cancelled, reason);
        let cancelled = self.owner()?.cancel(why, &self.holder.to_string()).await;
        cancelled.map_err(|failure| to_exception(&failure))
    }

    async fn pause(
        self: Rc<Self>,
        params: task::PauseParams,
        _: task::PauseResults,
    ) -> Result<(), capnp::Error> {
        let reason = params.get()?.get_reason()?.to_str().map_err(wire::Malformed::from)?;
        let reason = reason.chars().take(1000).collect();
        self.command(&Command::Pause { reason, who: self.holder.to_string() }).await?;
        Ok(())
    }

    async fn fork(
        self: Rc<Self>,
        params: task::ForkParams,
        mut results: task::ForkResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let key = wire::text(params.get_key())?;
        let at = EventNumber(params.get_at());
        let forked = self.tasks.fork(&self.key, at, &key, &self.holder).await;
        let forked = forked.map_err(|failure| to_exception(&failure))?;
        self.write_fork(results.get().init_fork(), &forked);
        Ok(())
    }

    async fn retry(
        self: Rc<Self>,
        params: task::RetryParams,
        mut results: task::RetryResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let key = wire::text(params.get_key())?;
        let again = params.get_again()?.iter().map(CallNumber).collect();
        let forked = self.tasks.retry(&self.key, &again, &key, &self.holder).await;
        let forked = forked.map_err(|failure| to_exception(&failure))?;
        self.write_fork(results.get().init_fork(), &forked);
        Ok(())
    }

    async fn upgrade(
        self: Rc<Self>,
        params: task::UpgradeParams,
        mut results: task::UpgradeResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (source, entry) = task_spec::read_program(params.get_program()?)?;
        let program = Program {
            source,
            entry,
            at: EventNumber(params.get_at()),
            again: params.get_again()?.iter().map(CallNumber).collect(),
            then: if params.get_dry_run() { Then::Stay } else { Then::Switch },
        };
        let upgraded = self.tasks.upgrade(&self.key, program, &self.holder).await;
        let upgraded = upgraded.map_err(|failure| to_exception(&failure))?;
        let mut trial = results.get().init_trial();
        trial.set_repeated(upgraded.repeated);
        trial.set_switched(upgraded.switched);
        match upgraded.difference {
            None => trial.set_same(()),
            Some(difference) => {
                let mut differs = trial.init_differs();
                differs.set_operation(difference.operation.0);
                differs.set_was(&difference.was);
                differs.set_is(&difference.is);
            }
        }
        Ok(())
    }

    async fn resume(
        self: Rc<Self>,
        _: task::ResumeParams,
        _: task::ResumeResults,
    ) -> Result<(), capnp::Error> {
        self.command(&Command::Resume { who: self.holder.to_string() }).await?;
        Ok(())
    }

    async fn result(
        self: Rc<Self>,
        _: task::ResultParams,
        mut results: task::ResultResults,
    ) -> Result<(), capnp::Error> {
        let owner = loop {
            let owner = self.owner()?;
            tokio::select! {
                biased;
                // What comes next says why.
                () = self.over() => continue,
                () = owner.over() => {}
                () = tokio::time::sleep(limits::JOURNAL_RETRY_MOST), if self.tasks.stands_in(&owner) => {}
            }
            if owner.with(|task| task.ending().is_some()) {
                break owner;
            }
            // The owner halted or is closing; a fresh one goes on in a while.
            tokio::time::sleep(limits::JOURNAL_RETRY_MOST).await;
        };
        let head = owner.with(|task| task.head().number);
        owner.durable(head).await.map_err(|failure| to_exception(&failure))?;
        let outcome = owner.with(|task| match task.ending() {
            Some(Ending::Completed(value)) => Outcome::value(wire::outcome::without_objects(value)),
            Some(Ending::Failed(failure)) => Outcome::Failure(failure.clone()),
            Some(Ending::Cancelled(reason)) => {
                Outcome::Failure(Failure::new(remit_core::Code::Cancelled, reason.clone()))
            }
            None => Outcome::Failure(Failure::new(remit_core::Code::Unknown, "not ended")),
        });
        wire::outcome::write(results.get().init_outcome(), &outcome, &[]);
        Ok(())
    }

    async fn grants(
        self: Rc<Self>,
        _: task::GrantsParams,
        mut results: task::GrantsResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner()?;
        let held: Vec<_> = owner.with(|task| task.grants().map(|held| held.grant.grant).collect());
        let count = u32::try_from(held.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_grants(count);
        for (at, grant) in (0..count).zip(held) {
            super::grant_info::write(list.reborrow().get(at), &owner, grant);
        }
        Ok(())
    }

    async fn grant(
        self: Rc<Self>,
        params: task::GrantParams,
        mut results: task::GrantResults,
    ) -> Result<(), capnp::Error> {
        let spec = task_spec::read_grant(params.get()?.get_spec()?)?;
        let owner = self.owner()?;
        let granted = self.tasks.grant(&owner, spec, &self.holder).await;
        results.get().set_grant(granted.map_err(|failure| to_exception(&failure))?.0);
        Ok(())
    }

    async fn questions(
        self: Rc<Self>,
        _: task::QuestionsParams,
        mut results: task::QuestionsResults,
    ) -> Result<(), capnp::Error> {
        let items = self.tasks.questions(&self.owner()?);
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_items(count);
        for (at, item) in (0..count).zip(&items) {
            questions::write(list.reborrow().get(at), item);
        }
        Ok(())
    }

    async fn approve(
        self: Rc<Self>,
        params: task::ApproveParams,
        _: task::ApproveResults,
    ) -> Result<(), capnp::Error> {
        let decided = questions::read_approval(params.get()?.get_decision()?, &self.holder)?;
        self.command(&Command::DecideApproval(Box::new(decided))).await?;
        Ok(())
    }

    async fn give(
        self: Rc<Self>,
        params: task::GiveParams,
        mut results: task::GiveResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let operation = CallNumber(params.get_operation());
        let spec = task_spec::read_grant(params.get_spec()?)?;
        let given = self.tasks.give(&self.owner()?, operation, spec, &self.holder).await;
        results.get().set_grant(given.map_err(|failure| to_exception(&failure))?.0);
        Ok(())
    }

    async fn refuse(
        self: Rc<Self>,
        params: task::RefuseParams,
        _: task::RefuseResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let operation = CallNumber(params.get_operation());
        let reason = params.get_reason()?.to_str().map_err(wire::Malformed::from)?.to_owned();
        let who = self.holder.to_string();
        self.command(&Command::RefusePower { operation, reason, who }).await?;
        Ok(())
    }

    async fn settle(
        self: Rc<Self>,
        params: task::SettleParams,
        _: task::SettleResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let decided = SettlementDecided {
            call: CallNumber(params.get_call()),
            settlement: questions::read_settlement(params.get_settlement()?)?,
            who: self.holder.to_string(),
        };
        let question = EventNumber(params.get_event());
        let settled = self.owner()?.decide_settlement(decided, question).await;
        settled.map_err(|failure| to_exception(&failure))
    }

    async fn revoke(
        self: Rc<Self>,
        params: task::RevokeParams,
        _: task::RevokeResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let grant = GrantId(params.get_grant());
        let reason = params.get_reason()?.to_str().map_err(wire::Malformed::from)?;
        let reason = reason.chars().take(1000).collect();
        let by = self.holder.to_string();
        self.command(&Command::RevokeGrant { grant, reason, by }).await?;
        Ok(())
    }

    async fn save(
        self: Rc<Self>,
        params: task::SaveParams,
        mut results: task::SaveResults,
    ) -> Result<(), capnp::Error> {
        let spec = super::refs::read_spec(params.get()?.get_spec()?)?;
        let made = self.saved(Target::Task, spec).await?;
        results.get().set_ref(&made.to_bytes());
        results.get().set_id(made.id().to_string());
        Ok(())
    }

    async fn save_grant(
        self: Rc<Self>,
        params: task::SaveGrantParams,
        mut results: task::SaveGrantResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let spec = super::refs::read_spec(params.get_spec()?)?;
        let made = self.saved(Target::Grant(GrantId(params.get_grant())), spec).await?;
        results.get().set_ref(&made.to_bytes());
        results.get().set_id(made.id().to_string());
        Ok(())
    }
}
