//! Facts about questions to people: approval of calls, requests for power, calls of unknown outcome.

use serde::{Deserialize, Serialize};

use super::CallRequested;
use crate::id::{CallNumber, GrantId};
use crate::value::Value;

/// A call is held until a person decides on it. Nothing was charged or sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalRequested {
    /// The call, as it will be recorded when it is approved unchanged.
    pub request: CallRequested,
    /// The caveat that asks for approval, in its text form.
    pub caveat: String,
    /// For a person: tool, method, arguments, grant, who asks, what the method says of itself.
    pub summary: String,
    /// Whether the method says that it may destroy something.
    pub destructive: bool,
    /// Who asks: a SPIFFE name, or `task`: the task's own agent.
    pub user: String,
    /// When it is denied if nobody decided, in milliseconds since 1970.
    pub until_ms: u64,
}

/// What a person decided on a held call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Approval {
    /// It may be made.
    Approve,
    /// It may not.
    Deny,
    /// It may be made with these arguments, by name, in place of the agent's.
    Change(Value),
}

/// Calls that need not be asked about again, under the same grant and by the same user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Remember {
    /// None.
    #[default]
    Nothing,
    /// The same call with the same arguments, until then in milliseconds since 1970;
    /// [`u64::MAX`]: as long as the grant.
    Arguments(u64),
    /// This method with whatever arguments, until then.
    Method(u64),
}

/// A person decided on a held call, or its time ran out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalDecided {
    /// The call.
    pub call: CallNumber,
    /// The digest of the call that was decided on.
    #[serde(with = "serde_bytes")]
    pub digest: [u8; 32],
    /// What was decided.
    pub approval: Approval,
    /// By whom, as a SPIFFE name; empty: by nobody, its time ran out.
    pub who: String,
    /// Why, in their words.
    pub reason: String,
    /// What else this decides.
    pub remember: Remember,
}

/// The agent asks for a capability that it does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityRequested {
    /// The operation by which it asks.
    pub operation: CallNumber,
    /// Of which tool.
    pub tool: String,
    /// What for, in its words.
    pub reason: String,
    /// When it is refused if nobody decided, in milliseconds since 1970.
    pub until_ms: u64,
}

/// A person gave a capability that was asked for, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityDecided {
    /// The operation that asked.
    pub operation: CallNumber,
    /// What was given; `None`: it was refused.
    pub grant: Option<GrantId>,
    /// Why it was refused.
    pub reason: String,
    /// By whom, as a SPIFFE name; empty: by nobody, its time ran out.
    pub who: String,
}

/// What is known of a call of unknown outcome where it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ledger {
    /// It began there.
    Started,
    /// Nothing is recorded, and the records do not go back that far.
    Forgotten,
    /// The node could not be asked.
    Away,
    /// There are no records at all.
    None,
}

impl Ledger {
    /// Every answer.
    pub const ALL: [Self; 4] = [Self::Started, Self::Forgotten, Self::Away, Self::None];

    /// The name that people and the wire use, for example `started`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Forgotten => "forgotten",
            Self::Away => "away",
            Self::None => "none",
        }
    }
}

/// A person is asked about a call of unknown outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementRequested {
    /// The call.
    pub call: CallNumber,
    /// How it was lost.
    pub reason: String,
    /// What the ledger said.
    pub ledger: Ledger,
}

/// What a person decided on a call of unknown outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Settlement {
    /// It is sent again under the same key.
    Retry,
    /// It fails.
    Abandon,
    /// It ended with this.
    Outcome(Value),
}

/// A person decided on a call of unknown outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettlementDecided {
    /// The call.
    pub call: CallNumber,
    /// What was decided.
    pub settlement: Settlement,
    /// By whom, as a SPIFFE name.
    pub who: String,
}

/// What is done about a call of which nobody knows whether it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum OnUnknown {
    /// As the grant says that this one was narrowed from; without one, by the method: what only
    /// reads or is idempotent is sent again, and a person is asked about the rest.
    #[default]
    Inherit,
    /// It is sent again, under the same key.
    Retry,
    /// It fails with `unknown`.
    Fail,
    /// A person is asked.
    Ask,
}

impl OnUnknown {
    /// The policies that the text form can name.
    pub const NAMED: [Self; 3] = [Self::Retry, Self::Fail, Self::Ask];

    /// The name in the text form, for example `ask`; [`OnUnknown::Inherit`] has none.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inherit => "",
            Self::Retry => "retry",
            Self::Fail => "fail",
            Self::Ask => "ask",
        }
    }
}
