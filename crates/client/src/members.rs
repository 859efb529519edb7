//! The members of a mesh as an administrator sees them: permissions, invites, expulsion.

use std::time::Duration;

use remit_core::{Caveat, Facets, Role};

use crate::client::Client;
use crate::error::Error;
use crate::serve::members;
use crate::serve::session::Repeat;

/// The invite to create.
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
    /// The role of the new member. An orchestrator cannot be invited.
    pub role: Role,
    /// The name of the new member: at most 63 lower-case letters, digits, `-`, `_` and `.`,
    /// starting with a letter or a digit.
    pub name: String,
    /// The permissions of the new member; none for a node.
    pub may: Facets,
    /// Conditions on these permissions: `until`, `notBefore`, `arg.NAME` and `label`. They apply to
    /// all facets or, with [`Caveat::Only`], to one. The caller's own conditions are added.
    pub caveats: Vec<Caveat>,
    /// How long the invite is valid: 1 second to 7 days.
    pub ttl: Duration,
    /// Whether the new member replaces a member of that name, whose certificates become void.
    pub again: bool,
}

impl Invite {
    /// An invite that is valid for 10 minutes. A client may create tasks and see its own.
    pub fn new(role: Role, name: &str) -> Self {
        let may = if role == Role::Client { Facets::MEMBER } else { Facets::NONE };
        let ttl = Duration::from_secs(600);
        Self { role, name: name.to_owned(), may, caveats: Vec::new(), ttl, again: false }
    }
}

/// A member of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInfo {
    /// The member's identity, as a SPIFFE ID.
    pub identity: String,
    /// The names of its permissions; none for a node.
    pub may: Vec<String>,
    /// Conditions on these permissions.
    pub caveats: Vec<Caveat>,
    /// The identity that invited it; empty: unknown.
    pub by: String,
    /// When it joined.
    pub since_ms: u64,
    /// When its newest certificate expires; 0: unknown.
    pub certificate_ends_ms: u64,
    /// When it was last connected; 0: never.
    pub seen_ms: u64,
    /// Whether it is connected now.
    pub connected: bool,
    /// When it was expelled; 0: it is a member.
    pub expelled_ms: u64,
    /// The identity that expelled it.
    pub expelled_by: String,
    /// The reason for the expulsion.
    pub reason: String,
}

/// An invite that is not used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteInfo {
    /// The identity for which the invite is, as a SPIFFE ID.
    pub identity: String,
    /// The names of the permissions that it gives.
    pub may: Vec<String>,
    /// Conditions on these permissions.
    pub caveats: Vec<Caveat>,
    /// The identity that created it.
    pub by: String,
    /// When it expires.
    pub until_ms: u64,
    /// Whether the new member replaces a member of that name.
    pub again: bool,
}

/// What was revoked together with an expelled member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expelled {
    /// References that the member could restore or had saved.
    pub references: u32,
    /// Grants that the member held.
    pub grants: u32,
    /// Invites for the member, or created by it.
    pub invites: u32,
    /// Tasks that were paused or cancelled.
    pub tasks: u32,
    /// Triggers that were removed.
    pub triggers: u32,
}

/// The policy for an expelled member's tasks that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ItsTasks {
    /// They pause until a member with the permission to steer them resumes or cancels them.
    #[default]
    Pause,
    /// They are cancelled.
    Cancel,
    /// They continue.
    GoOn,
}

impl Client {
    /// Creates a line with which its holder can join the mesh once: as a client that may create
    /// tasks and see its own, or as a node. `ttl` is 1 second to 7 days. See [`Client::join`].
    ///
    /// # Errors
    /// As for [`invite_as`](Self::invite_as).
    pub async fn invite(&self, role: Role, name: &str, ttl: Duration) -> Result<String, Error> {
        self.invite_as(&Invite { ttl, ..Invite::new(role, name) }).await
    }

    /// Creates a line with which its holder can join the mesh once.
    ///
    /// # Errors
    /// [`Error::Failed`] with `denied` if the caller lacks a permission that the invite gives, with
    /// `invalid-argument` if the name or the time is not allowed, or a member has or had the name;
    /// [`Error::Unknown`] if the connection was lost during the call: withdraw the invite, or
    /// create another.
    pub async fn invite_as(&self, invite: &Invite) -> Result<String, Error> {
        let invite = invite.clone();
        self.visit(async move |session| {
            let invite = &invite;
            session.ask(Repeat::Harmful, |m| members::invite(m, invite)).await
        })
        .await
    }

    /// Lists every member, expelled ones included, by role and name.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn members(&self) -> Result<Vec<MemberInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, members::members).await).await
    }

    /// Lists every unused invite, in order of expiry.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn invites(&self) -> Result<Vec<InviteInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, members::invites).await).await
    }

    /// Withdraws the invite for this identity, a SPIFFE ID. The withdrawal is on disk on return.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is no unused invite for it.
    pub async fn withdraw(&self, identity: &str) -> Result<(), Error> {
        let identity = identity.to_owned();
        self.visit(async move |session| {
            session.ask(Repeat::Harmless, |m| members::withdraw(m, &identity)).await
        })
        .await
    }

    /// Replaces the permissions of a client, and the conditions on them; the caller's own
    /// conditions are added. `identity` is a SPIFFE ID. If the client loses a permission, its
    /// connections end, and references that it saved are revoked if it may no longer steer their
    /// tasks. The change is on disk on return.
    ///
    /// # Errors
    /// [`Error::Failed`] with `denied` if the caller lacks one of the permissions, or the client is
    /// the last member that administers others; with `invalid-argument` if a caveat is not allowed
    /// on facets.
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

    /// Expels a member, named by its SPIFFE ID: its connections end, its certificates become void,
    /// everything that it held is revoked, and its triggers are removed. `tasks` is the policy for
    /// the tasks that it created. The expulsion is on disk on return. Calling it again is safe.
    ///
    /// # Errors
    /// [`Error::Failed`] with `denied` if the member has a permission that the caller lacks, or is
    /// the last member that administers others.
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
