//! A task, as a client holds it.

mod ending;
mod feed;
mod fork;
mod grant;
mod reference;

use std::cell::RefCell;
use std::rc::Rc;

use capnp::capability::FromServer;
use capnp::traits::HasTypeId as _;
use remit_core::event::SettlementDecided;
use remit_core::task::{Command, Sent};
use remit_core::{
    CallNumber, Code, EventNumber, Facet, Failure, GrantId, Identity, Task as CoreTask,
};
use remit_faults::crash::{self, Step};
use remit_journal::JournalError;
use remit_schema::mesh_capnp::task;
use remit_vat::run_detached::run_detached;
use remit_vat::turn;
use remit_vat::wire::{self, Malformed, text};

use self::feed::{Feed, Lease};
pub(super) use self::reference::standing;
use super::caller::Caller;
use super::hold::{self, Hold};
use super::{good, grant_info, keys, questions, reason, refs, task_info, task_spec};
use crate::admission::members::uses::{self, TaskTraits};
use crate::limits;
use crate::quota::account::Resource;
use crate::runtime::{Owner, TaskKey};
use crate::services::refs::{RefValidity, Target};
use crate::tasks::{ForkOptions, GrantSpec, Program, Tasks, Then};

/// One client's hold on a task.
pub struct TaskServer {
    caller: Rc<Caller>,
    tasks: Rc<Tasks>,
    key: TaskKey,
    holder: Identity,
    /// The sturdy reference that it was restored from, if it was.
    through: Option<RefValidity>,
}

/// The task `key` for a client that holds it like this.
pub(super) fn client(caller: &Rc<Caller>, key: TaskKey, hold: Hold) -> task::Client {
    TaskServer::new(caller, key, None).held(hold)
}

impl TaskServer {
    fn new(caller: &Rc<Caller>, key: TaskKey, through: Option<RefValidity>) -> Self {
        let (tasks, holder) = (Rc::clone(&caller.site.tasks), caller.who.clone());
        Self { caller: Rc::clone(caller), tasks, key, holder, through }
    }

    /// Refuses to hand the task these grants, by `facet` if another client created it.
    fn check_hands(
        &self,
        facet: Facet,
        owner: &Owner,
        grants: &[GrantSpec],
    ) -> Result<(), Failure> {
        let traits = owner.with(TaskTraits::of);
        self.caller.check_hands(facet, &traits, self.through.is_some(), grants)
    }

    /// Refuses to make a task like this from the past of this one.
    fn check_copy(&self, copy: &CoreTask) -> Result<(), Failure> {
        self.caller.check(Facet::Create, &uses::copy(copy))
    }

    /// The task for a client that holds it like this.
    fn held(self, hold: Hold) -> task::Client {
        let dispatch = <task::Client as FromServer<Self>>::from_server(Rc::new(self));
        task::Client { client: hold::task(dispatch, task::Client::TYPE_ID, hold) }
    }

    async fn owner(&self) -> Result<Rc<Owner>, capnp::Error> {
        good(self.stands().await)?;
        good(self.tasks.get(&self.key))
    }

    async fn command(&self, command: &Command) -> Result<Rc<Owner>, capnp::Error> {
        let owner = self.owner().await?;
        crash::point(Step::Received, "command");
        good(owner.record_durably(command).await)?;
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
        let owner = self.owner().await?;
        let head = good(self.tasks.head(&owner))?;
        task_info::write(results.get().init_info(), &self.key, &head);
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
        self.owner().await?;
        let services = self.tasks.services();
        let charge = good(services.accounts.charge(&self.holder, Resource::Followers, 1))?;
        // A cursor before all that is still held is refused here, where its holder hears it.
        let next = services.journal.read(&self.key.tenant, self.key.task, cursor, 0);
        good(next.map_err(JournalError::into_failure))?;
        let share = services.feeds.share(&self.holder);
        let (tasks, key, page) =
            (Rc::clone(&self.tasks), self.key.clone(), limits::EVENTS_AT_FIRST);
        let feed = Feed { tasks, key, cursor, sink, share, page };
        let held = Rc::clone(&self);
        let running = turn::spawn("a feed", async move {
            tokio::select! {
                biased;
                () = held.over() => tracing::debug!("a follower's reference stands no more"),
                Err(failure) = feed.run() => tracing::debug!(%failure, "a follower's feed ended"),
            }
        });
        let lease = Lease { running: RefCell::new(Some(running)), _charge: charge };
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
        let key = good(keys::chosen(text(params.get_key())?))?;
        let value = value.try_map(&mut |_| {
            Err(Malformed(format!("{} objects in an input: grant them instead", table.len())))
        })?;
        good(self.owner().await?.check_account(value.weight()))?;
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
        let reason = format!("{} ({})", reason(params.get()?.get_reason())?, self.holder);
        let why = Failure::new(Code::Cancelled, reason);
        good(self.owner().await?.cancel(why, &self.holder.to_string()).await)
    }

    async fn pause(
        self: Rc<Self>,
        params: task::PauseParams,
        _: task::PauseResults,
    ) -> Result<(), capnp::Error> {
        let reason = reason(params.get()?.get_reason())?;
        let who = self.holder.to_string();
        self.command(&Command::Pause { reason, who, call: None }).await?;
        Ok(())
    }

    async fn fork(
        self: Rc<Self>,
        params: task::ForkParams,
        mut results: task::ForkResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let key = good(keys::chosen(text(params.get_key())?))?;
        let at = EventNumber(params.get_at());
        let program = params.has_program().then(|| params.get_program()).transpose()?;
        let program = program.map(task_spec::read_program).transpose()?;
        let held = Rc::clone(&self);
        let forked = run_detached(async move {
            let may = |copy: &CoreTask| held.check_copy(copy);
            let options = ForkOptions { key: &key, program, may: Some(&may) };
            let forked = held.tasks.fork(&held.key, at, options, &held.holder).await?;
            held.caller.check_still_member(forked.owner.key()).await?;
            Ok(forked)
        });
        let forked = good(forked.await)?;
        self.write_fork(results.get().init_fork(), &forked);
        Ok(())
    }

    async fn retry(
        self: Rc<Self>,
        params: task::RetryParams,
        mut results: task::RetryResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let key = good(keys::chosen(text(params.get_key())?))?;
        let again = params.get_again()?.iter().map(CallNumber).collect();
        let program = params.has_program().then(|| params.get_program()).transpose()?;
        let program = program.map(task_spec::read_program).transpose()?;
        let held = Rc::clone(&self);
        let forked = run_detached(async move {
            let may = |copy: &CoreTask| held.check_copy(copy);
            let options = ForkOptions { key: &key, program, may: Some(&may) };
            let forked = held.tasks.retry(&held.key, &again, options, &held.holder).await?;
            held.caller.check_still_member(forked.owner.key()).await?;
            Ok(forked)
        });
        let forked = good(forked.await)?;
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
        let upgraded = good(self.tasks.upgrade(&self.key, program, &self.holder).await)?;
        fork::write_trial(results.get().init_trial(), &upgraded);
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
        let outcome = self.outcome().await?;
        wire::outcome::write(results.get().init_outcome(), &outcome, &[]);
        Ok(())
    }

    async fn grants(
        self: Rc<Self>,
        _: task::GrantsParams,
        mut results: task::GrantsResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner().await?;
        let held: Vec<_> = owner.with(|task| task.grants().map(|held| held.grant.grant).collect());
        let count = u32::try_from(held.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_grants(count);
        for (at, grant) in (0..count).zip(held) {
            grant_info::write(list.reborrow().get(at), &owner, grant);
        }
        Ok(())
    }

    async fn grant(
        self: Rc<Self>,
        params: task::GrantParams,
        mut results: task::GrantResults,
    ) -> Result<(), capnp::Error> {
        let spec = task_spec::read_grant(params.get()?.get_spec()?)?;
        let owner = self.owner().await?;
        good(self.check_hands(Facet::Steer, &owner, std::slice::from_ref(&spec)))?;
        let granted = good(self.tasks.grant(&owner, spec, &self.holder).await)?;
        results.get().set_grant(granted.0);
        Ok(())
    }

    async fn questions(
        self: Rc<Self>,
        _: task::QuestionsParams,
        mut results: task::QuestionsResults,
    ) -> Result<(), capnp::Error> {
        let items = self.tasks.questions(&self.owner().await?);
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
        let owner = self.owner().await?;
        good(self.check_hands(Facet::Decide, &owner, std::slice::from_ref(&spec)))?;
        let given = good(self.tasks.give(&owner, operation, spec, &self.holder).await)?;
        results.get().set_grant(given.0);
        Ok(())
    }

    async fn refuse(
        self: Rc<Self>,
        params: task::RefuseParams,
        _: task::RefuseResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let operation = CallNumber(params.get_operation());
        let reason = text(params.get_reason())?;
        let who = self.holder.to_string();
        self.command(&Command::RefuseCapability { operation, reason, who }).await?;
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
        good(self.owner().await?.decide_settlement(decided, question).await)
    }

    async fn held(
        self: Rc<Self>,
        params: task::HeldParams,
        mut results: task::HeldResults,
    ) -> Result<(), capnp::Error> {
        let grant = GrantId(params.get()?.get_grant());
        results.get().set_grant(good(grant::client(&self, grant).await)?);
        Ok(())
    }

    async fn save(
        self: Rc<Self>,
        params: task::SaveParams,
        mut results: task::SaveResults,
    ) -> Result<(), capnp::Error> {
        let spec = refs::read_spec(params.get()?.get_spec()?)?;
        let made = self.saved(Target::Task, spec).await?;
        results.get().set_ref(&made.to_bytes());
        results.get().set_id(made.id().to_string());
        Ok(())
    }

    async fn remove(
        self: Rc<Self>,
        _: task::RemoveParams,
        _: task::RemoveResults,
    ) -> Result<(), capnp::Error> {
        good(self.stands().await)?;
        good(run_detached(async move { self.tasks.remove(&self.key, &self.holder).await }).await)
    }
}
