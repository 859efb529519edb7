//! Forwarding: an allowed call on its way to the tool, and what became of it.
//!
//! A forward is the owner's own task. It outlives the attempt that asked, so that an agent's death
//! neither cancels an effect nor loses its outcome; a revocation or a cancellation ends it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use remit_core::event::{CallRequested, Settlement};
use remit_core::task::{CallState, Command, Operation};
use remit_core::{CallNumber, Code, EventNumber, Failure, GrantId, ObjectId, Outcome};
use remit_faults::crash::{self, Step};
use remit_schema::object_capnp::object;
use remit_vat::contain::contain;
use remit_vat::gate::{Gate, Place};
use remit_vat::turn;
use remit_vat::wire;
use tracing::Instrument as _;

use super::objects::{NoObject, Reached};
use super::{Output, Owner};
use crate::limits;
use crate::quota::shares::Share;
use crate::runtime::membrane::Membrane;
use crate::runtime::outgoing::{self, Answer, NoAnswer};
use crate::scheduler::registry::Link;
use crate::tasks::BUILT_IN;

/// Where in a call's key its generation stands.
const GENERATION_SHIFT: u32 = 56;

/// What is known of a call that is to be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// It was never sent.
    First,
    /// It may have happened.
    Unknown,
    /// It may have happened, and a person decided that it is sent again.
    Decided,
}

/// How one try to get an outcome ended.
pub(super) enum Try {
    /// With an outcome.
    Answered(Box<Answer>),
    /// It was not sent: the tool is away.
    Unreachable(Failure),
    /// The connection to the tool was lost on the way, for this reason.
    Lost(String),
}

impl Owner {
    /// Makes sure that an allowed call is on its way: at once for a fresh one, and for one that an
    /// earlier attempt or an earlier process left open.
    pub fn ensure_forwarded(self: &Rc<Self>, call: CallNumber, intent: EventNumber) {
        let open = self.with(|task| match task.operation(call) {
            Some(Operation::Call { request, state: CallState::Requested }) => {
                let again =
                    task.settlement(call).is_some_and(|s| s.settlement == Settlement::Retry);
                let how = if again { Sending::Decided } else { Sending::First };
                Some((Rc::new(request.clone()), how))
            }
            Some(Operation::Call { request, state: CallState::Unknown }) => {
                Some((Rc::new(request.clone()), Sending::Unknown))
            }
            _ => None,
        });
        let Some((asked, how)) = open else { return };
        // It waits for a person, for the task to be resumed, or for its maker to ask again; a trial
        // sends nothing.
        let waits = self.with(|task| task.is_unsettled(call) || task.paused().is_some());
        if waits || self.trial.is_some() || self.lacks_caller_capabilities(&asked) {
            return;
        }
        if self.forwards.borrow().contains_key(&call) || self.is_closing() {
            return;
        }
        let place = self.gate_of(&asked).enter(call.0);
        let owner = Rc::clone(self);
        let (key, method) = (&self.key().task, &asked.method);
        let span = tracing::info_span!(parent: None, "call", task = %key, call = call.0, method);
        let forwarding = async move {
            let forwarded = contain(owner.forward(&asked, place, intent, how)).await;
            if let Err(panic) = forwarded {
                owner.broke_down(&asked, &panic);
            }
            owner.forwards.borrow_mut().remove(&asked.call);
            tracing::debug!("call ended");
        };
        let task = turn::spawn("a call", forwarding.instrument(span));
        self.forwards.borrow_mut().insert(call, task.abort_handle());
    }

    pub(super) fn gate_of(&self, asked: &CallRequested) -> Rc<Gate> {
        Rc::clone(self.gates.borrow_mut().entry(asked.grant).or_default())
    }

    async fn forward(
        self: &Rc<Self>,
        asked: &CallRequested,
        place: Place,
        intent: EventNumber,
        how: Sending,
    ) {
        // What changes nothing need not be on disk first: its intent rides with the next commit.
        if !asked.read_only && self.durable(intent).await.is_err() {
            return;
        }
        let answer = if how != Sending::First {
            let reason = "the orchestrator was restarted".to_owned();
            self.settle(asked, (place, how), reason).await
        } else {
            match self.send(asked, place).await {
                Try::Answered(answer) => Some(*answer),
                Try::Unreachable(failure) => Some(Answer::failed(failure)),
                Try::Lost(reason) => {
                    let lose = Command::LoseCall { call: asked.call, reason: reason.clone() };
                    if self.record_durably(&lose).await.is_err() {
                        return;
                    }
                    let place = self.gate_of(asked).enter(asked.call.0);
                    self.settle(asked, (place, Sending::Unknown), reason).await
                }
            }
        };
        // Without an answer a person is asked, or the task is paused: the call stays open.
        if let Some(answer) = answer {
            let back = self.match_returned_caps(asked.call, &answer);
            match answer.kept {
                Some(kept) => self.complete_kept(asked, kept, answer.cost),
                None => self.complete(asked.call, answer, &back),
            }
        }
    }

    /// Ends a call whose forward panicked: nobody else would, and whoever waits would wait for ever.
    fn broke_down(self: &Rc<Self>, asked: &CallRequested, panic: &str) {
        tracing::error!(task = %self.key().task, call = %asked.call, panic, "a forward panicked");
        let (code, how) = if asked.read_only {
            (Code::Failed, "could not be made")
        } else {
            (Code::Unknown, "may or may not have happened")
        };
        let why = format!("{} {how}: the orchestrator broke down over it: {panic}", asked.method);
        let failure = Failure::new(code, why);
        let result = ObjectId::Result(asked.call);
        self.objects.borrow_mut().set(result, Err(failure.clone()));
        self.complete(asked.call, Answer::failed(failure), &[]);
    }

    /// Which of the objects in an answer are those that were lent or given for the call: they are
    /// themselves again, not objects of the tool's.
    fn match_returned_caps(&self, call: CallNumber, answer: &Answer) -> Vec<Option<ObjectId>> {
        // A promise of the tool's that has not resolved is none of them, and is not waited for.
        let known = |client: &object::Client| {
            let own = self.membranes().lent(client.clone(), call).now_or_never().flatten();
            own.or_else(|| self.guest_again(call, client))
        };
        answer.table.iter().map(known).collect()
    }

    /// Sends the call and waits for its answer.
    pub(super) async fn send(self: &Rc<Self>, asked: &CallRequested, place: Place) -> Try {
        place.first().await;
        let result = ObjectId::Result(asked.call);
        let resolved = match self.open_for(asked).await {
            Ok(()) => self.resolve(asked.object).await,
            Err(failure) => Err(NoObject::Away(failure)),
        };
        let Reached { client: inner, link } = match resolved {
            Ok(reached) => reached,
            Err(NoObject::Away(failure)) => return Try::Unreachable(failure),
            Err(NoObject::Never(failure)) => {
                self.objects.borrow_mut().set(result, Err(failure.clone()));
                return Try::Answered(Box::new(Answer::failed(failure)));
            }
            Err(NoObject::Refused(failure)) => {
                self.objects.borrow_mut().set(result, Err(failure.clone()));
                return Try::Answered(Box::new(Answer::refused(failure)));
            }
        };
        let in_flight = self.in_flight_turn(asked).await;
        let key = self.tool_key(asked.call);
        let direct = self.path_for(asked).is_some();
        let call = outgoing::call(&inner, &asked.method, &key, |args| {
            let mut lend = |object| self.lend(asked, asked.call, object);
            wire::value::write_live(args, &asked.args, &mut lend);
        });
        let call = call.in_line(self.line_of(asked.grant));
        let promise = if direct { call.directly() } else { call }.send();
        let promised = Reached { client: promise.pipeline.get_object(), link: link.clone() };
        self.objects.borrow_mut().set(result, Ok(promised));
        drop(place);
        crash::point_after_turn(Step::Forwarded, "call");
        let answer = outgoing::answer(self.timeout_of(asked.call), promise, &link).await;
        drop(in_flight);
        crash::point(Step::Received, "outcome");
        match answer {
            Ok(Answer { kept: Some(_), .. }) if !direct => {
                let why = "the tool keeps a value that it was not asked to keep";
                Try::Answered(Box::new(Answer::failed(Failure::new(Code::Failed, why))))
            }
            Ok(mut answer) => {
                // Only a node that was to hold the call to caveats can refuse it.
                answer.refused &= direct;
                self.hold_parts(asked.call, &answer, &link);
                Try::Answered(Box::new(answer))
            }
            Err(NoAnswer::Lost(reason)) => {
                self.forget_grant_objects(asked);
                Try::Lost(reason)
            }
            Err(NoAnswer::Failed(failure)) => {
                self.objects.borrow_mut().set(result, Err(failure.clone()));
                Try::Answered(Box::new(Answer::failed(failure)))
            }
        }
    }

    /// Waits until the node that the call goes to takes calls.
    async fn open_for(&self, asked: &CallRequested) -> Result<(), Failure> {
        let node = self.with(|task| task.grant(asked.grant).map(|held| held.grant.node.clone()));
        match node {
            Some(node) => self.admitted(&node).await,
            None => Ok(()),
        }
    }

    /// Waits until one more call of this task may be in flight at the node that it goes to. What a tool
    /// calls back has no bound but the connection's: the call that it is part of would wait for it.
    async fn in_flight_turn(&self, asked: &CallRequested) -> Option<Share> {
        if asked.through.is_some() {
            return None;
        }
        let (creator, node) = self.with(|task| {
            let node = task.grant(asked.grant).map(|held| held.grant.node.clone());
            (task.created().creator.clone(), node)
        });
        let node = node.filter(|node| node != BUILT_IN && self.origin_of(asked.grant).is_none())?;
        let shares = self.services().calls.of(&node, limits::NODE_CALLS);
        shares.take(&creator, self.key().task).await
    }

    /// Keeps the objects in an answer, which were reached over the same connection.
    fn hold_parts(&self, call: CallNumber, answer: &Answer, link: &Link) {
        for (index, client) in (0..).zip(&answer.table) {
            let reached = Reached { client: client.clone(), link: link.clone() };
            self.objects.borrow_mut().set(ObjectId::Part(call, index), Ok(reached));
        }
    }

    /// Records the outcome. From here on the call is settled, and whoever waits for it is told when
    /// its turn comes.
    fn complete(self: &Rc<Self>, call: CallNumber, answer: Answer, back: &[Option<ObjectId>]) {
        let Answer { outcome, cost, refused, .. } = answer;
        let outcome = match outcome {
            Outcome::Failure(failure) => Outcome::Failure(failure),
            Outcome::Value { value, object } => {
                let held = Arc::unwrap_or_clone(value).try_map(&mut |index| {
                    let own = back.get(index as usize).copied().flatten();
                    Ok::<_, std::convert::Infallible>(own.unwrap_or(ObjectId::Part(call, index)))
                });
                let Ok(value) = held;
                Outcome::Value { value: Arc::new(value), object }
            }
        };
        if let Err(error) = self.record(&Command::CompleteCall { call, outcome, cost, refused }) {
            tracing::warn!(task = %self.key().task, %call, %error, "an outcome could not be recorded");
        }
    }

    /// An object in the arguments of `call` as the tool is given it: a membrane of its own, good while
    /// this call is in flight.
    pub(super) fn lend(
        self: &Rc<Self>,
        asked: &CallRequested,
        call: CallNumber,
        object: ObjectId,
    ) -> object::Client {
        match object {
            ObjectId::CallerCapability(of, index) => self.guest(of, index),
            object @ (ObjectId::Grant(_) | ObjectId::Result(_) | ObjectId::Part(..)) => {
                self.membranes().wrap(Membrane::lent(self, asked.attempt, object, call))
            }
        }
    }

    /// The idempotency key of a call: the same on every retry, and no other call's.
    pub fn tool_key(&self, call: CallNumber) -> Vec<u8> {
        let mut key = self.key().task.as_bytes().to_vec();
        // A number that is used anew is another call: the top byte, which no number reaches, says so.
        let generation = u64::from(self.with(|task| task.generation(call))) << GENERATION_SHIFT;
        key.extend((call.0 | generation).to_be_bytes());
        key
    }

    /// The line in which a tool node begins the calls on a grant. Two grants that by chance have the
    /// same wait for each other a little, and nothing else.
    fn line_of(&self, grant: GrantId) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = *self.key().task.as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h]).wrapping_add(u64::from(grant.0)).max(1)
    }

    /// How long the call may take.
    pub(super) fn timeout_of(&self, call: CallNumber) -> Duration {
        let grant = self.with(|task| task.request(call).map(|request| request.grant));
        if grant.is_some_and(|grant| self.is_built_in(grant) || self.origin_of(grant).is_some()) {
            // No node can go away with it: another task takes the time that it takes, and a person.
            return limits::LONGEST_WAIT;
        }
        let timeout_ms = self.with(|task| {
            let request = task.request(call)?;
            let manifest = &task.grant(request.grant)?.grant.manifest;
            let interface = task.interface_of(request.object)?;
            manifest.method(interface, &request.method).map(|method| method.timeout_ms)
        });
        let own = match timeout_ms {
            Some(ms) if ms > 0 => Duration::from_millis(u64::from(ms)).min(limits::LONGEST_CALL),
            _ => limits::DEFAULT_CALL,
        };
        match self.with(|task| task.created().limits.call_ms) {
            0 => own,
            ms => own.min(Duration::from_millis(u64::from(ms))),
        }
    }

    /// A piece of output of the call with this key, from the node `node`. One speaks of its own calls
    /// only.
    pub fn emit_for(&self, node: &str, key: &[u8], text: String) {
        let number = key.get(16..).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        if let Some(call) = number.map(Self::number_in)
            && self.forwards.borrow().contains_key(&call)
            && self.with(|task| {
                let grant = task.request(call).and_then(|request| task.grant(request.grant));
                grant.is_some_and(|held| held.grant.node == node)
            })
        {
            self.emit(&Output { call, text: text.into() });
        }
    }

    /// The number of the call whose key towards a tool ends so.
    pub fn number_in(key: u64) -> CallNumber {
        CallNumber(key & !(u64::MAX << GENERATION_SHIFT))
    }

    /// Every reference through the node that serves the call's grant is gone with its connection.
    fn forget_grant_objects(&self, asked: &CallRequested) {
        self.objects.borrow_mut().forget_live(|object| {
            self.with(|task| {
                let node = |grant| task.grant(grant).map(|held| held.grant.node.clone());
                let lost = node(asked.grant);
                task.grant_of(object).is_none_or(|grant| node(grant) == lost)
            })
        });
    }
}
