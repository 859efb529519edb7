//! From a sturdy reference to a live one: who asks, then the whole chain, then what it leads to.

use std::rc::Rc;

use remit_core::audit::{Decision, Record};
use remit_core::reference::Link;
use remit_core::task::{Command, Delegation};
use remit_core::{Caveat, Code, Failure, GrantId, Identity, ObjectId, RefId, Reference};
use remit_schema::object_capnp::object;
use subtle::ConstantTimeEq as _;

use super::{RefValidity, Refs, Saved, State};
use crate::runtime::membrane::Membrane;
use crate::runtime::{Owner, TaskKey};
use crate::tasks::Tasks;

/// The methods of a task that only look.
const LOOKING: [&str; 5] = ["readOnly", "info", "events", "result", "grants"];

/// A live reference.
pub struct Restored {
    /// What was saved.
    pub saved: Saved,
    /// The task it is about.
    pub key: TaskKey,
    /// What it gives.
    pub live: Live,
}

/// What a restored reference gives.
pub enum Live {
    /// The task, or a viewer of it, for as long as the reference stands.
    Task(RefValidity),
    /// An object, behind its task's membrane.
    Object(object::Client),
}

/// Under which a task knows the grant that restoring this reference made.
pub(super) fn base_key(id: RefId) -> Vec<u8> {
    [&b"ref/"[..], id.as_bytes()].concat()
}

fn link_key(link: &Link) -> Vec<u8> {
    [&b"link/"[..], &link.id].concat()
}

impl Refs {
    /// Restores a reference for `who`, the identity of the connection.
    pub async fn restore(
        &self,
        tasks: &Tasks,
        reference: &Reference,
        who: &Identity,
    ) -> Result<Restored, Failure> {
        let mut saved = None;
        let restored = self.try_restore(tasks, reference, who, &mut saved).await;
        if let Err(failure) = &restored {
            let denied =
                Record::new(who.to_string(), Decision::Denied).because(failure.to_string());
            self.audited(who.tenant(), denied, saved.as_ref()).await?;
        }
        restored
    }

    async fn try_restore(
        &self,
        tasks: &Tasks,
        reference: &Reference,
        who: &Identity,
        known: &mut Option<Saved>,
    ) -> Result<Restored, Failure> {
        let saved = self.owned(reference, who, known).await?;
        let links = match self.known_key().await? {
            Some(key) => reference.verify(&key).map_err(|not| denied(&not.to_string()))?,
            None => return Err(not_yours()),
        };
        check_known(&links)?;
        let key = TaskKey { tenant: who.tenant().to_owned(), task: saved.task };
        let task = tasks.get(&key)?;
        match self.state(who.tenant(), &saved).await {
            State::Unused if self.is_in_use(&task, &saved) => {}
            state => state.check()?,
        }
        let live = match saved.grant {
            None => Live::Task(self.narrowed(&saved, &links, who)?),
            Some(grant) => {
                let owner = tasks.working(&key)?;
                let held = self.derive(&owner, (&saved, grant), &links, who).await?;
                Live::Object(owner.membranes().wrap(Membrane::delegated(&owner, held)))
            }
        };
        let now_ms = (self.now_ms)();
        let used = self.update(who.tenant(), saved.id(), move |saved| {
            saved.used_ms = now_ms;
            saved.uses += 1;
        });
        let record = Record::new(who.to_string(), Decision::Restored)
            .because(format!("with {} links", links.len()));
        let recorded = self.audited(who.tenant(), record, Some(&saved));
        let (used, recorded) = futures::join!(used, recorded);
        used.and(recorded)?;
        self.still_stands(tasks, &key, &saved, who).await?;
        Ok(Restored { saved, key, live })
    }

    /// Whether what was restored was used since, by one connection for longer than it may lie unused.
    fn is_in_use(&self, task: &Owner, saved: &Saved) -> bool {
        let used_ms = task.with(|task| {
            let grant = task.derived_under(&base_key(saved.id()))?;
            Some(task.grant(grant)?.usage.last_use_ms)
        });
        let last = |used_ms: u64| used_ms.saturating_add(saved.unused_ms.unwrap_or(u64::MAX));
        used_ms.is_some_and(|used_ms| (self.now_ms)() < last(used_ms))
    }

    /// What is kept of the reference, if `who` is its owner. Nobody else learns whether there is
    /// such a reference.
    async fn owned(
        &self,
        reference: &Reference,
        who: &Identity,
        known: &mut Option<Saved>,
    ) -> Result<Saved, Failure> {
        let home = reference.home();
        if home.mesh != who.mesh() || home.tenant != who.tenant() {
            return Err(not_yours());
        }
        let found = self.find(who.tenant(), reference.id()).await?;
        let saved = found.ok_or_else(not_yours)?;
        if !bool::from(saved.hash.ct_eq(&reference.hash())) {
            return Err(not_yours());
        }
        *known = Some(saved.clone());
        if saved.owner != who.to_string() {
            return Err(not_yours());
        }
        Ok(saved)
    }

    /// How a holder may hold a task, with all that was appended.
    fn narrowed(
        &self,
        saved: &Saved,
        links: &[Link],
        who: &Identity,
    ) -> Result<RefValidity, Failure> {
        let now_ms = (self.now_ms)();
        let mut standing = RefValidity {
            id: saved.id(),
            until_ms: saved.until_ms,
            unused_ms: saved.unused_ms,
            viewer: saved.viewer,
            audience: None,
        };
        for caveat in links.iter().flat_map(|link| &link.caveats) {
            let refuse = |why: &str| {
                let written = remit_core::grant::text::caveat_text(caveat);
                Err(Failure::new(Code::Denied, why).with_detail(written))
            };
            match caveat {
                Caveat::Label(_) => {}
                Caveat::Expires(at) if now_ms >= *at => {
                    return refuse("the reference has expired: ask for another one");
                }
                Caveat::Expires(at) => {
                    standing.until_ms = Some(standing.until_ms.map_or(*at, |until| until.min(*at)));
                }
                Caveat::NotBefore(at) if now_ms >= *at => {}
                Caveat::NotBefore(_) => return refuse("the reference is not good yet"),
                Caveat::Audience(names) if names.contains(&who.to_string()) => {
                    standing.audience = Some(who.to_string());
                }
                Caveat::Audience(_) => return refuse("the reference is for somebody else"),
                Caveat::Methods(names)
                    if names.iter().any(|name| name == LOOKING[0])
                        && names.iter().all(|name| LOOKING.contains(&name.as_str())) =>
                {
                    standing.viewer = true;
                }
                _ => {
                    return refuse(
                        "a reference to a task can be narrowed by until, notBefore, audience and methods=readOnly alone",
                    );
                }
            }
        }
        Ok(standing)
    }

    /// The grant that the holder uses: below the one that was saved, one for the reference and one
    /// for each link. Each is made once, so all copies of a reference share its counters.
    async fn derive(
        &self,
        owner: &Rc<Owner>,
        (saved, grant): (&Saved, GrantId),
        links: &[Link],
        who: &Identity,
    ) -> Result<GrantId, Failure> {
        let mut base = vec![Caveat::Label(saved.label.clone())];
        // A later moment than one above would be wider, and says nothing.
        let above = owner.with(|task| {
            let caveats = task.chain(grant).flat_map(|held| &held.grant.caveats);
            let ends = caveats.filter_map(|caveat| match caveat {
                Caveat::Expires(at) => Some(*at),
                _ => None,
            });
            ends.min()
        });
        base.extend(
            saved.until_ms.filter(|at| above.is_none_or(|above| *at < above)).map(Caveat::Expires),
        );
        let steps = std::iter::once((base_key(saved.id()), base))
            .chain(links.iter().map(|link| (link_key(link), link.caveats.clone())));
        let mut held = grant;
        let mut written = None;
        for (key, caveats) in steps {
            let pass = Delegation {
                object: ObjectId::Grant(held),
                holder: who.to_string(),
                caveats: caveats.clone(),
                key: key.clone(),
            };
            written = Some(owner.record(&Command::Delegation(Box::new(pass)))?.number);
            held = owner
                .with(|task| {
                    let derived = task.derived_under(&key)?;
                    let made = &task.grant(derived)?.grant;
                    let same = made.parent == Some(held)
                        && made.holder == who.to_string()
                        && made.caveats == caveats;
                    same.then_some(derived)
                })
                .ok_or_else(|| denied("the task knows another grant under this reference"))?;
        }
        if owner.with(|task| task.is_revoked(held)) {
            return Err(Failure::new(Code::Revoked, "what the reference leads to was revoked"));
        }
        if let Some(written) = written {
            owner.durable(written).await?;
        }
        Ok(held)
    }

    /// What was revoked while it was being restored is not handed out.
    async fn still_stands(
        &self,
        tasks: &Tasks,
        key: &TaskKey,
        saved: &Saved,
        who: &Identity,
    ) -> Result<(), Failure> {
        let now = self.find(who.tenant(), saved.id()).await?;
        let state = match now {
            Some(now) => self.state(who.tenant(), &now).await,
            None => State::Revoked,
        };
        if state == State::Revoked && saved.grant.is_some() {
            let owner = tasks.working(key)?;
            if let Some(grant) = owner.with(|task| task.derived_under(&base_key(saved.id()))) {
                let reason = "its reference was revoked".to_owned();
                let revoke = Command::RevokeGrant { grant, reason, by: who.to_string() };
                owner.record_durably(&revoke).await?;
            }
        }
        state.check()
    }
}

/// A caveat that is not known here refuses.
fn check_known(links: &[Link]) -> Result<(), Failure> {
    let caveats = links.iter().flat_map(|link| &link.caveats);
    for caveat in caveats {
        if let Caveat::Unknown(written) = caveat {
            let why = "the reference was narrowed by a caveat that is not known here";
            return Err(Failure::new(Code::Denied, why).with_detail(written.clone()));
        }
    }
    Ok(())
}

fn not_yours() -> Failure {
    denied(
        "there is no such reference for you: it was damaged, is another's, or was made elsewhere",
    )
}

fn denied(why: &str) -> Failure {
    Failure::new(Code::Denied, why)
}
