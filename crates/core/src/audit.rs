//! Audit records: one for each exercise of authority, and for each refusal of it.
//!
//! What happens inside a task is in its journal already; [`Projection`] makes records of its events.
//! What happens outside of any task is recorded by itself, in the same form.

mod project;

use serde::{Deserialize, Serialize};

pub use project::Projection;

use crate::id::{CallNumber, GrantId, TaskId};

/// What was done with authority, by whom, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its place in its stream: in a task's journal that of the event, else counted from 1.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// In whose journal it stands; `None`: in that of the mesh.
    pub task: Option<TaskId>,
    /// Who did it: a SPIFFE name, or `task:` and the id of the task whose agent it was.
    pub who: String,
    /// What was decided.
    pub decision: Decision,
    /// The grant that was used, then each that it was narrowed from.
    pub chain: Vec<GrantId>,
    /// The name of that grant.
    pub name: String,
    /// The tool that it leads to.
    pub tool: String,
    /// Who serves that tool, as a SPIFFE name.
    pub node: String,
    /// The object, by the way its task came to hold it.
    pub object: String,
    /// The method.
    pub method: String,
    /// The call or other operation of the task.
    pub operation: Option<CallNumber>,
    /// SHA-256 over object, method and arguments.
    pub digest: Option<[u8; 32]>,
    /// The caveat that refused, in the text form; empty: none did.
    pub caveat: String,
    /// Why, in words for a person.
    pub reason: String,
    /// What it was about beyond that: who joined, or holds; a label; a manifest's hash.
    pub subject: String,
    /// SHA-256 over the stored record, which names the one before.
    pub hash: [u8; 32],
}

/// What was decided. The set is closed, and its names are for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Decision {
    /// A call was let through.
    Allowed,
    /// Something was refused.
    Denied,
    /// A capability was handed out, or derived from one that was held.
    Granted,
    /// One was taken back.
    Revoked,
    /// One was given back by whoever held it, or needed it no more.
    Ended,
    /// A person is asked.
    Asked,
    /// A person said yes.
    Approved,
    /// A sturdy reference was made.
    Saved,
    /// One was turned into a live reference.
    Restored,
    /// Two parties were brought together to speak directly.
    Introduced,
    /// A tool's interface was accepted, at first sight or by a person.
    Accepted,
    /// A tool's interface is another than the accepted one.
    Changed,
    /// A grant goes on with an interface that was accepted after it was made.
    Repinned,
    /// Somebody was invited into the mesh.
    Invited,
    /// Somebody joined it.
    Joined,
    /// An invite was taken back before it was used.
    Withdrawn,
    /// What a member may do was changed.
    Authorized,
    /// A member was expelled.
    Expelled,
    /// An ended task was removed, with its journal.
    Removed,
    /// Records that were acknowledged are missing, because a disk damaged them.
    Lost,
    /// A person had what was left count as all there is.
    LossAccepted,
    /// An operator was not told of something: it was refused, or failed again and again.
    Undelivered,
    /// A peer exceeded a bound on what it may make a connection hold, and its connection ended.
    CutOff,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 23] = [
        Self::Allowed,
        Self::Denied,
        Self::Granted,
        Self::Revoked,
        Self::Ended,
        Self::Asked,
        Self::Approved,
        Self::Saved,
        Self::Restored,
        Self::Introduced,
        Self::Accepted,
        Self::Changed,
        Self::Repinned,
        Self::Invited,
        Self::Joined,
        Self::Withdrawn,
        Self::Authorized,
        Self::Expelled,
        Self::Removed,
        Self::Lost,
        Self::LossAccepted,
        Self::Undelivered,
        Self::CutOff,
    ];

    /// The name that stands in a record, for example `denied`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Granted => "granted",
            Self::Revoked => "revoked",
            Self::Ended => "ended",
            Self::Asked => "asked",
            Self::Approved => "approved",
            Self::Saved => "saved",
            Self::Restored => "restored",
            Self::Introduced => "introduced",
            Self::Accepted => "accepted",
            Self::Changed => "changed",
            Self::Repinned => "repinned",
            Self::Invited => "invited",
            Self::Joined => "joined",
            Self::Withdrawn => "withdrawn",
            Self::Authorized => "authorized",
            Self::Expelled => "expelled",
            Self::Removed => "removed",
            Self::Lost => "lost",
            Self::LossAccepted => "loss-accepted",
            Self::Undelivered => "undelivered",
            Self::CutOff => "cut-off",
        }
    }

    /// The decision of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.as_str() == name)
    }
}

impl Record {
    /// A record of what `who` did and what was decided; the rest is filled in by whoever knows it,
    /// number, time and hash by whoever keeps it.
    pub fn new(who: impl Into<String>, decision: Decision) -> Self {
        Self {
            number: 0,
            time_ms: 0,
            task: None,
            who: who.into(),
            decision,
            chain: Vec::new(),
            name: String::new(),
            tool: String::new(),
            node: String::new(),
            object: String::new(),
            method: String::new(),
            operation: None,
            digest: None,
            caveat: String::new(),
            reason: String::new(),
            subject: String::new(),
            hash: [0; 32],
        }
    }

    /// The same record with this reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// The same record about this subject.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }
}
