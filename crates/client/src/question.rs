//! What waits for a person: calls held for approval, requests for a capability, and calls of which
//! nobody knows whether they happened.

use remit_core::{CallNumber, EventNumber, TaskId, Value};

pub use remit_core::event::{Approval, Ledger, Remember, Settlement};

use crate::client::Client;
use crate::error::Error;
use crate::serve::questions;
use crate::serve::session::Repeat;

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The task in which it waits.
    pub task: TaskId,
    /// The task's name.
    pub name: String,
    /// The call, or the request, that waits. With the task it names the question.
    pub operation: CallNumber,
    /// The event that asked.
    pub event: EventNumber,
    /// When that was, in milliseconds since 1970.
    pub asked_ms: u64,
    /// When it is denied if nobody has decided, in milliseconds since 1970; `None`: it waits as long
    /// as it takes.
    pub until_ms: Option<u64>,
    /// The question in words. They may quote an agent: make them harmless before a terminal
    /// shows them.
    pub summary: String,
    /// What is asked.
    pub asks: Asks,
}

/// What is asked of a person.
#[derive(Debug, Clone, PartialEq)]
pub enum Asks {
    /// Whether a call may be made: [`TaskHandle::approve`](crate::TaskHandle::approve),
    /// [`deny`](crate::TaskHandle::deny) or [`decide`](crate::TaskHandle::decide).
    Approval {
        /// SHA-256 over the call, which a decision names.
        digest: [u8; 32],
        /// What it is to be made with, by name. Objects in it are null.
        args: Value,
        /// The caveat that asks for approval, in its text form.
        caveat: String,
        /// Whether the method says that it may destroy something.
        destructive: bool,
    },
    /// Whether and which capability the agent gets: [`TaskHandle::give`](crate::TaskHandle::give)
    /// or [`refuse`](crate::TaskHandle::refuse).
    CapabilityRequest {
        /// Of which tool.
        tool: String,
        /// What for, in the agent's words.
        reason: String,
        /// What of that tool there is to give.
        offers: Vec<Offer>,
    },
    /// What became of a call, or what is to be done:
    /// [`TaskHandle::settle`](crate::TaskHandle::settle).
    Settlement {
        /// How it was lost.
        reason: String,
        /// What the tool's records say.
        ledger: Ledger,
    },
}

/// A capability that could be given to a task that asks for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// In the text form of a grant.
    pub grant: String,
    /// The methods with effects that it allows and whose target nothing bounds: the agent chooses it.
    /// Where there are any, another offer has a person decide on just those.
    pub unbounded: Vec<String>,
}

/// A page of what waits for people.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InboxPage {
    /// The questions, those of the newest task first.
    pub questions: Vec<Question>,
    /// Where to go on; `None`: that was all.
    pub more: Option<TaskId>,
}

/// What a person decides on a held call.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The call.
    pub call: CallNumber,
    /// The digest of the call that was looked at: [`Asks::Approval`] has it. A decision on a call
    /// with another one is refused.
    pub digest: [u8; 32],
    /// Whether it may be made, and with which arguments.
    pub approval: Approval,
    /// Why, of which 1,024 characters are kept; the agent of a denied call is told.
    pub reason: String,
    /// Which later calls this decides too; only for an approval of the call as it is.
    pub remember: Remember,
}

impl Client {
    /// What waits for a person, over all tasks. `after`: [`InboxPage::more`] of the page before;
    /// `None`: from the start.
    ///
    /// ```no_run
    /// # async fn example(mesh: remit_client::Client) -> Result<(), remit_client::Error> {
    /// use remit_client::Asks;
    ///
    /// for question in mesh.inbox(None).await?.questions {
    ///     if let Asks::Approval { digest, destructive: false, .. } = question.asks {
    ///         println!("yes to: {:?}", question.summary);
    ///         mesh.task(question.task).approve(question.operation, digest).await?;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn inbox(&self, after: Option<TaskId>) -> Result<InboxPage, Error> {
        self.visit(async move |session| {
            session.ask(Repeat::Harmless, |m| questions::inbox(m, after)).await
        })
        .await
    }
}
