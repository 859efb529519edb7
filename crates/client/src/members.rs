//! The members of a mesh as an administrator sees them: who may do what, who joins, who is put out.

use std::time::Duration;

use remit_core::{Caveat, Facets, Role};

use crate::client::Client;
use crate::error::Error;
use crate::serve::members;
use crate::serve::session::Repeat;

/// An invite that is asked for.
///
/// ```
/// use std::time::Duration;
///
/// use remit_client::{Facets, Invite, Role};
///
/// let mut invite = Invite::new(Role::Client, "ann");
/// assert_eq!((invite.may, invite.again), (Facets::MEMBER, false));
/// invite.ttl = Duration::from_secs(3_600);
/// assert_eq!(Invite::new(Role::ToolNode, "builds").may, Facets::NONE);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// As what it lets its holder join: not as an orchestrator.
    pub role: Role,
    /// Under which name: at most 63 lower-case letters, digits, `-`, `_` and `.`, a letter or a digit
    /// first.
    pub name: String,
    /// What the member may do; of a node, nothing.
    pub may: Facets,
    /// What narrows that: `until`, `notBefore`, `arg.NAME` and `label`, of all facets or, with
    /// [`Caveat::Only`], of one. Those of the caller are added.
    pub caveats: Vec<Caveat>,
    /// How long it can be used: 1 second to 7 days.
    pub ttl: Duration,
    /// Whether it takes the place of a member of that name, whose certificates are void then.
    pub again: bool,
}

impl Invite {
    /// An invite that is good for 10 minutes: for a client, to create tasks and see its own.
    pub fn new(role: Role, name: &str) -> Self {
        let may = if role == Role::Client { Facets::MEMBER } else { Facets::NONE };
        let ttl = Duration::from_secs(600);
        Self { role, name: name.to_owned(), may, caveats: Vec::new(), ttl, again: false }
    }
}

/// A member of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInfo {
    /// Who it is, as a SPIFFE name.
    pub identity: String,
    /// The names of what it may do; of a node, nothing.
    pub may: Vec<String>,
    /// What narrows that.
    pub caveats: Vec<Caveat>,
    /// Who invited it; empty: not known.
    pub by: String,
    /// When it joined.
    pub since_ms: u64,
    /// When its newest certificate ends; 0: not known.
    pub certificate_ends_ms: u64,
    /// When it was last connected; 0: never.
    pub seen_ms: u64,
    /// Whether it is connected now.
    pub connected: bool,
    /// When it was expelled; 0: it was not.
    pub expelled_ms: u64,
    /// Who expelled it.
    pub expelled_by: String,
    /// Why.
    pub reason: String,
}

/// An invite that waits to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteInfo {
    /// Who may join by it, as a SPIFFE name.
    pub identity: String,
    /// The names of what it may do then.
    pub may: Vec<String>,
    /// What narrows that.
    pub caveats: Vec<Caveat>,
    /// Who made it.
    pub by: String,
    /// Until when it can be used.
    pub until_ms: u64,
    /// Whether it takes the place of a member of that name.
    pub again: bool,
}

/// What went with a member that was expelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expelled {
    /// References that it could restore or had saved.
    pub references: u32,
    /// Grants that it held.
    pub grants: u32,
    /// Invites for it, or by it.
    pub invites: u32,
    /// Tasks that were paused or cancelled.
    pub tasks: u32,
    /// Triggers that were removed.
    pub triggers: u32,
}

/// What becomes of the tasks that an expelled member created and that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ItsTasks {
    /// They wait until somebody who may steer them resumes or cancels them.
    #[default]
    Pause,
    /// They are cancelled.
    Cancel,
    /// They go on.
    GoOn,
}

impl Client {
    /// A line by which its holder can join the mesh, once, as a client that may create tasks and see
    /// its own, or as a node; within `ttl`, which is 1 second to 7 days. See [`Client::join`].
    ///
    /// # Errors
    /// As of [`invite_as`](Self::invite_as).
    pub async fn invite(&self, role: Role, name: &str, ttl: Duration) -> Result<String, Error> {
        self.invite_as(&Invite { ttl, ..Invite::new(role, name) }).await
    }

    /// A line by which its holder can join the mesh, once.
    ///
    /// # Errors
    /// [`Error::Failed`] with `denied` if the caller lacks what it would give, `invalid-argument` if
    /// the name or the time cannot be, or a member holds or held the name; [`Error::Unknown`] if
    /// the connection was lost meanwhile: withdraw the invite, or ask for another.
    pub async fn invite_as(&self, invite: &Invite) -> Result<String, Error> {
        let invite = invite.clone();
        self.visit(async move |session| {
            let invite = &invite;
            session.ask(Repeat::Harmful, |m| members::invite(m, invite)).await
        })
        .await
    }

    /// Every member, those that were expelled included, by role and name.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn members(&self) -> Result<Vec<MemberInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, members::members).await).await
    }

    /// Every invite that waits to be used, the first to expire first.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn invites(&self) -> Result<Vec<InviteInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, members::invites).await).await
    }

    /// Withdraws the invite for this identity, a SPIFFE name. On disk when this answers.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if none waits.
    pub async fn withdraw(&self, identity: &str) -> Result<(), Error> {
        let identity = identity.to_owned();
        self.visit(async move |session| {
            session.ask(Repeat::Harmless, |m| members::withdraw(m, &identity)).await
        })
        .await
    }

    /// Lets the client of this identity, a SPIFFE name, do this under these caveats and the caller's,
    /// and nothing else. If it loses something, its connections end and references that it saved of
    /// tasks which it may steer no more are revoked. On disk when this answers.
    ///
    /// # Errors
    /// [`Error::Failed`] with `denied` if the caller lacks some of it, or it is the last member that
    /// administers others; `invalid-argument` if a caveat is none that facets can have.
    pub async fn authorize(
        &self,
        identity: &str,
        may: Facets,
        caveats: &[Caveat],
    ) -> Result<(), Error> {
        let (identity, caveats) = (identity.to_owned(), caveats.to_vec());
        self.visit(async move |session| {
            let authorize = |m| members::authorize(m, &identity, may, &caveats);
            session.ask(Repeat::Harmless, authorize).await
        })
        .await
    }

    /// Expels the member of this identity, a SPIFFE name: its connections have ended, its
    /// certificates are void, what it held is revoked, and its triggers are removed. `tasks`: what
    /// becomes of the tasks that it created. On disk when this answers. May be asked again.
    ///
    /// # Errors
    /// [`Error::Failed`] with `denied` if the member may do what the caller may not, or is the last
    /// that administers others.
    pub async fn expel(
        &self,
        identity: &str,
        reason: &str,
        tasks: ItsTasks,
    ) -> Result<Expelled, Error> {
        let (identity, reason) = (identity.to_owned(), reason.to_owned());
        self.visit(async move |session| {
            let expel = |m| members::expel(m, &identity, &reason, tasks);
            session.ask_patiently(Repeat::Harmless, expel).await
        })
        .await
    }
}
