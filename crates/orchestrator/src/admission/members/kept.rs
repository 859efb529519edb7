//! How members are kept: one record each, under its whole name.

use std::collections::BTreeMap;

use remit_core::grant::text::{caveat_text, parse_caveat};
use remit_core::{Caveat, Facets, Identity, MemberGrant};
use remit_identity::credential::MembershipId;
use remit_journal::meta::{Change, Meta, MetaError};
use serde::{Deserialize, Serialize};

use crate::limits;

/// Keys of members in the store begin so, then comes the identity.
const MEMBERS: &[u8] = b"member/";

/// What is kept of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who it is, as a SPIFFE name.
    identity: String,
    /// The names of its facets, with commas between them.
    may: String,
    /// What narrows them, in the text form.
    #[serde(default)]
    caveats: Vec<String>,
    /// Who invited it, as a SPIFFE name; empty: not known.
    pub by: String,
    /// When it joined, in milliseconds since 1970.
    pub since_ms: u64,
    /// Until when its newest certificate is good, in milliseconds since 1970.
    pub until_ms: u64,
    /// When it last connected, in milliseconds since 1970; 0: never.
    pub seen_ms: u64,
    /// What its certificates must carry; `None`: it joined before they carried anything.
    membership: Option<[u8; 8]>,
    /// How it was expelled, if it was.
    pub expelled: Option<Expulsion>,
    /// How many connections of it are served now.
    #[serde(skip)]
    pub(super) connections: usize,
}

/// How a member was expelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expulsion {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// By whom, as a SPIFFE name.
    pub by: String,
    /// Why, in words.
    pub reason: String,
}

impl Member {
    /// One that joins now, invited by `by`.
    pub fn joined(
        identity: &Identity,
        grant: &MemberGrant,
        by: &str,
        membership: MembershipId,
        (now_ms, until_ms): (u64, u64),
    ) -> Self {
        let adopted = Self::adopted(identity, grant, Some(membership), now_ms);
        Self { by: by.to_owned(), until_ms, ..adopted }
    }

    /// One that shows a certificate and is not known.
    pub(super) fn adopted(
        identity: &Identity,
        grant: &MemberGrant,
        membership: Option<MembershipId>,
        now_ms: u64,
    ) -> Self {
        Self {
            identity: identity.to_string(),
            may: grant.may().to_string(),
            caveats: texts(grant),
            by: String::new(),
            since_ms: now_ms,
            until_ms: 0,
            seen_ms: 0,
            membership: membership.map(|membership| membership.0),
            expelled: None,
            connections: 0,
        }
    }

    /// Whether it is connected now.
    pub const fn is_connected(&self) -> bool {
        self.connections > 0
    }

    /// What it was granted; of one that was expelled, nothing.
    pub fn granted(&self) -> MemberGrant {
        if self.expelled.is_some() { Facets::NONE.into() } else { self.given() }
    }

    /// What it was granted, though it may have been expelled since.
    pub fn given(&self) -> MemberGrant {
        parse(&self.may, &self.caveats)
    }

    pub(super) fn set_grant(&mut self, grant: &MemberGrant) {
        self.may = grant.may().to_string();
        self.caveats = texts(grant);
    }

    pub(super) fn membership(&self) -> Option<MembershipId> {
        self.membership.map(MembershipId)
    }
}

/// The caveats of a grant as they are kept.
pub(crate) fn texts(grant: &MemberGrant) -> Vec<String> {
    grant.caveats().map(caveat_text).collect()
}

/// A grant as it is kept. A caveat that cannot be read refuses every use.
pub(crate) fn parse(may: &str, caveats: &[String]) -> MemberGrant {
    let read = |text: &String| {
        // Moments are kept as such, so that the time makes no difference.
        parse_caveat(text, 0).unwrap_or_else(|_| Caveat::Unknown(text.clone()))
    };
    MemberGrant::new(Facets::known(may.split(',')), caveats.iter().map(read).collect())
}

pub(super) fn write(member: &Member) -> Change {
    let key = [MEMBERS, member.identity.as_bytes()].concat();
    // Plain texts and numbers always encode; nothing at all would refuse the member, not admit it.
    (key, Some(rmp_serde::to_vec_named(member).unwrap_or_default()))
}

/// All that are kept. One that cannot be read stops the orchestrator: it might have been expelled.
pub(super) async fn all(meta: &dyn Meta) -> Result<BTreeMap<Identity, Member>, MetaError> {
    let stored = meta.scan(MEMBERS, limits::MEMBERS * 2).await?;
    let read = |(key, bytes): (Vec<u8>, Vec<u8>)| {
        let name = String::from_utf8_lossy(&key).into_owned();
        let damaged = |why: String| {
            MetaError::Damaged(format!("{name} cannot be read ({why}): restore a backup"))
        };
        let member: Member =
            rmp_serde::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let identity = member.identity.parse::<Identity>();
        Ok((identity.map_err(|not| damaged(not.to_string()))?, member))
    };
    stored.into_iter().map(read).collect()
}
