//! What the agent asks for: calls, sleeps, waits and requests, and what became of each.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ATTENUATE, CapabilityRequest, Stamp};
use crate::event::{CallDenied, CallRequested};
use crate::id::{GrantId, InputId};
use crate::value::Outcome;

/// Something the agent asked for under a number of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    /// A call that was allowed.
    Call {
        /// What was asked.
        request: Arc<CallRequested>,
        /// What became of it.
        state: CallState,
    },
    /// A call that was refused.
    Denied {
        /// What was asked and why it was refused.
        denied: Arc<CallDenied>,
        /// The event that says so.
        at: Stamp,
    },
    /// A grant derived from an object.
    Derived {
        /// The grant.
        grant: GrantId,
        /// SHA-256 over what was asked, as of a call.
        digest: [u8; 32],
        /// The event that says so.
        at: Stamp,
    },
    /// A sleep.
    Sleep {
        /// When it is over, in milliseconds since 1970.
        due_ms: u64,
        /// The event that ended it.
        fired: Option<Stamp>,
    },
    /// A wait for input.
    Input {
        /// The input that was given, and the event that says so.
        delivered: Option<(InputId, Stamp)>,
    },
    /// A look for steers.
    Steers {
        /// Whether it waits for one.
        wait: bool,
        /// Those that were handed over, and the event that says so.
        delivered: Option<(Vec<InputId>, Stamp)>,
    },
    /// A request for a capability.
    CapabilityRequest {
        /// Of which tool.
        tool: String,
        /// What for.
        reason: String,
        /// What became of it, and the event that says so.
        answer: Option<(CapabilityRequest, Stamp)>,
    },
}

/// What became of an allowed call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CallState {
    /// It waits for a person's approval. Nothing was charged or sent.
    Held,
    /// It was sent, or is about to be.
    Requested,
    /// It was sent and nobody knows what became of it.
    Unknown,
    /// It ended.
    Completed(Arc<Outcome>, Stamp),
}

impl Operation {
    /// The event that settled it, if it is settled.
    pub const fn settled(&self) -> Option<Stamp> {
        match self {
            Self::Call { state: CallState::Completed(_, at), .. }
            | Self::Denied { at, .. }
            | Self::Derived { at, .. } => Some(*at),
            Self::Sleep { fired, .. } => *fired,
            Self::Input { delivered: Some((_, at)) }
            | Self::Steers { delivered: Some((_, at)), .. }
            | Self::CapabilityRequest { answer: Some((_, at)), .. } => Some(*at),
            Self::Call { .. }
            | Self::Input { delivered: None }
            | Self::Steers { delivered: None, .. }
            | Self::CapabilityRequest { answer: None, .. } => None,
        }
    }

    /// SHA-256 over what was asked, if it was asked of an object.
    pub fn digest(&self) -> Option<&[u8; 32]> {
        match self {
            Self::Call { request, .. } => Some(&request.digest),
            Self::Denied { denied, .. } => Some(&denied.digest),
            Self::Derived { digest, .. } => Some(digest),
            Self::Sleep { .. }
            | Self::Input { .. }
            | Self::Steers { .. }
            | Self::CapabilityRequest { .. } => None,
        }
    }

    /// What it is, for an error message.
    pub fn describe(&self) -> String {
        match self {
            Self::Call { request, .. } => format!("{} on {}", request.method, request.object),
            Self::Denied { denied, .. } => format!("{} on {}", denied.method, denied.object),
            Self::Derived { grant, .. } => format!("{ATTENUATE}, which made grant {grant}"),
            Self::Sleep { .. } => "a sleep".into(),
            Self::Input { .. } => "a wait for input".into(),
            Self::Steers { .. } => "a look for steers".into(),
            Self::CapabilityRequest { tool, reason, .. } => {
                format!("a request for {tool} ({reason})")
            }
        }
    }
}
