//! How references are kept: one record each, and the key that makes them genuine.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use remit_core::reference::HostKey;
use remit_core::{Code, Failure, GrantId, Identity, RefId, TaskId};
use remit_journal::meta::{self, Batch, Change, MetaError};
use serde::{Deserialize, Serialize};

use super::Refs;
use crate::limits;
use crate::quota::account::{Held, Resource};

/// Keys of references in the store begin so, then tenant and id.
const REFS: &[u8] = b"durable-ref/";

/// The key of the host's own key.
const HOST_KEY: &[u8] = b"durable-key";

/// What is kept of a reference. Its bits are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// SHA-256 of the bits.
    pub hash: [u8; 32],
    /// The task.
    pub task: TaskId,
    /// The grant of that task; `None`: the task itself.
    pub grant: Option<GrantId>,
    /// Whether it is only for looking at the task.
    pub viewer: bool,
    /// Who may restore it, as a SPIFFE name.
    pub owner: String,
    /// Who saved it, as a SPIFFE name.
    pub by: String,
    /// What it is for.
    pub label: String,
    /// When it was saved, in milliseconds since 1970.
    pub created_ms: u64,
    /// Until when it is good, in milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// How many milliseconds it may go without being restored.
    pub unused_ms: Option<u64>,
    /// When it was restored last, in milliseconds since 1970; 0: never.
    pub used_ms: u64,
    /// How often it was restored.
    pub uses: u64,
    /// The reference through which whoever saved it held the task.
    pub parent: Option<[u8; 16]>,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_ms: Option<u64>,
}

/// How a reference stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It can be restored.
    Good,
    /// Its time is over.
    Expired,
    /// It was not restored for too long.
    Unused,
    /// It was revoked.
    Revoked,
}

impl State {
    /// The name that stands in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::Unused => "unused",
            Self::Revoked => "revoked",
        }
    }

    /// Why it restores nothing, if it does not.
    pub fn check(self) -> Result<(), Failure> {
        let (code, why) = match self {
            Self::Good => return Ok(()),
            Self::Expired => (Code::Denied, "the reference has expired: ask for another one"),
            Self::Unused => {
                (Code::Denied, "the reference was not used for too long: ask for another one")
            }
            Self::Revoked => (Code::Revoked, "the reference was revoked"),
        };
        Err(Failure::new(code, why))
    }
}

impl Saved {
    /// By what it is named in lists.
    pub fn id(&self) -> RefId {
        RefId::of(&self.hash)
    }

    /// When it ends if it is not restored again, in milliseconds since 1970.
    fn unused_until_ms(&self) -> Option<u64> {
        Some(self.used_ms.max(self.created_ms).saturating_add(self.unused_ms?))
    }

    fn ended_ms(&self) -> Option<u64> {
        [self.revoked_ms, self.until_ms, self.unused_until_ms()].into_iter().flatten().min()
    }
}

impl Refs {
    /// How a reference stands now. One that was saved through another dies with it.
    pub(super) async fn state(&self, tenant: &str, saved: &Saved) -> State {
        let mut state = self.own_state(saved);
        let mut parent = saved.parent;
        // One above the other, as many as a tenant may have: this does not recurse.
        while state == State::Good
            && let Some(id) = parent
        {
            let Ok(Some(above)) = self.find(tenant, RefId::from_bytes(id)).await else {
                return State::Revoked;
            };
            state = match self.own_state(&above) {
                // How long a parent may lie unused says nothing about what was saved through it.
                State::Unused => State::Good,
                state => state,
            };
            parent = above.parent;
        }
        state
    }

    /// How a reference stands by itself.
    fn own_state(&self, saved: &Saved) -> State {
        let now_ms = (self.now_ms)();
        let id = saved.id();
        if saved.revoked_ms.is_some() || self.revoking.borrow().contains(&id) {
            return State::Revoked;
        }
        if saved.until_ms.is_some_and(|until_ms| now_ms >= until_ms) {
            return State::Expired;
        }
        if saved.unused_until_ms().is_some_and(|until_ms| now_ms >= until_ms) {
            return State::Unused;
        }
        State::Good
    }

    /// The key of this host, made when it is first needed.
    pub(super) async fn key(&self) -> Result<HostKey, Failure> {
        if let Some(key) = self.known_key().await? {
            return Ok(key);
        }
        let fresh: [u8; 32] = rand::random();
        let made = Batch::of(vec![(HOST_KEY.to_vec(), Some(fresh.to_vec()))]);
        match self.meta.commit(made.if_still(HOST_KEY.to_vec(), None)).await {
            // Of two who make one at once, the first has made it.
            Ok(()) | Err(MetaError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        let lost = || Failure::new(Code::Failed, "the key of the references is gone");
        self.known_key().await?.ok_or_else(lost)
    }

    /// The key, if there is one.
    pub(super) async fn known_key(&self) -> Result<Option<HostKey>, Failure> {
        let damaged = |_| {
            let why = "the key of the references is damaged: restore the store from a backup";
            Failure::new(Code::Failed, why)
        };
        let stored = self.meta.get(HOST_KEY).await?;
        stored.map(|key| key.try_into().map(HostKey::new).map_err(damaged)).transpose()
    }

    pub(super) async fn find(&self, tenant: &str, id: RefId) -> Result<Option<Saved>, MetaError> {
        let stored = self.meta.get(&key(tenant, id)).await?;
        stored.map(|bytes| read(&bytes)).transpose()
    }

    pub(super) async fn all(&self, tenant: &str) -> Result<Vec<Saved>, MetaError> {
        let prefix = prefix(tenant);
        // Twice the bound, should two have been saved at once.
        let stored = self.meta.scan(&prefix, limits::REFS * 2).await?;
        stored.iter().map(|(_, bytes)| read(bytes)).collect()
    }

    /// Counts one more that `by` saves in a tenant, and gives the removals of those that ended long
    /// ago, or if there are too many of all that ended. They are looked for now and then, since all
    /// are read for it.
    pub(super) async fn make_room(
        &self,
        tenant: &str,
        by: &Identity,
    ) -> Result<Vec<Change>, Failure> {
        let (by, now_ms) = (by.to_string(), (self.now_ms)());
        let look_ms = millis(limits::REFS_LOOK);
        let mut tenants = self.counted.lock().await;
        let held = tenants.get(tenant).map(|counted| (counted.held(&by), counted.looked_ms));
        let may = |held: Held| held.check(Resource::References, &by, tenant, 1);
        let is_due = held.is_none_or(|(_, looked)| now_ms.saturating_sub(looked) >= look_ms);
        let mut outdated = Vec::new();
        if is_due {
            let is_full = held.is_some_and(|(held, _)| may(held).is_err());
            let remembered_ms = if is_full { 0 } else { millis(limits::REF_REMEMBERED) };
            let (removed, left) = self.outdated(tenant, remembered_ms).await?;
            tenants.insert(tenant.to_owned(), Counted::of(&left, now_ms));
            outdated = removed;
        }
        let Some(counted) = tenants.get_mut(tenant) else { return Ok(outdated) };
        may(counted.held(&by))?;
        counted.all += 1;
        *counted.by.entry(by).or_default() += 1;
        Ok(outdated)
    }

    /// Removals of those that ended so long ago, and the others.
    async fn outdated(
        &self,
        tenant: &str,
        remembered: u64,
    ) -> Result<(Vec<Change>, Vec<Saved>), MetaError> {
        let now_ms = (self.now_ms)();
        let all = self.all(tenant).await?;
        let parents: HashSet<_> = all.iter().filter_map(|saved| saved.parent).collect();
        let is_old = |saved: &Saved| {
            let ended = saved.ended_ms();
            ended.is_some_and(|ended_ms| ended_ms.saturating_add(remembered) < now_ms)
                && !parents.contains(saved.id().as_bytes())
        };
        let (old, left): (Vec<Saved>, Vec<Saved>) = all.into_iter().partition(is_old);
        let removed = old.iter().map(|saved| (key(tenant, saved.id()), None)).collect();
        Ok((removed, left))
    }

    pub(super) async fn put(
        &self,
        tenant: &str,
        saved: &Saved,
        mut with: Vec<Change>,
    ) -> Result<(), Failure> {
        with.push((key(tenant, saved.id()), Some(write(saved)?)));
        let put = self.meta.commit(Batch::of(with)).await;
        if put.is_err() {
            // What was counted is not there: all are counted anew.
            self.counted.lock().await.remove(tenant);
        }
        Ok(put?)
    }

    /// Changes what is kept of a reference, if it is still kept.
    pub(super) async fn update(
        &self,
        tenant: &str,
        id: RefId,
        change: impl Fn(&mut Saved),
    ) -> Result<(), Failure> {
        let changed = |bytes: &[u8]| {
            let mut saved = read(bytes)?;
            change(&mut saved);
            write(&saved).map(Some)
        };
        Ok(meta::update(&*self.meta, &key(tenant, id), changed).await?)
    }
}

/// How many references a tenant has.
pub(super) struct Counted {
    all: u64,
    /// Who saved how many.
    by: HashMap<String, u64>,
    /// When they were all looked at.
    looked_ms: u64,
}

impl Counted {
    fn of(saved: &[Saved], looked_ms: u64) -> Self {
        let mut by: HashMap<String, u64> = HashMap::new();
        for saved in saved {
            *by.entry(saved.by.clone()).or_default() += 1;
        }
        Self { all: saved.len() as u64, by, looked_ms }
    }

    /// What the bounds hold against one that saves another.
    fn held(&self, by: &str) -> Held {
        let identity = self.by.get(by).copied().unwrap_or_default();
        Held { identity, tenant: self.all, process: self.all }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn prefix(tenant: &str) -> Vec<u8> {
    let size = u32::try_from(tenant.len()).unwrap_or(u32::MAX).to_be_bytes();
    [REFS, &size[..], tenant.as_bytes()].concat()
}

fn key(tenant: &str, id: RefId) -> Vec<u8> {
    [&prefix(tenant)[..], id.as_bytes()].concat()
}

fn read(bytes: &[u8]) -> Result<Saved, MetaError> {
    rmp_serde::from_slice(bytes)
        .map_err(|error| MetaError::Damaged(format!("a saved reference cannot be read: {error}")))
}

fn write(saved: &Saved) -> Result<Vec<u8>, MetaError> {
    rmp_serde::to_vec_named(saved)
        .map_err(|error| MetaError::Damaged(format!("a reference cannot be saved: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_journal::audit::Audit;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::BoxFuture;
    use remit_journal::meta::{MemoryMeta, Meta, Record};

    fn saved(number: usize, parent: Option<&Saved>) -> Saved {
        let mut hash = [7; 32];
        hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
        Saved {
            hash,
            task: TaskId::from_bytes([7; 16]),
            grant: None,
            viewer: false,
            owner: "me".into(),
            by: "me".into(),
            label: "one of many".into(),
            created_ms: 0,
            until_ms: None,
            unused_ms: None,
            used_ms: 0,
            uses: 0,
            parent: parent.map(|parent| *parent.id().as_bytes()),
            revoked_ms: None,
        }
    }

    #[tokio::test]
    async fn as_many_references_as_there_may_be_stand_one_on_the_other() {
        let meta = Arc::new(MemoryMeta::new());
        let audit = Audit::in_memory(Box::new(|| 7));
        let refs = Refs::new(meta, audit, "nowhere:1".into(), Box::new(|| 7));
        let mut chain: Vec<Saved> = Vec::new();
        for number in 0..limits::REFS {
            chain.push(saved(number, chain.last()));
        }
        let last = chain.last().unwrap().clone();
        let write = |saved: &Saved| (key("t", saved.id()), Some(write(saved).unwrap()));
        refs.put("t", &last, chain.iter().map(write).collect()).await.unwrap();
        assert_eq!(refs.state("t", &last).await, State::Good);
        let mut first = chain.remove(0);
        first.revoked_ms = Some(3);
        refs.put("t", &first, Vec::new()).await.unwrap();
        assert_eq!(refs.state("t", &last).await, State::Revoked);
    }

    /// Records that count how often many are read.
    #[derive(Default)]
    struct Counting {
        kept: MemoryMeta,
        scans: AtomicUsize,
    }

    impl Meta for Counting {
        fn get(&self, key: &[u8]) -> BoxFuture<'static, Result<Option<Vec<u8>>, MetaError>> {
            self.kept.get(key)
        }

        fn scan(
            &self,
            prefix: &[u8],
            limit: usize,
        ) -> BoxFuture<'static, Result<Vec<Record>, MetaError>> {
            self.scans.fetch_add(1, Ordering::Relaxed);
            self.kept.scan(prefix, limit)
        }

        fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<(), MetaError>> {
            self.kept.commit(batch)
        }
    }

    #[tokio::test]
    async fn saved_references_are_counted_for_each_identity() {
        use std::cell::Cell;
        use std::rc::Rc;

        let meta = Arc::new(Counting::default());
        let audit = Audit::in_memory(Box::new(|| 7));
        let clock = Rc::new(Cell::new(1_000_000));
        let now = Rc::clone(&clock);
        let refs = Refs::new(
            Arc::<Counting>::clone(&meta),
            audit,
            "nowhere:1".into(),
            Box::new(move || now.get()),
        );
        let who = |name| Identity::new("home", "t", remit_core::Role::Client, name).unwrap();
        let (me, you) = (who("me"), who("you"));
        let most = limits::bound(Resource::References).identity;
        let by = |number, by: &Identity| Saved { by: by.to_string(), ..saved(number, None) };
        let mut kept = Vec::new();
        for number in 0..usize::try_from(most).unwrap() {
            let outdated = refs.make_room("t", &me).await.unwrap();
            kept.push(by(number, &me));
            refs.put("t", &kept[number], outdated).await.unwrap();
        }
        let read = meta.scans.load(Ordering::Relaxed);
        let refused = refs.make_room("t", &me).await.unwrap_err();
        assert_eq!(refused.code, Code::Limit);
        assert!(refused.message.contains(&most.to_string()), "{refused}");
        refs.make_room("t", &you).await.unwrap();
        assert_eq!(meta.scans.load(Ordering::Relaxed), read, "none was read for that");
        let ended = Saved { revoked_ms: Some(1_000_000), ..kept[0].clone() };
        refs.put("t", &ended, Vec::new()).await.unwrap();
        assert!(refs.make_room("t", &me).await.is_err(), "it is looked for now and then");
        clock.set(1_000_000 + millis(limits::REFS_LOOK));
        assert_eq!(refs.make_room("t", &me).await.unwrap().len(), 1, "what has ended makes room");
    }
}
