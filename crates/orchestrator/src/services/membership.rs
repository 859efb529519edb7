//! Who comes in, with what authority, and who is put out.

use std::rc::Rc;
use std::time::Duration;

use remit_core::audit::{Decision, Record};
use remit_core::identity::NotAnIdentity;
use remit_core::{Code, Facet, FacetUse, Facets, Failure, Identity, MemberGrant, Role};
use remit_identity::credential::MembershipId;
use remit_identity::join::{self, Invite};
use remit_journal::audit::Audit;
use remit_vat::run_detached::run_detached;

use super::context::Site;
use crate::admission::invites::{Invites, NotGood, Offer};
use crate::admission::members::sight::Visibility;
use crate::admission::members::uses::TaskTraits;
use crate::admission::members::{Member, Members};
use crate::runtime::TaskKey;
use crate::services::refs::Saved;
use crate::tasks::holders::Selection;

/// An invite that is asked for.
#[derive(Debug, Clone)]
pub struct NewInvite {
    /// As what it lets its holder join.
    pub role: Role,
    /// Under which name.
    pub name: String,
    /// What the member is granted, which the caveats of whoever invites are added to.
    pub grant: MemberGrant,
    /// Whether it takes the place of a member of that name.
    pub again: bool,
    /// How long it can be used.
    pub ttl: Duration,
}

/// What went with a member that was expelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expelled {
    /// Sturdy references that it could restore or had saved.
    pub references: usize,
    /// Grants that it held.
    pub grants: usize,
    /// Invites for it, or by it.
    pub invites: usize,
    /// Tasks that were paused or cancelled.
    pub tasks: usize,
    /// Triggers that were removed.
    pub triggers: usize,
}

impl Site {
    /// A certificate for whoever has the invite: identity, leaf and authority. Everything is checked
    /// before the invite is used up: a request that is refused leaves it as it was.
    pub async fn admit(
        self: &Rc<Self>,
        request: &join::Request,
    ) -> Result<(Identity, Vec<u8>, Vec<u8>), String> {
        let invite = self.invites.find(&request.secret).await.map_err(|error| error.to_string())?;
        let Offer { identity, grant, by, again, .. } = invite.offer;
        let (wanted, offered) = (&request.role, identity.role());
        if *wanted != offered.as_str() {
            let wanted: String = wanted.chars().take(40).collect();
            let article = |role: &str| if role.starts_with(['a', 'o']) { "an" } else { "a" };
            return Err(format!(
                "the invite is for {} {offered}, and {} {wanted} wants to join with it. It was not used and stays good",
                article(offered.as_str()),
                article(&wanted)
            ));
        }
        // Signed only for what is good now; it is checked once more when nothing can change.
        check_offer(&self.members, &by, &identity, &grant, again)
            .map_err(|failure| failure.message)?;
        let membership = MembershipId::fresh();
        let signed = self.certify(&request.signing_request, &identity, Some(membership));
        let (leaf, authority) = signed?;
        let now_ms = (self.now_ms)();
        let life = self.certificate_life(offered);
        let until_ms = now_ms.saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        let (site, joined) = (Rc::clone(self), identity.clone());
        let secret = request.secret.clone();
        let entered = run_detached(async move {
            let changing = site.members.changing().await;
            // Another one with the same invite may have been first.
            let denied = |error: NotGood| Failure::new(Code::Denied, error.to_string());
            let invite = site.invites.find(&secret).await.map_err(denied)?;
            let grant = check_offer(&site.members, &by, &joined, &grant, again)?;
            let times = (now_ms, until_ms);
            let member = Member::joined(&joined, &grant, &by.to_string(), membership, times);
            let used = site.invites.use_up(invite, Members::entry(&member)).await;
            used.map_err(denied)?;
            site.members.entered(joined.clone(), member);
            drop(changing);
            let record = Record::new(joined.to_string(), Decision::Joined)
                .because(format!("invited by {by} to {}", in_words(joined.role(), &grant)));
            site.audit.record(joined.tenant(), record).await
        });
        entered.await.map_err(|failure| failure.message)?;
        Ok((identity, leaf, authority))
    }

    /// An invite for a new member of the tenant of `by`, which gives no more than `by` may do.
    pub async fn invite(&self, by: &Identity, wanted: NewInvite) -> Result<String, Failure> {
        let issuer =
            InviteIssuer { members: &self.members, invites: &self.invites, audit: &self.audit };
        issuer.invite(by, wanted).await.map(|invite| invite.to_string())
    }

    /// Withdraws the invite for this identity. Durable when it answers.
    pub async fn withdraw(&self, by: &Identity, identity: &Identity) -> Result<(), Failure> {
        self.check_tenant(by, identity)?;
        // Under a caveat on `members`, the name must be in reach.
        check_covers(&self.members, by, identity, &needed(identity.role(), &Facets::NONE.into()))?;
        let withdrawn = self.invites.withdraw(|offer| offer.identity == *identity).await?;
        if withdrawn.is_empty() {
            return none_waits(identity);
        }
        let record = Record::new(by.to_string(), Decision::Withdrawn).about(identity.to_string());
        self.audit.record(by.tenant(), record).await
    }

    /// Lets a client do this, under the caveats of `by`, and nothing else. Durable when it answers;
    /// connections that rest on what it may do no more have ended, and references that it saved of
    /// tasks that it may steer no more are revoked.
    pub async fn authorize(
        &self,
        by: &Identity,
        identity: &Identity,
        wanted: MemberGrant,
    ) -> Result<(), Failure> {
        self.check_tenant(by, identity)?;
        let changing = self.members.changing().await;
        let member = self.known(identity)?;
        if identity.role() != Role::Client {
            let why = format!("{identity} is a node: its role alone says what it may do");
            return Err(Failure::new(Code::InvalidArgument, why));
        }
        if member.expelled.is_some() {
            let why = format!("{identity} was expelled: invite it again, with `--again`");
            return Err(Failure::new(Code::Denied, why));
        }
        let before = member.given();
        check_covers(&self.members, by, identity, &before)?;
        let grant = self.members.granted(by).hand_on(&wanted)?;
        check_covers(&self.members, by, identity, &grant)?;
        self.members.check_administered(identity, &grant)?;
        let record = Record::new(by.to_string(), Decision::Authorized)
            .because(format!("to {}", in_words(Role::Client, &grant)))
            .about(identity.to_string());
        self.audit.record(by.tenant(), record).await?;
        self.members.authorize(identity, &grant).await?;
        drop(changing);
        if grant.lacks(&before).is_some() {
            self.revoke_saved(by, identity, grant).await?;
        }
        Ok(())
    }

    /// Revokes the references that a member saved of tasks that it may steer no more.
    async fn revoke_saved(
        &self,
        by: &Identity,
        identity: &Identity,
        grant: MemberGrant,
    ) -> Result<(), Failure> {
        let steers =
            Visibility::new(&Rc::new(grant), identity, &[Facet::Steer], self.members.now_ms());
        let (who, tasks) = (identity.to_string(), &self.tasks);
        let lost = |saved: &Saved| {
            let key = TaskKey { tenant: by.tenant().to_owned(), task: saved.task };
            let has = |traits: TaskTraits| steers.has(&traits.name, &traits.creator);
            // One that was saved through another reference rests on that one.
            saved.by == who
                && saved.parent.is_none()
                && tasks.get(&key).is_ok_and(|owner| !has(owner.with(TaskTraits::of)))
        };
        let why = format!("{identity} may steer the task no more");
        tasks.refs()?.revoke_each(tasks, lost, &why, by).await?;
        Ok(())
    }

    /// Expels a member. It is felt by its connections at once, and durable when this answers, with
    /// all that went with it. Again does what an interrupted one left undone.
    pub async fn expel(
        &self,
        by: &Identity,
        identity: &Identity,
        reason: &str,
        then: AndItsTasks,
    ) -> Result<Expelled, Failure> {
        self.check_tenant(by, identity)?;
        let changing = self.members.changing().await;
        let member = self.known(identity)?;
        check_covers(&self.members, by, identity, &needed(identity.role(), &member.given()))?;
        self.members.check_administered(identity, &Facets::NONE.into())?;
        let record = Record::new(by.to_string(), Decision::Expelled)
            .because(reason)
            .about(identity.to_string());
        // Recorded before, so that nothing of it is done that is not in the audit.
        self.audit.record(by.tenant(), record).await?;
        self.members.expel(identity, reason, by).await?;
        drop(changing);
        let why = format!("{identity} was expelled: {reason}");
        let withdrawn =
            self.invites.withdraw(|offer| offer.identity == *identity || offer.by == *identity);
        let invites = withdrawn.await?.len();
        let triggers = self.triggers.remove_of(identity).await?;
        // First: what is taken back below may fail on one task, and none may run on because of it.
        let stopped = self.tasks.stop_of(identity, &why, by, then).await;
        let who = identity.to_string();
        let its = |saved: &Saved| saved.owner == who || saved.by == who;
        let references = self.tasks.refs()?.revoke_each(&self.tasks, its, &why, by).await;
        let held = Selection { holder: who.clone(), ..Selection::default() };
        let grants = match self.tasks.holders(by.tenant(), &held).await {
            Ok(found) if found.is_empty() => 0,
            _ => self.tasks.revoke_all(&held, &why, by).await?.len(),
        };
        Ok(Expelled { references: references?, grants, invites, tasks: stopped?, triggers })
    }

    /// Refuses to reach a member that is not known to `by`.
    pub fn check_member(&self, by: &Identity, identity: &Identity) -> Result<(), Failure> {
        self.check_tenant(by, identity)?;
        self.known(identity).map(|_| ())
    }

    /// Refuses to reach an invite that does not wait.
    pub async fn check_invited(&self, by: &Identity, identity: &Identity) -> Result<(), Failure> {
        self.check_tenant(by, identity)?;
        match self.invites.list(by.tenant()).await?.iter().any(|offer| offer.identity == *identity)
        {
            true => Ok(()),
            false => none_waits(identity),
        }
    }

    fn check_tenant(&self, by: &Identity, of: &Identity) -> Result<(), Failure> {
        if by.tenant() == of.tenant() && by.mesh() == of.mesh() { Ok(()) } else { not_known(of) }
    }

    fn known(&self, identity: &Identity) -> Result<Member, Failure> {
        self.members.get(identity).map_or_else(|| not_known(identity), Ok)
    }
}

/// What it takes to invite: more of an orchestrator need not run.
pub(crate) struct InviteIssuer<'a> {
    pub(crate) members: &'a Members,
    pub(crate) invites: &'a Invites,
    pub(crate) audit: &'a Audit,
}

impl InviteIssuer<'_> {
    pub(crate) async fn invite(&self, by: &Identity, wanted: NewInvite) -> Result<Invite, Failure> {
        let invalid = |error: NotAnIdentity| Failure::new(Code::InvalidArgument, error.to_string());
        let NewInvite { role, name, grant, again, ttl } = wanted;
        let identity = Identity::new(by.mesh(), by.tenant(), role, &name).map_err(invalid)?;
        let grant = check_offer(self.members, by, &identity, &grant, again)?;
        // It takes the place of one that waits, and with it of the authority that this one offers.
        let waiting = self.invites.list(by.tenant()).await?;
        if let Some(other) = waiting.iter().find(|other| other.identity == identity) {
            check_covers(self.members, by, &identity, &needed(role, &other.grant))?;
        }
        let granted = in_words(role, &grant);
        let offer = Offer { identity: identity.clone(), grant, by: by.clone(), again, until_ms: 0 };
        let invite = self.invites.create(offer, ttl).await?;
        let invited = Record::new(by.to_string(), Decision::Invited)
            .because(format!("to {granted}"))
            .about(identity.to_string());
        self.audit.record(by.tenant(), invited).await?;
        tracing::info!(%identity, %by, granted, again, "invited");
        Ok(invite)
    }
}

/// What a new member gets to whom `by` offers `wanted`: the same under the caveats of `by`, if it may
/// offer that, now and when the invite is used.
fn check_offer(
    members: &Members,
    by: &Identity,
    identity: &Identity,
    wanted: &MemberGrant,
    again: bool,
) -> Result<MemberGrant, Failure> {
    let refuse = |code, why: String| Err(Failure::new(code, why));
    if identity.role() != Role::Client && *wanted != Facets::NONE.into() {
        let why = format!(
            "the role {} is given no facets: it says itself what may be done",
            identity.role()
        );
        return refuse(Code::InvalidArgument, why);
    }
    let grant = match identity.role() {
        Role::Client => members.granted(by).hand_on(wanted)?,
        Role::AgentNode | Role::ToolNode | Role::Orchestrator => wanted.clone(),
    };
    check_covers(members, by, identity, &needed(identity.role(), &grant))?;
    members.check_room(identity)?;
    let Some(holder) = members.get(identity) else { return Ok(grant) };
    if !again {
        let (what, now) = match holder.expelled {
            None => ("is a member", "lost its certificate"),
            Some(_) => ("was a member, and was expelled", "is to come back"),
        };
        let why = format!(
            "{identity} {what}: invite under another name; or, if that very one {now}, invite with `--again`, which makes its older certificates void"
        );
        return refuse(Code::InvalidArgument, why);
    }
    // Who takes a name over has what the name has: sealed references, tasks, its past.
    check_covers(members, by, identity, &needed(identity.role(), &holder.given()))?;
    Ok(grant)
}

/// Refuses to let `by` give, or take over, authority that it lacks.
fn check_covers(
    members: &Members,
    by: &Identity,
    of: &Identity,
    needed: &MemberGrant,
) -> Result<(), Failure> {
    let own = members.granted(by);
    let usage = FacetUse { name: of.name(), role: of.role().as_str(), ..FacetUse::default() };
    let administers = own.may().has(Facet::Members);
    if administers {
        own.check(Facet::Members, &usage, members.now_ms())?;
    }
    let lacks = if administers { own.lacks(needed) } else { Some(Facet::Members.to_string()) };
    let Some(lacks) = lacks else { return Ok(()) };
    let why = format!("{by} may not do that to {of}: it lacks {lacks} itself");
    Err(Failure::new(Code::Denied, why))
}

/// What becomes of tasks whose creator is expelled, and that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AndItsTasks {
    /// They wait until somebody who may steer them resumes or cancels them.
    ArePaused,
    /// They are cancelled.
    AreCancelled,
    /// They go on.
    GoOn,
}

/// What it takes to make, take over or expel a member like that.
fn needed(role: Role, grant: &MemberGrant) -> MemberGrant {
    match role {
        Role::Client => grant.clone(),
        Role::AgentNode | Role::ToolNode | Role::Orchestrator => Facets::of(&[Facet::Nodes]).into(),
    }
}

fn in_words(role: Role, grant: &MemberGrant) -> String {
    match role {
        Role::Client if grant.may().is_empty() => "do nothing".to_owned(),
        Role::Client => grant.to_string(),
        role => format!("serve as {role}"),
    }
}

fn none_waits<R>(identity: &Identity) -> Result<R, Failure> {
    let why = format!("no invite for {identity} waits: `remit invites` lists those that do");
    Err(Failure::new(Code::NotFound, why))
}

fn not_known<R>(identity: &Identity) -> Result<R, Failure> {
    let why = format!("{identity} is no member: `remit members` lists them");
    Err(Failure::new(Code::NotFound, why))
}
