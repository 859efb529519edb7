//! Invites: who may join, once, with what authority, and until when.
//!
//! Only the hash of a secret is kept, durably, so that an invite that was used stays used. A member
//! has one invite at most: a fresh one takes the place of one that still waits.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use remit_core::{Code, Failure, Identity, MemberGrant, Role};
use remit_identity::join::Invite;
use remit_journal::meta::{self, Batch, Change, Meta, MetaError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use crate::admission::members::kept;
use crate::limits;
use crate::quota::account::{Held, Resource};

/// Keys of invites in the store begin so; the journal's begin otherwise.
const PREFIX: &[u8] = b"invite/";

/// The invites that wait to be used.
pub struct Invites {
    meta: Arc<dyn Meta>,
    address: String,
    authority_hash: [u8; 32],
    now_ms: Box<dyn Fn() -> u64>,
    /// Held while one is made, so that many made at once are counted as well.
    making: Mutex<()>,
}

/// What an invite offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Who may join by it.
    pub identity: Identity,
    /// What the member is granted.
    pub grant: MemberGrant,
    /// Who offers it.
    pub by: Identity,
    /// Whether it takes the place of a member of that name.
    pub again: bool,
    /// Until when it can be used, in milliseconds since 1970.
    pub until_ms: u64,
}

/// The same as it is kept.
#[derive(Serialize, Deserialize)]
struct StoredInvite {
    identity: String,
    may: String,
    #[serde(default)]
    caveats: Vec<String>,
    by: String,
    again: bool,
    until_ms: u64,
}

/// An invite that is good, and not used yet.
pub struct Waiting {
    /// What it offers.
    pub offer: Offer,
    key: Vec<u8>,
    record: Vec<u8>,
}

/// Why an invite does not work, for the joiner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotGood {
    /// It was used, has been replaced or withdrawn, or never was.
    #[error(
        "the invite is not known: it was used, replaced or withdrawn, or has expired. Ask for another one"
    )]
    Unknown,
    /// Its time is over.
    #[error("the invite has expired. Ask for another one")]
    Expired,
    /// It cannot be looked up or used up now.
    #[error("the invite cannot be used now, try again: {0}")]
    Unavailable(#[from] MetaError),
}

impl Invites {
    /// Invites kept in `meta`, to the orchestrator at `address` whose authority has this hash.
    pub fn new(
        meta: Arc<dyn Meta>,
        address: String,
        authority_hash: [u8; 32],
        now_ms: Box<dyn Fn() -> u64>,
    ) -> Rc<Self> {
        Rc::new(Self { meta, address, authority_hash, now_ms, making: Mutex::new(()) })
    }

    /// A fresh invite that is good once within `ttl`, in place of an earlier one for the same
    /// identity that still waits. Durable when it answers.
    pub async fn create(&self, offer: Offer, ttl: Duration) -> Result<Invite, Failure> {
        let refuse = |code, why: String| Err(Failure::new(code, why));
        if offer.identity.role() == Role::Orchestrator {
            let why = "nobody is invited as an orchestrator: a mesh has one, with the authority";
            return refuse(Code::InvalidArgument, why.to_owned());
        }
        if !(limits::INVITE_SHORTEST..=limits::INVITE_LONGEST).contains(&ttl) {
            let why = format!("an invite for {ttl:?}: it may be good for 1 second to 7 days");
            return refuse(Code::InvalidArgument, why);
        }
        let _alone = self.making.lock().await;
        let (mut writes, held) = self.outdated(&offer).await?;
        let (by, tenant) = (offer.by.to_string(), offer.identity.tenant().to_owned());
        held.check(Resource::Invites, &by, &tenant, 1)?;
        let secret: [u8; 32] = rand::random();
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let until_ms = (self.now_ms)().saturating_add(ttl_ms);
        writes.push((key(&secret), Some(write(&Offer { until_ms, ..offer })?)));
        self.meta.commit(Batch::of(writes)).await?;
        Ok(Invite { address: self.address.clone(), authority_hash: self.authority_hash, secret })
    }

    /// Looks up the invite with this secret. It is not used yet.
    pub async fn find(&self, secret: &[u8]) -> Result<Waiting, NotGood> {
        let key = key(secret);
        let record = self.meta.get(&key).await?.ok_or(NotGood::Unknown)?;
        let offer = parse(&record).ok_or(NotGood::Unknown)?;
        if (self.now_ms)() >= offer.until_ms {
            return Err(NotGood::Expired);
        }
        Ok(Waiting { offer, key, record })
    }

    /// Uses it up and writes `entry`, both or neither. Durable when it answers; of two who do so at
    /// once, one is refused.
    pub async fn use_up(&self, waiting: Waiting, entry: Change) -> Result<(), NotGood> {
        let Waiting { key, record, .. } = waiting;
        let batch = Batch::of(vec![(key.clone(), None), entry]).if_still(key, Some(record));
        match self.meta.commit(batch).await {
            Err(MetaError::Conflict) => Err(NotGood::Unknown),
            taken => Ok(taken?),
        }
    }

    /// The invites of a tenant that can still be used, the first to expire first.
    pub async fn list(&self, tenant: &str) -> Result<Vec<Offer>, Failure> {
        let now_ms = (self.now_ms)();
        let kept = self.kept().await?;
        let good = |offer: &Offer| offer.identity.tenant() == tenant && offer.until_ms > now_ms;
        let offers = kept.into_iter().filter_map(|(_, record)| parse(&record));
        let mut offers: Vec<Offer> = offers.filter(good).collect();
        offers.sort_by_key(|offer| offer.until_ms);
        Ok(offers)
    }

    /// Withdraws every invite that is `meant`, and gives them; one that was used meanwhile is not
    /// among them. Durable when it answers.
    pub async fn withdraw(&self, meant: impl Fn(&Offer) -> bool) -> Result<Vec<Offer>, Failure> {
        let kept = self.kept().await?;
        let found = kept.into_iter().filter_map(|(key, record)| {
            let offer = parse(&record)?;
            Some((key, record, offer))
        });
        let found = found.filter(|(_, _, offer)| meant(offer));
        let removed = found.map(|(key, record, offer)| {
            let batch = Batch::of(vec![(key.clone(), None)]).if_still(key, Some(record));
            let removed = self.meta.commit(batch);
            async move {
                match removed.await {
                    Ok(()) => Ok(Some(offer)),
                    // It was used meanwhile, so it is not withdrawn.
                    Err(MetaError::Conflict) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        });
        let withdrawn = join_all(removed).await.into_iter().filter_map(Result::transpose);
        Ok(withdrawn.collect::<Result<_, MetaError>>()?)
    }

    /// Removals of invites that have expired or are for whom `fresh` is, and how many others wait.
    async fn outdated(&self, fresh: &Offer) -> Result<(Vec<Change>, Held), MetaError> {
        let now_ms = (self.now_ms)();
        let mut outdated = Vec::new();
        let mut held = Held { identity: 0, tenant: 0, process: 0 };
        for (key, record) in self.kept().await? {
            let waits = |offer: &Offer| offer.until_ms > now_ms && offer.identity != fresh.identity;
            let Some(offer) = parse(&record).filter(waits) else {
                outdated.push((key, None));
                continue;
            };
            held.process += 1;
            held.tenant += u64::from(offer.identity.tenant() == fresh.identity.tenant());
            held.identity += u64::from(offer.by == fresh.by);
        }
        Ok((outdated, held))
    }

    async fn kept(&self) -> Result<Vec<meta::Record>, MetaError> {
        self.meta.scan(PREFIX, limits::INVITES * 2).await
    }
}

fn key(secret: &[u8]) -> Vec<u8> {
    [PREFIX, &Sha256::digest(secret)].concat()
}

fn write(offer: &Offer) -> Result<Vec<u8>, MetaError> {
    let kept = StoredInvite {
        identity: offer.identity.to_string(),
        may: offer.grant.may().to_string(),
        caveats: kept::texts(&offer.grant),
        by: offer.by.to_string(),
        again: offer.again,
        until_ms: offer.until_ms,
    };
    rmp_serde::to_vec_named(&kept)
        .map_err(|error| MetaError::Damaged(format!("an invite cannot be kept: {error}")))
}

fn parse(record: &[u8]) -> Option<Offer> {
    let kept: StoredInvite = rmp_serde::from_slice(record).ok()?;
    Some(Offer {
        identity: kept.identity.parse().ok()?,
        grant: kept::parse(&kept.may, &kept.caveats),
        by: kept.by.parse().ok()?,
        again: kept.again,
        until_ms: kept.until_ms,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use futures::FutureExt as _;
    use remit_journal::SledJournal;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn who(role: Role, name: &str) -> Identity {
        Identity::new("home", "default", role, name).unwrap()
    }

    fn offer(identity: &Identity) -> Offer {
        let by = who(Role::Client, "admin");
        let grant = remit_core::Facets::MEMBER.into();
        Offer { identity: identity.clone(), grant, by, again: false, until_ms: 0 }
    }

    struct Store {
        dir: tempfile::TempDir,
        clock: Rc<Cell<u64>>,
    }

    impl Store {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), clock: Rc::new(Cell::new(1_000)) }
        }

        fn open(&self) -> Rc<Invites> {
            let journal = SledJournal::open(&self.dir.path().join("journal"), 4 << 20).unwrap();
            let clock = Rc::clone(&self.clock);
            Invites::new(
                journal.meta(),
                "localhost:1".into(),
                [1; 32],
                Box::new(move || clock.get()),
            )
        }
    }

    /// What goes to the disk with the use of an invite.
    fn entry() -> Change {
        (b"entry".to_vec(), Some(b"joined".to_vec()))
    }

    async fn redeem(invites: &Invites, secret: &[u8]) -> Result<Identity, NotGood> {
        let waiting = invites.find(secret).await?;
        let identity = waiting.offer.identity.clone();
        invites.use_up(waiting, entry()).await.map(|()| identity)
    }

    #[tokio::test]
    async fn invite_that_is_used_while_it_is_withdrawn_counts_as_used() {
        let store = Store::new();
        let invites = store.open();
        let offered = offer(&who(Role::ToolNode, "builds"));
        let invite = invites.create(offered, MINUTE).await.unwrap();
        let waiting = invites.find(&invite.secret).await.unwrap();
        let using = RefCell::new(Box::pin(invites.use_up(waiting, entry())));
        let used = RefCell::new(None);
        // The invites have been read, and none is removed yet.
        let use_it = |_: &Offer| {
            *used.borrow_mut() = using.borrow_mut().as_mut().now_or_never();
            true
        };
        assert!(invites.withdraw(use_it).await.unwrap().is_empty());
        let used = match used.take() {
            Some(used) => used,
            None => using.into_inner().await,
        };
        assert_eq!(used, Ok(()));
    }

    #[tokio::test]
    async fn an_invite_works_once_even_after_a_restart() {
        let store = Store::new();
        let invites = store.open();
        let builds = who(Role::ToolNode, "builds");
        let used = invites.create(offer(&builds), MINUTE).await.unwrap();
        assert_eq!(redeem(&invites, &used.secret).await, Ok(builds.clone()));
        assert_eq!(redeem(&invites, &used.secret).await, Err(NotGood::Unknown));
        let kept = invites.create(offer(&builds), MINUTE).await.unwrap();
        drop(invites);
        let invites = store.open();
        assert_eq!(redeem(&invites, &used.secret).await, Err(NotGood::Unknown));
        assert_eq!(redeem(&invites, &kept.secret).await, Ok(builds));
    }

    #[tokio::test]
    async fn of_two_who_redeem_at_once_one_is_refused() {
        let store = Store::new();
        let invites = store.open();
        let invite = invites.create(offer(&who(Role::Client, "me")), MINUTE).await.unwrap();
        let (one, two) = tokio::join!(invites.find(&invite.secret), invites.find(&invite.secret));
        let (one, two) = tokio::join!(
            invites.use_up(one.unwrap(), entry()),
            invites.use_up(two.unwrap(), entry())
        );
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
    }

    #[tokio::test]
    async fn expired_invite_is_refused_and_forgotten() {
        let store = Store::new();
        let invites = store.open();
        let invite = invites.create(offer(&who(Role::Client, "me")), MINUTE).await.unwrap();
        store.clock.set(61_000);
        assert_eq!(redeem(&invites, &invite.secret).await, Err(NotGood::Expired));
        invites.create(offer(&who(Role::Client, "you")), MINUTE).await.unwrap();
        assert_eq!(redeem(&invites, &invite.secret).await, Err(NotGood::Unknown));
    }

    #[tokio::test]
    async fn a_fresh_invite_replaces_the_one_before() {
        let store = Store::new();
        let invites = store.open();
        let me = who(Role::Client, "me");
        let lost = invites.create(offer(&me), MINUTE).await.unwrap();
        let found = invites.create(offer(&me), MINUTE).await.unwrap();
        assert_eq!(redeem(&invites, &lost.secret).await, Err(NotGood::Unknown));
        assert_eq!(redeem(&invites, &found.secret).await, Ok(me));
    }

    #[tokio::test]
    async fn the_secret_is_not_on_the_disk() {
        let store = Store::new();
        let invites = store.open();
        let invite = invites.create(offer(&who(Role::Client, "me")), MINUTE).await.unwrap();
        let kept = invites.meta.scan(b"", 10).await.unwrap();
        assert_eq!(kept.len(), 1);
        for (key, value) in kept {
            let holds = |bytes: &[u8]| bytes.windows(32).any(|part| part == invite.secret);
            assert!(!holds(&key) && !holds(&value));
        }
    }

    #[tokio::test]
    async fn nobody_is_invited_as_an_orchestrator_or_for_ever() {
        let store = Store::new();
        let invites = store.open();
        let refused =
            invites.create(offer(&who(Role::Orchestrator, "me")), MINUTE).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument);
        for ttl in [Duration::from_millis(999), Duration::from_secs(7 * 86_400 + 1)] {
            let refused = invites.create(offer(&who(Role::Client, "me")), ttl).await.unwrap_err();
            assert_eq!(refused.code, Code::InvalidArgument);
        }
    }

    #[tokio::test]
    async fn withdrawn_invite_cannot_be_used() {
        let store = Store::new();
        let invites = store.open();
        let (me, you) = (who(Role::Client, "me"), who(Role::Client, "you"));
        let mine = invites.create(offer(&me), MINUTE).await.unwrap();
        let yours = invites.create(offer(&you), MINUTE).await.unwrap();
        assert_eq!(invites.list("default").await.unwrap().len(), 2);
        let withdrawn = invites.withdraw(|offer| offer.identity == me).await.unwrap();
        assert_eq!(withdrawn.len(), 1);
        assert_eq!(redeem(&invites, &mine.secret).await, Err(NotGood::Unknown));
        assert_eq!(redeem(&invites, &yours.secret).await, Ok(you));
        assert_eq!(invites.list("default").await.unwrap(), []);
        assert_eq!(invites.meta.get(b"entry").await.unwrap().unwrap(), b"joined");
    }

    #[tokio::test]
    async fn one_that_invites_much_leaves_others_their_invites() {
        let store = Store::new();
        let invites = store.open();
        let most = limits::bound(Resource::Invites).identity;
        for at in 0..most {
            invites.create(offer(&who(Role::Client, &format!("n{at}"))), MINUTE).await.unwrap();
        }
        let more = invites.create(offer(&who(Role::Client, "more")), MINUTE).await.unwrap_err();
        assert_eq!(more.code, Code::Limit);
        assert!(more.message.contains(&most.to_string()), "{more}");
        invites.create(offer(&who(Role::Client, "n0")), MINUTE).await.unwrap();
        let by = who(Role::Client, "other-admin");
        let theirs = Offer { by, ..offer(&who(Role::Client, "friend")) };
        invites.create(theirs, MINUTE).await.unwrap();
    }
}
