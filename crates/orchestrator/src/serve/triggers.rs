//! Triggers, for a client; and the form in which they are kept.

use std::rc::Rc;

use remit_core::{Code, Facet, Failure, Value};
use remit_schema::trigger_capnp::{stored_trigger, trigger, triggers};
use remit_vat::exception::to_exception;
use remit_vat::wire::{self, Malformed};

use super::caller::Caller;
use super::{good, task_spec};
use crate::admission::members::uses::TaskTraits;
use crate::limits;
use crate::runtime::TaskKey;
use crate::services::triggers::hooks::check_headers;
use crate::services::triggers::schedule::{Missed, NotASchedule, Schedule};
use crate::services::triggers::{Does, Hook, Proof, StoredTrigger, When};
use crate::tasks::GrantRoot;

/// The triggers of one tenant, for one of its clients.
pub(super) struct TriggersServer(pub(super) Rc<Caller>);

impl TriggersServer {
    /// Refuses to replace or remove the trigger of another client, without `steer`.
    fn check_own(&self, kept: &StoredTrigger) -> Result<(), Failure> {
        let caller = &self.0;
        if kept.creator == caller.who.to_string() {
            return Ok(());
        }
        if caller.usable().has(Facet::Steer) {
            // Under a caveat on the facet, what it creates or sends to must be in reach.
            return match caller.grant.looks_at_use(Facet::Steer) {
                true => caller.check(Facet::Steer, &traits_of(caller, kept)?.seen()),
                false => Ok(()),
            };
        }
        let why =
            format!("the trigger `{}` is another client's: changing it takes `steer`", kept.name);
        Err(Failure::new(Code::Denied, why))
    }

    /// Whether the client sees a trigger: its own, and those that act on tasks that it sees.
    fn sees(&self, kept: &StoredTrigger) -> bool {
        let caller = &self.0;
        kept.creator == caller.who.to_string()
            || traits_of(caller, kept)
                .is_ok_and(|traits| caller.sees().has(&traits.name, &traits.creator))
    }

    /// Refuses a trigger for a task that its creator may not steer, or not create.
    fn check_target(&self, reader: trigger::Reader<'_>) -> Result<(), Failure> {
        let (spec, task) = match reader.get_does().which().map_err(Malformed::from)? {
            trigger::does::Task(spec) => {
                (Some(task_spec::read(spec.map_err(Malformed::from)?)?), String::new())
            }
            trigger::does::Send(send) => (None, wire::text(send.get_task())?),
        };
        if let Some(spec) = spec {
            return self.0.check_creates(&spec);
        }
        let task = self.0.key(&task)?.task;
        self.0.site.triggers.check_steers(&self.0.who, &self.0.grant, task)
    }
}

/// The task that a trigger creates, or sends to, as caveats see it.
fn traits_of(caller: &Caller, kept: &StoredTrigger) -> Result<TaskTraits, Failure> {
    match &kept.does {
        Does::Task(spec) => {
            Ok(TaskTraits { name: spec.name.clone(), creator: kept.creator.clone() })
        }
        Does::Send { task, .. } => {
            let key = TaskKey { tenant: caller.who.tenant().to_owned(), task: *task };
            Ok(caller.site.tasks.get(&key)?.with(TaskTraits::of))
        }
    }
}

impl triggers::Server for TriggersServer {
    async fn put(
        self: Rc<Self>,
        params: triggers::PutParams,
        mut results: triggers::PutResults,
    ) -> Result<(), capnp::Error> {
        let reader = params.get()?.get_trigger()?;
        let name = wire::text(reader.get_name())?;
        good(self.check_target(reader))?;
        let is_hook = matches!(reader.get_when().which(), Ok(trigger::when::Webhook(())));
        let hook = read_hook(reader)?;
        if is_hook {
            good(check_headers(&hook.headers))?;
            if hook.proof == Proof::Signature {
                good(self.0.site.triggers.check_signed(&self.0.who, &name).await)?;
            }
        }
        let told = is_hook && hook.proof == Proof::Secret;
        let creator = self.0.who.to_string();
        let own = |kept: &StoredTrigger| self.check_own(kept);
        let put = self.0.site.triggers.put(&self.0.who, &name, told, own, |now_ms, hash| {
            let mut message = capnp::message::Builder::new_default();
            let mut kept: stored_trigger::Builder<'_> = message.init_root();
            kept.set_trigger(reader).map_err(|error| Failure::from(Malformed::from(error)))?;
            kept.set_creator(&creator);
            kept.set_created_ms(now_ms);
            kept.set_secret_hash(hash);
            Ok(capnp::serialize::write_message_to_words(&message))
        });
        results.get().set_secret(put.await.map_err(|failure| to_exception(&failure))?);
        Ok(())
    }

    async fn list(
        self: Rc<Self>,
        _: triggers::ListParams,
        mut results: triggers::ListResults,
    ) -> Result<(), capnp::Error> {
        let mut listed = good(self.0.site.triggers.list(self.0.who.tenant()).await)?;
        listed.retain(|record| decode(record).is_ok_and(|kept| self.sees(&kept)));
        let count = u32::try_from(listed.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_triggers(count);
        for (at, record) in (0..count).zip(&listed) {
            let mut info = list.reborrow().get(at);
            let kept = decode(record).map_err(|failure| to_exception(&failure))?;
            info.set_creator(&kept.creator);
            info.set_created_ms(kept.created_ms);
            info.set_last_ms(kept.last_ms);
            info.set_failure(&kept.failure);
            if let When::Clock(schedule) = &kept.when {
                let since = kept.last_ms.max(kept.created_ms);
                info.set_next_ms(schedule.next(since).unwrap_or_default());
            }
            let message = open(record)?;
            let kept: stored_trigger::Reader<'_> = message.get_root()?;
            // Without the program: a list must fit a message.
            brief(info.init_trigger(), kept.get_trigger()?)?;
        }
        Ok(())
    }

    async fn remove(
        self: Rc<Self>,
        params: triggers::RemoveParams,
        _: triggers::RemoveResults,
    ) -> Result<(), capnp::Error> {
        let name = wire::text(params.get()?.get_name())?;
        let own = |kept: &StoredTrigger| self.check_own(kept);
        let removed = self.0.site.triggers.remove(self.0.who.tenant(), &name, own).await;
        removed.map_err(|failure| to_exception(&failure))
    }
}

fn brief(mut to: trigger::Builder<'_>, from: trigger::Reader<'_>) -> Result<(), capnp::Error> {
    to.set_name(from.get_name()?);
    match from.get_when().which()? {
        trigger::when::Cron(cron) => {
            let mut to = to.reborrow().init_when().init_cron();
            to.set_expression(cron.get_expression()?);
            to.set_time_zone(cron.get_time_zone()?);
        }
        trigger::when::Every(ms) => to.reborrow().init_when().set_every(ms),
        trigger::when::Webhook(()) => to.reborrow().init_when().set_webhook(()),
    }
    match from.get_proof().which()? {
        trigger::proof::Secret(()) => to.reborrow().init_proof().set_secret(()),
        trigger::proof::Signature(()) => to.reborrow().init_proof().set_signature(()),
    }
    to.set_headers(from.get_headers()?)?;
    match from.get_missed().which()? {
        trigger::missed::Once(()) => to.reborrow().init_missed().set_once(()),
        trigger::missed::Skip(()) => to.reborrow().init_missed().set_skip(()),
        trigger::missed::All(()) => to.reborrow().init_missed().set_all(()),
    }
    match from.get_does().which()? {
        trigger::does::Task(spec) => {
            let spec = spec?;
            let mut to = to.init_does().init_task();
            to.set_name(spec.get_name()?);
            to.set_agent(spec.get_agent()?);
            to.set_entry(spec.get_entry()?);
        }
        trigger::does::Send(send) => {
            let mut to = to.init_does().init_send();
            to.set_task(send.get_task()?);
            to.set_steer(send.get_steer());
        }
    }
    Ok(())
}

fn open(
    record: &[u8],
) -> Result<capnp::message::Reader<capnp::serialize::OwnedSegments>, capnp::Error> {
    let mut options = capnp::message::ReaderOptions::new();
    options.traversal_limit_in_words(Some(limits::TRIGGER_BYTES));
    let mut bytes = record;
    capnp::serialize::read_message(&mut bytes, options)
}

/// Reads a trigger as it is kept, or says what is wrong with it.
pub fn decode(record: &[u8]) -> Result<StoredTrigger, Failure> {
    let message = open(record).map_err(|error| Failure::from(Malformed::from(error)))?;
    let read = || read(message.get_root()?);
    let (kept, when) = read().map_err(Failure::from)?;
    let when = when
        .map_err(|not| Failure::new(Code::InvalidArgument, not.to_string()).with_detail("when"))?;
    if let Does::Task(spec) = &kept.does
        && let Some(grant) = spec.grants.iter().find(|g| !matches!(g.root, GrantRoot::Tool { .. }))
    {
        let why = format!(
            "the grant `{}` is an object of the caller's process, which is gone when the trigger is set off: grant tools",
            grant.name
        );
        return Err(Failure::new(Code::InvalidArgument, why).with_detail("grants"));
    }
    Ok(StoredTrigger { when, ..kept })
}

/// What a webhook takes.
fn read_hook(trigger: trigger::Reader<'_>) -> Result<Hook, Malformed> {
    let proof = match trigger.get_proof().which()? {
        trigger::proof::Secret(()) => Proof::Secret,
        trigger::proof::Signature(()) => Proof::Signature,
    };
    Ok(Hook { proof, headers: super::texts(trigger.get_headers()?)? })
}

type Read = (StoredTrigger, Result<When, NotASchedule>);

fn read(reader: stored_trigger::Reader<'_>) -> Result<Read, Malformed> {
    let trigger = reader.get_trigger()?;
    let created_ms = reader.get_created_ms();
    let when = match trigger.get_when().which()? {
        trigger::when::Cron(cron) => {
            let expression = wire::text(cron.get_expression())?;
            let zone = wire::text(cron.get_time_zone())?;
            Schedule::cron(&expression, &zone, created_ms).map(When::Clock)
        }
        trigger::when::Every(ms) => Schedule::every(ms, created_ms).map(When::Clock),
        trigger::when::Webhook(()) => Ok(When::Webhook(read_hook(trigger)?)),
    };
    let missed = match trigger.get_missed().which()? {
        trigger::missed::Once(()) => Missed::Once,
        trigger::missed::Skip(()) => Missed::Skip,
        trigger::missed::All(()) => Missed::All,
    };
    let does = match trigger.get_does().which()? {
        trigger::does::Task(spec) => Does::Task(Box::new(task_spec::read(spec?)?)),
        trigger::does::Send(send) => {
            let (value, _) = wire::value::read(send.get_value()?)?;
            let value: Value = value.try_map(&mut |_| {
                Err(Malformed("an object in an input: grant it instead".into()))
            })?;
            let task = wire::text(send.get_task())?
                .parse()
                .map_err(|error: remit_core::id::NotATaskId| Malformed(error.to_string()))?;
            Does::Send { task, value, steer: send.get_steer() }
        }
    };
    let kept = StoredTrigger {
        name: wire::text(trigger.get_name())?,
        when: When::Webhook(Hook { proof: Proof::Secret, headers: Vec::new() }),
        missed,
        does,
        creator: wire::text(reader.get_creator())?,
        created_ms,
        last_ms: reader.get_last_ms(),
        secret_hash: reader.get_secret_hash()?.to_vec(),
        failure: wire::text(reader.get_failure())?,
    };
    Ok((kept, when))
}

/// The record after the trigger was set off for this time, if it was.
pub fn noted(record: &[u8], at_ms: Option<u64>, failure: &str) -> Result<Vec<u8>, Failure> {
    let note = || {
        let message = open(record)?;
        let mut noted = capnp::message::Builder::new_default();
        noted.set_root(message.get_root::<stored_trigger::Reader<'_>>()?)?;
        let mut kept: stored_trigger::Builder<'_> = noted.get_root()?;
        if let Some(at_ms) = at_ms {
            kept.set_last_ms(at_ms);
        }
        kept.set_failure(failure.chars().take(500).collect::<String>());
        Ok(capnp::serialize::write_message_to_words(&noted))
    };
    note().map_err(|error: capnp::Error| Failure::from(Malformed::from(error)))
}
