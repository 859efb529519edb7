//! Triggers: what creates tasks or sends input by itself, at a time or when something is posted.

mod due;
pub mod hooks;
pub mod schedule;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use remit_core::task::{Command, Sent};
use remit_core::{Code, Facet, Failure, Identity, MemberGrant, TaskId, Value};
use remit_faults::crash::{self, Step};
use remit_journal::limits::UPDATE_TRIES;
use remit_journal::meta::{self, Batch, Meta, MetaError};
use remit_vat::run_detached::run_detached;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

use self::due::Waiting;
use self::schedule::{Missed, Schedule};
use crate::admission::members::Members;
use crate::admission::members::uses::{self, TaskTraits};
use crate::limits;
use crate::runtime::TaskKey;
use crate::serve::hold::{Hold, TaskNeed, TaskOwnership};
use crate::serve::keys::TRIGGER;
use crate::serve::triggers as stored;
use crate::services::secrets;
use crate::tasks::{TaskSpec, Tasks};

/// Keys of triggers in the store begin so.
const PREFIX: &str = "trigger/";

/// What creates tasks or sends input by itself.
pub struct Triggers {
    meta: Arc<dyn Meta>,
    tasks: Rc<Tasks>,
    members: Rc<Members>,
    now_ms: Box<dyn Fn() -> u64>,
    changed: Rc<Notify>,
    /// When this process began to look at them.
    begun_ms: u64,
    /// Held while a trigger is counted and added.
    putting: Arc<Mutex<()>>,
    /// Those whose time has come and that cannot be set off yet, by name.
    waiting: RefCell<HashMap<String, Waiting>>,
    /// Where posts to webhooks are taken, host:port; unset: nowhere.
    webhooks: OnceCell<String>,
    /// The folder with the secrets of signed webhooks; unset: there are none.
    secrets: OnceCell<PathBuf>,
}

/// A trigger as it is kept.
pub struct StoredTrigger {
    /// Its name.
    pub name: String,
    /// What sets it off.
    pub when: When,
    /// What becomes of times that were missed.
    pub missed: Missed,
    /// What it does.
    pub does: Does,
    /// Who put it, as a SPIFFE name.
    pub creator: String,
    /// When, in milliseconds since 1970.
    pub created_ms: u64,
    /// The time for which it was last set off, in milliseconds since 1970; 0: never.
    pub last_ms: u64,
    /// SHA-256 of a webhook's secret; empty: it has none.
    pub secret_hash: Vec<u8>,
    /// Why it did nothing the last time; empty: it did.
    pub failure: String,
}

/// What sets a trigger off.
pub enum When {
    /// The clock.
    Clock(Schedule),
    /// A post to its webhook.
    Webhook(Hook),
}

/// What a webhook takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// By what a post shows that it may.
    pub proof: Proof,
    /// Headers of a post that stand in the input.
    pub headers: Vec<String>,
}

/// By what a post to a webhook shows that it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The secret that was told when the trigger was put.
    Secret,
    /// A signature of its body, by the secret that the operator keeps for it.
    Signature,
}

/// What a post shows.
#[derive(Clone, Copy)]
pub(crate) enum Shown<'a> {
    /// A secret.
    Secret(&'a str),
    /// A signature of this body.
    Signature(&'a [u8; 32], &'a [u8]),
}

/// A webhook that takes a post.
pub(crate) struct Taken {
    record: Vec<u8>,
    /// Headers that it wants in the input.
    pub(crate) headers: Vec<String>,
}

/// What a trigger does.
pub enum Does {
    /// It creates a task.
    Task(Box<TaskSpec>),
    /// It sends input to one.
    Send {
        /// The task.
        task: TaskId,
        /// The input, if none is posted.
        value: Value,
        /// Whether it steers.
        steer: bool,
    },
}

/// What a trigger did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It created this task, or had done so before.
    Created(TaskId),
    /// It sent input to this one.
    Sent(TaskId),
}

impl Triggers {
    /// The triggers kept on `disk`, for these tasks, by a clock that never goes back.
    /// `members` say what the creator of each may do when it is set off.
    pub fn new(
        meta: Arc<dyn Meta>,
        tasks: Rc<Tasks>,
        members: Rc<Members>,
        now_ms: Box<dyn Fn() -> u64>,
    ) -> Rc<Self> {
        let (changed, begun_ms) = (Rc::default(), now_ms());
        Rc::new(Self {
            meta,
            tasks,
            members,
            now_ms,
            changed,
            begun_ms,
            putting: Arc::default(),
            waiting: RefCell::default(),
            webhooks: OnceCell::new(),
            secrets: OnceCell::new(),
        })
    }

    /// Refuses to send to a task that this member may not steer.
    pub fn check_steers(
        &self,
        who: &Identity,
        grant: &MemberGrant,
        task: TaskId,
    ) -> Result<(), Failure> {
        let owner = self.tasks.get(&TaskKey { tenant: who.tenant().to_owned(), task })?;
        let traits = owner.with(TaskTraits::of);
        let hold =
            Hold::by_name(grant, TaskOwnership::of(&traits, who), &traits.seen(), (self.now_ms)());
        hold.unwrap_or(Hold::viewer()).check(TaskNeed::Steer)
    }

    /// Notes where posts to webhooks are taken. Only the first call counts.
    pub fn listen_at(&self, address: String) {
        let _ = self.webhooks.set(address);
    }

    /// Where posts to webhooks are taken, host:port; empty: nowhere.
    pub fn webhooks(&self) -> &str {
        self.webhooks.get().map_or("", String::as_str)
    }

    /// Notes where the secrets of signed webhooks are. Only the first call counts.
    pub fn keep_secrets_in(&self, dir: PathBuf) {
        let _ = self.secrets.set(dir);
    }

    /// Refuses a signed webhook for which the operator keeps no secret of this creator's that can be
    /// used.
    pub async fn check_signed(&self, who: &Identity, name: &str) -> Result<(), Failure> {
        check_name(name)?;
        let refused = |why| Failure::new(Code::InvalidArgument, why).with_detail("signed");
        let Some(dir) = self.secrets.get() else {
            let why = "the orchestrator keeps no secrets of webhooks: start it with --webhook-secrets DIR or `webhook_secrets` in its configuration";
            return Err(refused(why.to_owned()));
        };
        let kept = secrets::of_file(dir.join(who.name()).join(name)).await;
        kept.map(drop).map_err(|failure| refused(failure.message))
    }

    /// Adds a trigger, or replaces the one of its name if `may_replace` lets it. `encode` writes what is
    /// kept, given the time and the hash of the secret. Durable when it answers, with a webhook's fresh
    /// secret.
    pub async fn put(
        &self,
        who: &Identity,
        name: &str,
        webhook: bool,
        may_replace: impl Fn(&StoredTrigger) -> Result<(), Failure>,
        encode: impl Fn(u64, &[u8]) -> Result<Vec<u8>, Failure>,
    ) -> Result<String, Failure> {
        crash::point(Step::Received, "trigger");
        check_name(name)?;
        let key = key(who.tenant(), name);
        let alone = Rc::new(Arc::clone(&self.putting).lock_owned().await);
        let fresh = self.meta.get(&key).await.map_err(unwritable)?.is_none();
        if fresh && self.list(who.tenant()).await?.len() >= limits::TRIGGERS {
            let why = format!("there are {} triggers: remove some first", limits::TRIGGERS);
            return Err(Failure::new(Code::Limit, why));
        }
        let secret = if webhook { secret() } else { String::new() };
        let hash = if webhook { Sha256::digest(&secret).to_vec() } else { Vec::new() };
        let put = |before: Option<&[u8]>| {
            if self.members.get(who).is_some_and(|member| member.expelled.is_some()) {
                return Err(Failure::new(Code::Denied, format!("{who} was expelled")));
            }
            let before = before.map(stored::decode).transpose()?;
            before.as_ref().map_or(Ok(()), &may_replace)?;
            // Later than the one before, so that each has a time of its own.
            let created_ms = before.map_or(0, |kept| kept.created_ms + 1).max((self.now_ms)());
            let record = encode(created_ms, &hash)?;
            let (bytes, most) = (record.len(), limits::TRIGGER_BYTES);
            if bytes > most {
                let why = format!("a trigger of {bytes} bytes; at most {most}");
                return Err(Failure::new(Code::Limit, why));
            }
            // What cannot be read again would never be set off.
            stored::decode(&record)?;
            Ok(Some(record))
        };
        self.change(&key, put, Some(alone)).await?;
        Ok(secret)
    }

    /// A tenant's triggers by name, as they are kept.
    pub async fn list(&self, tenant: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let prefix = key(tenant, "");
        let kept = self.meta.scan(&prefix, limits::TRIGGERS + 1).await.map_err(unwritable)?;
        Ok(kept.into_iter().map(|(_, record)| record).collect())
    }

    /// Removes a trigger, if `may_remove` lets it. Durable when it answers.
    pub async fn remove(
        &self,
        tenant: &str,
        name: &str,
        may_remove: impl Fn(&StoredTrigger) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let remove = |before: Option<&[u8]>| match before {
            Some(record) => may_remove(&stored::decode(record)?).map(|()| None),
            None => {
                let why = format!("there is no trigger `{name}`; `remit trigger list` lists them");
                Err(Failure::new(Code::NotFound, why))
            }
        };
        self.change(&key(tenant, name), remove, None).await?;
        self.waiting.borrow_mut().remove(name);
        Ok(())
    }

    /// Removes every trigger of this creator; answers how many. Durable when it answers.
    pub async fn remove_of(&self, creator: &Identity) -> Result<usize, Failure> {
        let (tenant, who) = (creator.tenant(), creator.to_string());
        let mut removed = 0;
        for record in self.list(tenant).await? {
            let Ok(kept) = stored::decode(&record) else { continue };
            let gone = || Failure::new(Code::NotFound, "it is another one's by now");
            let is_its =
                |kept: &StoredTrigger| if kept.creator == who { Ok(()) } else { Err(gone()) };
            if is_its(&kept).is_err() {
                continue;
            }
            match self.remove(tenant, &kept.name, is_its).await {
                Ok(()) => removed += 1,
                Err(failure) if failure.code == Code::NotFound => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(removed)
    }

    /// Writes what `decide` makes of the record of a trigger, or removes it, and has the clock look
    /// anew, though the caller may have gone meanwhile. When another writer was first, it decides anew.
    /// `alone` is held until the record is written.
    async fn change(
        &self,
        key: &[u8],
        decide: impl Fn(Option<&[u8]>) -> Result<Option<Vec<u8>>, Failure>,
        alone: Option<Rc<OwnedMutexGuard<()>>>,
    ) -> Result<(), Failure> {
        for _ in 0..UPDATE_TRIES {
            let seen = self.meta.get(key).await.map_err(unwritable)?;
            let change = (key.to_vec(), decide(seen.as_deref())?);
            let written = self.meta.commit(Batch::of(vec![change]).if_still(key.to_vec(), seen));
            let (changed, alone) = (Rc::clone(&self.changed), alone.clone());
            let written = run_detached(async move {
                let written = written.await;
                drop(alone);
                if written.is_ok() {
                    crash::point(Step::Flushed, "trigger");
                    changed.notify_one();
                }
                Ok(written)
            });
            match written.await? {
                Err(MetaError::Conflict) => {}
                written => return written.map_err(unwritable),
            }
        }
        Err(unwritable(MetaError::Conflict))
    }

    /// Notes for which time a trigger was set off last, if it was, and why it does nothing. One that
    /// was replaced meanwhile is left as it is.
    pub(crate) async fn note(
        &self,
        tenant: &str,
        (name, created_ms): (&str, u64),
        at_ms: Option<u64>,
        failure: &str,
    ) -> Result<(), Failure> {
        let noted = |record: &[u8]| {
            let is_same = stored::decode(record)?.created_ms == created_ms;
            is_same.then(|| stored::noted(record, at_ms, failure)).transpose()
        };
        meta::update(&*self.meta, &key(tenant, name), noted).await
    }

    /// What a trigger does, once for each `occasion`.
    async fn set_off(
        &self,
        tenant: &str,
        record: &[u8],
        occasion: &str,
        body: Option<Value>,
    ) -> Result<Done, Failure> {
        let kept = stored::decode(record)?;
        let creator: Identity =
            kept.creator.parse().map_err(|error: remit_core::identity::NotAnIdentity| {
                Failure::new(Code::Failed, error.to_string())
            })?;
        let key = format!("{TRIGGER}{}/{}/{occasion}", kept.name, kept.created_ms);
        // Now, not when it was put: a member that was expelled does nothing any more.
        let grant = self.members.granted(&creator);
        match kept.does {
            Does::Task(mut spec) => {
                grant.check(Facet::Create, &uses::creation(&spec)?, (self.now_ms)())?;
                spec.key = key;
                spec.input = body.unwrap_or(spec.input);
                let owner = self.tasks.create(*spec, &creator).await.map_err(not_there)?;
                tracing::info!(trigger = kept.name, task = %owner.key().task, "set off");
                Ok(Done::Created(owner.key().task))
            }
            Does::Send { task, value, steer } => {
                self.check_steers(&creator, &grant, task)?;
                let owner = self.tasks.working(&TaskKey { tenant: tenant.to_owned(), task })?;
                let sender = format!("trigger:{}", kept.name);
                let sent = Sent { value: body.unwrap_or(value), sender, key, steer };
                owner.record_durably(&Command::AcceptInput(Box::new(sent))).await?;
                Ok(Done::Sent(task))
            }
        }
    }

    /// What a post sets off at a webhook that has taken it.
    pub(crate) async fn posted(
        &self,
        tenant: &str,
        name: &str,
        taken: &Taken,
        occasion: &str,
        input: Value,
    ) -> Result<Done, Failure> {
        let done = self.set_off(tenant, &taken.record, occasion, Some(input)).await;
        let failure = done.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let of = (name, stored::decode(&taken.record)?.created_ms);
        // What was set off is done and acknowledged: a failed note must not have it posted again.
        if let Err(error) = self.note(tenant, of, Some((self.now_ms)()), &failure).await {
            tracing::warn!(trigger = name, %error, "when a webhook was last used is not written down");
        }
        done
    }

    /// The webhook of this name, if the post shows what it asks for. `None`: there is none, or it
    /// does not; who posts is not told which.
    pub(crate) async fn takes(
        &self,
        tenant: &str,
        name: &str,
        shown: Shown<'_>,
    ) -> Result<Option<Taken>, Failure> {
        if check_name(name).is_err() {
            return Ok(None);
        }
        let found = self.read(tenant, name).await?;
        // Compared even if there is nothing to compare with, so that both take as long.
        let (proof, same) = match shown {
            Shown::Secret(secret) => {
                let hash = found.as_ref().map_or(&[0; 32][..], |(kept, _)| &kept.secret_hash);
                let same: bool = Sha256::digest(secret).as_slice().ct_eq(hash).into();
                (Proof::Secret, same)
            }
            Shown::Signature(signature, body) => {
                let is_signed = |kept: &StoredTrigger| matches!(&kept.when, When::Webhook(hook) if hook.proof == Proof::Signature);
                let signed = found.as_ref().filter(|(kept, _)| is_signed(kept));
                let creator = signed.and_then(|(kept, _)| kept.creator.parse().ok());
                let secret = self.signing(creator.as_ref(), name).await;
                let other = secret.is_none();
                let secret = secret.unwrap_or_else(|| remit_vat::chance::bytes::<32>().to_vec());
                (Proof::Signature, secrets::is_signed(&secret, body, signature) && !other)
            }
        };
        let Some((before, _)) = found else { return Ok(None) };
        // The secret was that of the trigger that was there before it was read.
        let is_same = |(kept, _): &(StoredTrigger, _)| {
            (&kept.creator, kept.created_ms) == (&before.creator, before.created_ms)
        };
        let found = self.read(tenant, name).await?.filter(is_same);
        Ok(found.and_then(|(kept, record)| match kept.when {
            When::Webhook(hook) if same && hook.proof == proof => {
                Some(Taken { record, headers: hook.headers })
            }
            _ => None,
        }))
    }

    async fn read(
        &self,
        tenant: &str,
        name: &str,
    ) -> Result<Option<(StoredTrigger, Vec<u8>)>, Failure> {
        let record = self.meta.get(&key(tenant, name)).await.map_err(unwritable)?;
        record.map(|record| stored::decode(&record).map(|kept| (kept, record))).transpose()
    }

    /// The secret by which posts to this webhook of this creator are signed.
    async fn signing(&self, creator: Option<&Identity>, name: &str) -> Option<Vec<u8>> {
        let file = self.secrets.get()?.join(creator?.name()).join(name);
        secrets::of_file(file)
            .await
            .inspect_err(|failure| tracing::warn!(trigger = name, %failure, "a post is refused"))
            .ok()
    }
}

/// Refuses what is no name of a trigger.
fn check_name(name: &str) -> Result<(), Failure> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.len() <= 64 && name.chars().all(good) {
        return Ok(());
    }
    let why = "a trigger's name is 1 to 64 letters, digits, `-` and `_`";
    Err(Failure::new(Code::InvalidArgument, why).with_detail("name"))
}

fn key(tenant: &str, name: &str) -> Vec<u8> {
    format!("{PREFIX}{tenant}/{name}").into_bytes()
}

fn secret() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// A tool that no node has offered since the start may be offered in a moment.
fn not_there(failure: Failure) -> Failure {
    match failure.code {
        Code::NotFound => Failure { code: Code::Unavailable, ..failure },
        _ => failure,
    }
}

fn unwritable(error: MetaError) -> Failure {
    let failure = Failure::from(error);
    let message = format!("triggers cannot be read or written: {}", failure.message);
    Failure { message, ..failure }
}
