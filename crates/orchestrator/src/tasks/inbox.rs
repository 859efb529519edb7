//! What waits for people, over all tasks, and the one answer that needs more than the task: a gift.

use std::rc::Rc;

use remit_core::event::{Grant, Ledger, OnUnknown};
use remit_core::grant::review::{approval_of, unbounded_effects};
use remit_core::grant::text::GrantText;
use remit_core::task::{Command, Question, Stamp, Task};
use remit_core::{CallNumber, Caveat, Code, Failure, GrantId, Identity, Manifest, TaskId, Value};

use super::{GrantSpec, Tasks};
use crate::admission::members::sight::Visibility;
use crate::limits;
use crate::runtime::{Owner, TaskKey};

/// A question to a person.
#[derive(Debug, Clone)]
pub struct Item {
    /// In which task.
    pub task: TaskId,
    /// The task's name.
    pub name: String,
    /// The operation that waits.
    pub operation: CallNumber,
    /// The event that asked.
    pub at: Stamp,
    /// When it is decided by itself, in milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// The question in words.
    pub summary: String,
    /// What is asked.
    pub asks: Asks,
}

/// What is asked.
#[derive(Debug, Clone)]
pub enum Asks {
    /// Whether a call may be made.
    Approval {
        /// Which a decision names.
        digest: [u8; 32],
        /// What it is to be made with.
        args: Value,
        /// The caveat that asks.
        caveat: String,
        /// Whether the method may destroy something.
        destructive: bool,
    },
    /// Whether and which capability the agent gets.
    CapabilityRequest {
        /// Of which tool.
        tool: String,
        /// What for.
        reason: String,
        /// What could be given.
        offers: Vec<Offer>,
    },
    /// What became of a call, or what is to be done.
    Settlement {
        /// How it was lost.
        reason: String,
        /// What the ledger said.
        ledger: Ledger,
    },
}

/// A capability that could be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// In the text form of a grant.
    pub grant: String,
    /// The methods with effects whose target it leaves to the agent.
    pub unbounded: Vec<String>,
}

/// Questions of some tasks, and where to go on if there are more.
pub type Page = (Vec<Item>, Option<TaskId>);

impl Tasks {
    /// What waits for a person in the tasks of a tenant, the newest task first; `sight`: in those that it
    /// has, or in all. Looks at a bounded number of tasks that have questions, and reads none that is
    /// not seen.
    pub fn inbox(
        &self,
        tenant: &str,
        after: Option<TaskId>,
        limit: usize,
        sight: Option<&Visibility>,
    ) -> Result<Page, Failure> {
        let limit = limit.clamp(1, limits::QUESTIONS_PER_PAGE);
        let mut items = Vec::new();
        let mut cursor = after;
        let asking = self.services().journal.asking(tenant, cursor, limits::TASKS_LOOKED_AT);
        let asking = asking.map_err(super::unreadable)?;
        let full = asking.len() == limits::TASKS_LOOKED_AT;
        for task in asking {
            if items.len() >= limit {
                return Ok((items, cursor));
            }
            cursor = Some(task);
            match self.asks(TaskKey { tenant: tenant.to_owned(), task }, sight) {
                Ok(asked) => items.extend(asked),
                // Its journal cannot be read: a list of tasks says so.
                Err(failure) => tracing::warn!(%task, %failure, "left out of the inbox"),
            }
        }
        Ok((items, cursor.filter(|_| full)))
    }

    /// What waits for a person in a task, if it is seen.
    fn asks(&self, key: TaskKey, sight: Option<&Visibility>) -> Result<Vec<Item>, Failure> {
        if let Some(sight) = sight.filter(|sight| !sight.is_everything()) {
            let head = self.services().journal.head(&key.tenant, key.task);
            let head = head.map_err(super::unreadable)?.unwrap_or_default();
            if !self.is_seen(&key.tenant, key.task, &head, Some(sight)) {
                return Ok(Vec::new());
            }
        }
        Ok(self.questions(&self.get(&key)?))
    }

    /// What of one task waits for a person, oldest first.
    pub fn questions(&self, owner: &Rc<Owner>) -> Vec<Item> {
        let task_id = owner.key().task;
        let mut items: Vec<Item> = owner.with(|task| {
            task.questions().iter().map(|question| item(task_id, task, question)).collect()
        });
        for item in &mut items {
            if let Asks::CapabilityRequest { tool, offers, .. } = &mut item.asks {
                *offers = self.offers(tool, owner);
            }
        }
        items
    }

    /// Answers a request for a capability, durably.
    pub async fn give(
        &self,
        owner: &Rc<Owner>,
        operation: CallNumber,
        spec: GrantSpec,
        by: &Identity,
    ) -> Result<GrantId, Failure> {
        self.expect_tools([&spec]).await;
        let (grant, own) = self.resolve(spec, by)?;
        let grant = Grant { by: by.to_string(), ..grant };
        let command =
            Command::GiveCapability { operation, grant: Box::new(grant), who: by.to_string() };
        let recorded = owner.record(&command)?;
        let Some(grant) = owner.with(|task| task.granted_to(operation)) else {
            return Err(Failure::new(Code::Failed, "what was given was not recorded"));
        };
        // At once: whoever gave it may go before it is on disk.
        if let Some(object) = own.filter(|_| !recorded.events.is_empty()) {
            owner.hold_own(grant, object);
        }
        owner.durable(recorded.number).await?;
        Ok(grant)
    }

    /// What could be given of a tool: the tool itself in each version, and what tasks of the same
    /// creator that are at work hold of it.
    fn offers(&self, tool: &str, asking: &Rc<Owner>) -> Vec<Offer> {
        let mut offers: Vec<Offer> = Vec::new();
        let mut offer = |manifest: &Manifest, version: &str, path: &str, caveats: &[Caveat]| {
            for offer in Offer::of(manifest, version, path, caveats) {
                if offers.len() < limits::OFFERS && !offers.contains(&offer) {
                    offers.push(offer);
                }
            }
        };
        if tool == super::tool::NAME {
            offer(&super::tool::MANIFEST, "", "", &[]);
        }
        for known in self.services().registry.tools() {
            if known.manifest.tool == tool {
                offer(&known.manifest, &known.manifest.version, "", &[]);
            }
        }
        let creator = asking.with(|task| task.created().creator.clone());
        for owner in self.owners.borrow().values() {
            owner.with(|task| {
                if task.created().creator != creator {
                    return;
                }
                for held in task.grants() {
                    let grant = &held.grant;
                    let whole = grant.parent.is_none() && grant.origin.is_none();
                    if whole && grant.tool == tool && !task.is_revoked(grant.grant) {
                        offer(&grant.manifest, "", &grant.path, &grant.caveats);
                    }
                }
            });
        }
        offers
    }
}

impl Offer {
    /// A grant with these caveats. If effects of it are left that nothing bounds, before it the same
    /// with a person who decides on just those.
    fn of(manifest: &Manifest, version: &str, path: &str, caveats: &[Caveat]) -> Vec<Self> {
        let text = |caveats: Vec<Caveat>| {
            let (tool, version) = (manifest.tool.clone(), version.to_owned());
            let (path, on_unknown) = (path.to_owned(), OnUnknown::Inherit);
            GrantText { tool, version, path, caveats, on_unknown }.to_string()
        };
        let unbounded = unbounded_effects(manifest, path, caveats);
        let methods = unbounded.iter().map(|one| one.method.clone()).collect();
        let whole = Self { grant: text(caveats.to_vec()), unbounded: methods };
        if unbounded.is_empty() {
            return vec![whole];
        }
        let approved = caveats.iter().cloned().chain([approval_of(&unbounded)]).collect();
        vec![Self { grant: text(approved), unbounded: Vec::new() }, whole]
    }
}

fn item(task_id: TaskId, task: &Task, question: &Question<'_>) -> Item {
    let (summary, asks) = match question {
        Question::Approval(request, hold) => {
            let asks = Asks::Approval {
                digest: request.digest,
                args: request.args.clone(),
                caveat: hold.caveat.clone(),
                destructive: hold.destructive,
            };
            (hold.summary.clone(), asks)
        }
        Question::CapabilityRequest(request, _) => {
            let (tool, reason) = (request.tool.clone(), request.reason.clone());
            let summary = format!("the task's agent asks for {tool}: {reason}");
            (summary, Asks::CapabilityRequest { tool, reason, offers: Vec::new() })
        }
        Question::Settlement(request, unsettled) => {
            let summary = format!(
                "did it happen? {}; {}",
                task.call_in_words(request),
                unsettled.ledger.explained()
            );
            let reason = unsettled.reason.clone();
            (summary, Asks::Settlement { reason, ledger: unsettled.ledger })
        }
    };
    Item {
        task: task_id,
        name: task.created().name.clone(),
        operation: question.operation(),
        at: question.at(),
        until_ms: question.until_ms(),
        summary,
        asks,
    }
}
