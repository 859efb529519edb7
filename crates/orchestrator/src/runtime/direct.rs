//! Direct paths: large results go from the tool node to the agent node, and not through here.
//!
//! Everything else stays where it was: the call comes through the membrane, is decided on, charged
//! and recorded, and its outcome is told in its turn. Where the value is, stands in the journal.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use remit_core::event::{CallRequested, Introduced, OffloadedResult};
use remit_core::task::Command;
use remit_core::{Attempt, CallNumber, Code, Failure, GrantId, ObjectId, Outcome, Value};
use remit_identity::ticket;
use remit_schema::agent_node_capnp::run;
use remit_schema::tool_node_capnp::introduction;

use super::Owner;
use super::objects::{NoObject, Reached};
use crate::runtime::introduce;
use crate::runtime::outgoing::{self, Answer, NoAnswer, Settled};

/// The direct paths of the running attempt.
#[derive(Default)]
pub(super) struct Paths {
    last: u32,
    /// Who is to be introduced, while an attempt runs.
    agent: Option<Rc<RunningAgent>>,
    standing: BTreeMap<GrantId, Path>,
    /// Tokens for values that the attempt was not told of yet.
    fresh: BTreeMap<CallNumber, DirectAccess>,
}

/// The agent node of the running attempt.
struct RunningAgent {
    attempt: Attempt,
    agent: String,
    run: run::Client,
}

struct Path {
    number: u32,
    /// Dropping it cuts the path.
    _lease: introduction::Client,
}

/// How the agent gets a value by itself.
#[derive(Debug, Clone)]
pub(crate) struct DirectAccess {
    /// Over which of its direct connections.
    pub(crate) path: u32,
    /// For what.
    pub(crate) token: Vec<u8>,
}

impl Owner {
    /// Introduces the attempt's agent node to the tool node of each grant that says so. Until the two
    /// have met, and if they cannot, everything goes through here.
    pub(super) fn introduce_all(self: &Rc<Self>, attempt: Attempt, agent: &str, run: &run::Client) {
        let at_work = RunningAgent { attempt, agent: agent.to_owned(), run: run.clone() };
        self.direct.borrow_mut().agent = Some(Rc::new(at_work));
        let grants: Vec<GrantId> =
            self.with(|task| task.grants().map(|held| held.grant.grant).collect());
        for grant in grants {
            self.introduce_soon(grant);
        }
    }

    /// The same for one grant, which may have come while the attempt runs.
    pub(super) fn introduce_soon(self: &Rc<Self>, grant: GrantId) {
        let Some(at_work) = self.direct.borrow().agent.clone() else { return };
        if !self.with(|task| task.may_introduce(grant)) {
            return;
        }
        let owner = Rc::clone(self);
        self.spawn("an introduction", async move {
            if let Err(failure) = owner.introduce(grant, &at_work).await {
                let task = owner.key().task;
                tracing::info!(%task, %grant, %failure, "there is no direct path");
                let attempt = at_work.attempt;
                let reason = failure.message;
                let forgo = Command::ForgoIntroduction { grant, attempt, reason };
                if let Err(error) = owner.record(&forgo) {
                    tracing::debug!(%task, %grant, %error, "that was not recorded");
                }
            }
        });
    }

    async fn introduce(
        self: &Rc<Self>,
        grant: GrantId,
        at_work: &RunningAgent,
    ) -> Result<(), Failure> {
        let RunningAgent { attempt, agent, run } = at_work;
        let attempt = *attempt;
        let found = self.with(|task| {
            let held = task.grant(grant).map(|held| Rc::new(held.grant.clone()));
            held.zip(task.links(grant))
        });
        let gone = || Failure::new(Code::Revoked, "the grant is gone");
        let (held, links) = found.ok_or_else(gone)?;
        let (node, tool) = (held.node.clone(), held.tool.clone());
        if self.is_own(grant) {
            return Err(Failure::new(Code::NotFound, "no tool node serves it"));
        }
        let live = self.live_tool(&node, &tool, &held.manifest.version).await?;
        self.check_live(grant, &live)?;
        if live.address.is_empty() {
            return Err(Failure::new(Code::NotFound, format!("{node} lets nobody dial it")));
        }
        let introduced = Introduced { grant, attempt, agent: agent.clone(), node: node.clone() };
        let recorded = self.record_durably(&Command::Introduce(Box::new(introduced))).await?;
        if recorded.events.is_empty() {
            return Err(gone());
        }
        let ticket = ticket::fresh();
        let spec = introduce::Spec {
            ticket: &ticket,
            agent,
            tool: &live.manifest,
            path: &held.path,
            links: &links,
        };
        let (lease, object) = introduce::at_tool_node(&live.host, &spec).await?;
        let number = {
            let mut paths = self.direct.borrow_mut();
            paths.last += 1;
            paths.last
        };
        introduce::at_agent_node(run, number, (&live.address, &node), &ticket).await?;
        let stands = self.with(|task| task.running() == Some(attempt) && !task.is_revoked(grant));
        if !stands || self.is_closing() {
            return Err(gone());
        }
        // Calls that were sent over the object before this one come before it at the tool too: it is
        // the same connection.
        let reached = Reached { client: object, link: live.link.clone() };
        self.objects.borrow_mut().set(ObjectId::Grant(grant), Ok(reached));
        let path = Path { number, _lease: lease };
        self.direct.borrow_mut().standing.insert(grant, path);
        tracing::debug!(task = %self.key().task, %grant, "a direct path stands");
        Ok(())
    }

    /// The direct path by which the result of a call may go: one of the agent's own, on a grant that
    /// has one or was narrowed from such.
    pub(super) fn path_for(&self, asked: &CallRequested) -> Option<u32> {
        if asked.through.is_some() || asked.delegate.is_some() {
            return None;
        }
        let paths = self.direct.borrow();
        self.with(|task| {
            let mut chain = task.chain(asked.grant);
            chain.find_map(|held| paths.standing.get(&held.grant.grant).map(|path| path.number))
        })
    }

    /// Records the outcome of a call whose value is with the tool node.
    pub(super) fn complete_kept(
        self: &Rc<Self>,
        asked: &CallRequested,
        kept: outgoing::OffloadedResult,
        cost: u64,
    ) {
        let call = asked.call;
        if let Some(path) = self.path_for(asked) {
            self.direct.borrow_mut().fresh.insert(call, DirectAccess { path, token: kept.token });
        }
        let key = self.tool_key(call);
        let kept = Box::new(OffloadedResult { call, key, digest: kept.digest, bytes: kept.bytes });
        if let Err(error) = self.record(&Command::KeepBody { kept, cost }) {
            tracing::warn!(task = %self.key().task, %call, %error, "an outcome could not be recorded");
        }
    }

    /// How the agent gets the value of a call by itself, once.
    pub(crate) fn fresh(&self, call: CallNumber) -> Option<DirectAccess> {
        self.direct.borrow_mut().fresh.remove(&call)
    }

    /// Cuts the paths of grants that were taken back.
    pub(super) fn cut_paths(&self) {
        let mut paths = self.direct.borrow_mut();
        paths.standing.retain(|grant, _| self.with(|task| !task.is_revoked(*grant)));
    }

    /// Cuts all of them: the attempt is over.
    pub(super) fn forget_paths(&self) {
        let before = self.direct.take();
        // Numbers are not given again: a path of the attempt before might still be about to stand.
        self.direct.borrow_mut().last = before.last;
    }

    /// The value of a call that is not in the journal, for an agent that was told so.
    pub async fn body(
        self: &Rc<Self>,
        attempt: Attempt,
        call: CallNumber,
    ) -> Result<Value<u32>, Failure> {
        self.check_running(attempt)?;
        let found = self.with(|task| task.kept(call).cloned().zip(task.request(call).cloned()));
        let asked = self.has_asked(call);
        let Some((kept, request)) = found.filter(|_| asked) else {
            let why = format!("the value of call {call} is not kept anywhere");
            return Err(Failure::new(Code::NotFound, why));
        };
        let mut found = self.ask_ledger(&kept, &request).await?;
        if matches!(found, Found::Nothing) && request.read_only {
            found = self.read_again(&kept).await?;
        }
        let method = &request.method;
        let failure = match found {
            Found::Same(value) => return Ok(value),
            Found::OtherSize(weight) => {
                let said = kept.bytes;
                let why = format!(
                    "the result of call {call} ({method}) has {weight} bytes, and its tool said {said}: a tool that says what is not so cannot be worked with"
                );
                Failure::new(Code::Failed, why)
            }
            Found::Failed(failure) => return Err(self.pause_without(&kept, method, failure)),
            Found::Nothing => {
                let bytes = kept.bytes;
                let why = format!(
                    "the result of call {call} ({method}, {bytes} bytes) went straight to the agent, and its tool node has it no more: the task cannot be repeated from its journal"
                );
                Failure::new(Code::ObjectLost, why)
            }
        };
        self.fail(failure.clone());
        Err(failure)
    }

    /// Pauses the task, whose tool failed when it was asked for a lost value once more. A person can
    /// look, and let the task ask again.
    fn pause_without(
        self: &Rc<Self>,
        kept: &OffloadedResult,
        method: &str,
        failure: Failure,
    ) -> Failure {
        let (call, bytes) = (kept.call, kept.bytes);
        let reason = format!(
            "the result of call {call} ({method}, {bytes} bytes) went straight to the agent, its tool node has it no more, and reading it again failed: {failure}. Resume the task to have it read once more"
        );
        let pause = Command::Pause { reason, who: String::new(), call: None };
        if let Err(error) = self.record(&pause) {
            tracing::warn!(task = %self.key().task, %call, %error, "the task could not be paused");
        }
        failure
    }

    async fn ask_ledger(
        self: &Rc<Self>,
        kept: &OffloadedResult,
        request: &CallRequested,
    ) -> Result<Found, Failure> {
        let gone = || Failure::new(Code::ObjectLost, "the grant is gone");
        let grant = self.with(|task| {
            let root = task.chain(request.grant).last()?;
            Some(Rc::new(root.grant.clone()))
        });
        let grant = grant.ok_or_else(gone)?;
        let live = self.live_tool(&grant.node, &grant.tool, &grant.manifest.version).await?;
        let limit = self.timeout_of(kept.call);
        let settled = outgoing::settle(&live.host, &kept.key, u64::MAX, limit).await?;
        Ok(match settled {
            Settled::Completed(answer) => compare(answer, kept),
            Settled::NeverStarted | Settled::Started | Settled::Forgotten => Found::Nothing,
        })
    }

    /// Asks the tool once more. What it says now is of use only if it is what it said then.
    async fn read_again(self: &Rc<Self>, kept: &OffloadedResult) -> Result<Found, Failure> {
        let (promise, link) = match self.repeat(kept.call).await {
            Ok(sent) => sent,
            Err(NoObject::Away(failure)) => return Err(failure),
            Err(NoObject::Never(_) | NoObject::Refused(_)) => return Ok(Found::Nothing),
        };
        match outgoing::answer(self.timeout_of(kept.call), promise, &link).await {
            Ok(answer) => Ok(compare(answer, kept)),
            Err(lost @ NoAnswer::Lost(_)) => Err(lost.into()),
            // Whatever its code: only the tool knows whether it will ever have the value again.
            Err(NoAnswer::Failed(failure)) => Ok(Found::Failed(failure)),
        }
    }
}

/// What an answer has of a value that was recorded.
enum Found {
    /// The value.
    Same(Value<u32>),
    /// The value, and it has so many bytes: what was checked and charged was another number.
    OtherSize(u64),
    /// Nothing, or another value.
    Nothing,
    /// The tool was asked for the value once more, and failed.
    Failed(Failure),
}

fn compare(answer: Answer, kept: &OffloadedResult) -> Found {
    match answer.outcome {
        Outcome::Value { value, .. } if value.digest() == Some(kept.digest) => {
            match value.weight() as u64 {
                weight if weight == kept.bytes => Found::Same(Arc::unwrap_or_clone(value)),
                weight => Found::OtherSize(weight),
            }
        }
        Outcome::Value { .. } | Outcome::Failure(_) => Found::Nothing,
    }
}
