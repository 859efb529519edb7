//! Questions that wait for a person: calls held for approval, requests for a capability, and calls
//! of unknown outcome.

use remit_core::{CallNumber, EventNumber, TaskId, Value};

pub use remit_core::event::{Approval, Ledger, Remember, Settlement};

use crate::client::Client;
use crate::error::Error;
use crate::serve::questions;
use crate::serve::session::Repeat;

/// A question that waits for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The task in which it waits.
    pub task: TaskId,
    /// The task's name.
    pub name: String,
    /// The call or the request that waits. It identifies the question within the task.
    pub operation: CallNumber,
    /// The event that asked the question.
    pub event: EventNumber,
    /// When it was asked, in milliseconds since 1970.
    pub asked_ms: u64,
    /// When it is denied without a decision, in milliseconds since 1970; `None`: it waits without
    /// limit.
    pub until_ms: Option<u64>,
    /// The question in words. It may quote an agent: escape control characters before a terminal
    /// shows it.
    pub summary: String,
    /// The kind of question.
    pub asks: Asks,
}

/// The kind of a question, and what a decision needs to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Asks {
    /// May the call be made? Answered by [`TaskHandle::approve`](crate::TaskHandle::approve),
    /// [`deny`](crate::TaskHandle::deny) or [`decide`](crate::TaskHandle::decide).
    Approval {
        /// SHA-256 of the call, which a decision must name.
        digest: [u8; 32],
        /// The arguments, by name. Objects in them are null.
        args: Value,
        /// The caveat that requires the approval, in its text form.
        caveat: String,
        /// Whether the method is annotated as destructive.
        destructive: bool,
    },
    /// Which capability, if any, does the agent get? Answered by
    /// [`TaskHandle::give`](crate::TaskHandle::give) or [`refuse`](crate::TaskHandle::refuse).
    CapabilityRequest {
        /// The tool that the agent asks for.
        tool: String,
        /// The purpose, in the agent's words.
        reason: String,
        /// The grants of that tool that can be given.
        offers: Vec<Offer>,
    },
    /// Did the call happen, or what is to be done about it? Answered by
    /// [`TaskHandle::settle`](crate::TaskHandle::settle).
    Settlement {
        /// How the outcome was lost.
        reason: String,
        /// What the tool node's ledger says about the call.
        ledger: Ledger,
    },
}

/// A capability that can be given to a task that asks for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The grant, in its text form.
    pub grant: String,
    /// The allowed methods with effects whose target is not bounded, so the agent chooses it. If
    /// there are any, another offer requires a person's approval for just these.
    pub unbounded: Vec<String>,
}

/// A page of the inbox.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InboxPage {
    /// The questions, those of the newest task first.
    pub questions: Vec<Question>,
    /// The cursor of the next page; `None`: this is the last.
    pub more: Option<TaskId>,
}

/// A person's decision on a held call.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The call.
    pub call: CallNumber,
    /// The digest of the call that the person looked at, from [`Asks::Approval`]. The decision is
    /// refused if the call has another digest.
    pub digest: [u8; 32],
    /// Whether the call may be made, and with which arguments.
    pub approval: Approval,
    /// The reason, of which 1,024 characters are kept. The agent of a denied call sees it.
    pub reason: String,
    /// Which later calls the decision covers too; only for an approval of the call as it is.
    pub remember: Remember,
}

impl Client {
    /// Lists the questions of all tasks. `after` is [`InboxPage::more`] of the page before; `None`
    /// starts at the first page.
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
