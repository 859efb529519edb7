//! New tasks: what a specification comes to, and how it is written and put to work.

use std::rc::Rc;

use remit_core::event::{Event, Fact, TaskCreated};
use remit_core::identity::NotAnIdentity;
use remit_core::task::{Command, Decision, Refusal};
use remit_core::{Code, Failure, GrantId, Identity, Task, TaskId};
use remit_faults::crash::{self, Step};
use remit_journal::{Family, TaskHead};
use remit_schema::object_capnp::object;
use remit_vat::chance;
use remit_vat::run_detached::run_detached;

use super::spec::check;
use super::{TaskSpec, Tasks, spec, unreadable};
use crate::limits;
use crate::quota::account::Resource;
use crate::runtime::{Owner, TaskKey, footprint};
use crate::scheduler::registry::manifest_bytes;

/// The first events of a task, the state after them, and the live roots of its grants.
type Beginning = (Vec<Event>, Task, Vec<(GrantId, object::Client)>);

impl Tasks {
    /// Makes a task. Durable when it answers; a key seen before gives the task that it made.
    pub async fn create(&self, spec: TaskSpec, creator: &Identity) -> Result<Rc<Owner>, Failure> {
        check(&spec)?;
        let tenant = creator.tenant().to_owned();
        let journal = &self.services.journal;
        if !spec.key.is_empty()
            && let Some(task) = journal.find_key(&tenant, &spec.key).await.map_err(unreadable)?
        {
            return self.made_by(&TaskKey { tenant, task }, creator);
        }
        if spec.parent.is_some() {
            // Those that are not in memory yet count too.
            self.recovered().await;
        }
        let most = (limits::FAMILY_TASKS, limits::FAMILY_TOTAL);
        let below = |parent| TaskKey { tenant: tenant.clone(), task: parent };
        let family =
            spec.parent.map(|parent| self.place_below(&below(parent), most)).transpose()?;
        self.expect_tools(&spec.grants).await;
        let now_ms = (self.services.now_ms)();
        let id = spec.id.unwrap_or_else(|| TaskId::new(now_ms, chance::bytes()));
        let key = TaskKey { tenant, task: id };
        let creation_key = spec.key.clone();
        let (events, task, own) = self.first_events(spec, creator, now_ms)?;
        let (who, bytes) = (creator.to_string(), footprint(&task));
        let accounts = &self.services.accounts;
        accounts.check(&who, &key.tenant, Resource::TaskBytes, bytes)?;
        accounts.check(&who, &key.tenant, Resource::DiskBytes, task.stored_bytes())?;
        let owner = Owner::new(key, task, Rc::clone(&self.services));
        for (grant, object) in own {
            owner.hold_own(grant, object);
        }
        self.admit(owner, events, (&creation_key, family)).await
    }

    /// The task that was made under a creation key, for the one who made it: a key of another's gives
    /// no hold on another's task.
    pub(super) fn made_by(&self, key: &TaskKey, creator: &Identity) -> Result<Rc<Owner>, Failure> {
        let owner = self.get(key)?;
        if owner.with(|task| task.created().creator == creator.to_string()) {
            return Ok(owner);
        }
        let why = "another client made a task under this idempotency key: choose another key";
        Err(Failure::new(Code::InvalidArgument, why).with_detail("key"))
    }

    /// Writes the first events of a task, and puts its owner to work: both, though whoever asked may
    /// have gone meanwhile. The one that it answers is another task's, if that was made under the
    /// same key.
    pub(super) async fn admit(
        &self,
        owner: Rc<Owner>,
        events: Vec<Event>,
        (creation_key, family): (&str, Option<Family>),
    ) -> Result<Rc<Owner>, Failure> {
        let (tasks, key) = (self.me.clone(), creation_key.to_owned());
        run_detached(async move {
            let away = || Failure::new(Code::Unavailable, "the orchestrator is going away");
            let tasks = tasks.upgrade().ok_or_else(away)?;
            tasks.write_and_begin(owner, events, (&key, family)).await
        })
        .await
    }

    async fn write_and_begin(
        &self,
        owner: Rc<Owner>,
        events: Vec<Event>,
        (creation_key, family): (&str, Option<Family>),
    ) -> Result<Rc<Owner>, Failure> {
        let (journal, key) = (&self.services.journal, owner.key().clone());
        let head = TaskHead { key: creation_key.to_owned(), family, ..owner.head() };
        let events_end = head.number;
        crash::point(Step::Decided, "task-created");
        // In the table before it is on disk: whoever finds the task in a list of the journal gets this
        // owner, and not a second writer.
        owner.is_unwritten();
        self.owners.borrow_mut().insert(key.clone(), Rc::clone(&owner));
        let appending = journal.append(&key.tenant, key.task, &events, head);
        crash::point(Step::Appended, "task-created");
        let appended = appending.await;
        crash::point(Step::Flushed, "task-created");
        if let Err(error) = appended {
            let why = format!("the task was not created, the journal cannot be written: {error}");
            let failure = Failure::new(Code::Unavailable, why);
            self.let_go(&owner);
            owner.stand_still(failure.clone());
            // The same key at the same time from elsewhere: the first one made the task.
            if !creation_key.is_empty()
                && let Ok(Some(task)) = journal.find_key(&key.tenant, creation_key).await
            {
                let creator = owner.with(|task| task.created().creator.parse());
                let creator: Identity = creator.map_err(|error: NotAnIdentity| {
                    Failure::new(Code::Failed, error.to_string())
                })?;
                return self.made_by(&TaskKey { tenant: key.tenant, task }, &creator);
            }
            return Err(failure);
        }
        owner.is_written(events_end);
        if self.placing.borrow().is_none() {
            let why = "the task was created, and is taken up when the orchestrator is back";
            return Err(Failure::new(Code::Unavailable, why));
        }
        let head = owner.head();
        let accounts = &self.services.accounts;
        accounts.grow(&head.creator, &key.tenant, Resource::DiskBytes, head.bytes);
        tracing::info!(task = %key.task, name = head.name, "task created");
        self.begin(Rc::clone(&owner));
        Ok(owner)
    }

    fn first_events(
        &self,
        spec: TaskSpec,
        creator: &Identity,
        now_ms: u64,
    ) -> Result<Beginning, Failure> {
        let created = TaskCreated {
            name: spec.name,
            agent: spec.agent,
            source: spec.source,
            entry: spec.entry,
            input: spec.input,
            seed: chance::bytes::<32>().to_vec(),
            labels: spec.labels,
            creator: creator.to_string(),
            deadline_ms: spec.deadline_ms,
            memory_bytes: spec.memory_bytes,
            export: spec.export,
            parent: spec.parent,
            detached: spec.detached,
            limits: spec.limits,
        };
        let bug = |error: remit_core::task::Rejected| Failure::new(Code::Failed, error.to_string());
        let first = Event {
            number: remit_core::EventNumber(1),
            time_ms: now_ms,
            fact: Fact::TaskCreated(Box::new(created)),
        };
        let mut task = Task::begin(&first).map_err(bug)?;
        let mut events = vec![first];
        let mut own = Vec::new();
        let mut granted_bytes = 0;
        for spec in spec.grants {
            let name = spec.name.clone();
            let (grant, object) = self.resolve(spec, creator)?;
            granted_bytes += manifest_bytes(&grant.manifest);
            if granted_bytes > limits::GRANTED_BYTES {
                return Err(too_much_granted());
            }
            let command = Command::AddGrant(Box::new(grant));
            let refused = |refusal: Refusal| spec::of_grant(&name, refusal.into_failure());
            let decision = task.decide(&command, now_ms).map_err(refused)?;
            let Decision::Record(facts) = decision else { continue };
            for fact in facts {
                if let (Fact::GrantAdded(grant), Some(object)) = (&fact, &object) {
                    own.push((grant.grant, object.clone()));
                }
                let event = Event { number: task.head().number.next(), time_ms: now_ms, fact };
                task.apply(&event).map_err(bug)?;
                events.push(event);
            }
        }
        spec::check_needs(&task)?;
        Ok((events, task, own))
    }
}

fn too_much_granted() -> Failure {
    let why = format!(
        "the tools of these grants describe themselves in more than {} MiB: hand the task fewer of them, and others when it runs",
        limits::GRANTED_BYTES >> 20
    );
    Failure::new(Code::Limit, why)
}
