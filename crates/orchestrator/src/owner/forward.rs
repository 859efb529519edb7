//! Forwarding: an allowed call on its way to the tool, and what became of it.
//!
//! A forward is the owner's own task. It outlives the attempt that asked, so that an agent's death
//! neither cancels an effect nor loses its outcome; a revocation or a cancellation ends it.

use std::rc::Rc;
use std::time::Duration;

use remit_core::event::CallRequested;
use remit_core::task::{CallState, Command, Operation};
use remit_core::{CallNumber, Code, EventNumber, Failure, ObjectId, Outcome, Value};
use remit_schema::object_capnp::object;
use remit_vat::crash::{self, Step};

use super::gate::Place;
use super::{Output, Owner};
use crate::limits;
use crate::serve::object::{Membrane, OWNER_AWAY};
use crate::serve::request::{self, Answer, Settled};

/// Where in a call's key its generation stands.
const GENERATION_SHIFT: u32 = 56;

/// How one try to get an outcome ended.
enum Try {
    /// With an outcome.
    Answered(Box<Answer>),
    /// The connection to the tool was lost on the way, for this reason.
    Lost(String),
}

impl Owner {
    /// Makes sure that an allowed call is on its way: at once for a fresh one, and for one that an
    /// earlier attempt or an earlier process left open.
    pub fn ensure_forwarded(self: &Rc<Self>, call: CallNumber, intent: EventNumber) {
        let open = self.with(|task| match task.operation(call) {
            Some(Operation::Call { request, state: CallState::Requested }) => {
                Some((Rc::new(request.clone()), false))
            }
            Some(Operation::Call { request, state: CallState::Unknown }) => {
                Some((Rc::new(request.clone()), true))
            }
            _ => None,
        });
        let Some((asked, unknown)) = open else { return };
        if self.trial.is_some() {
            return;
        }
        if self.forwards.borrow().contains_key(&call) || self.is_closing() {
            return;
        }
        let gate = Rc::clone(self.gates.borrow_mut().entry(asked.grant).or_default());
        let place = gate.enter(call);
        let owner = Rc::clone(self);
        let task = tokio::task::spawn_local(async move {
            owner.forward(&asked, place, intent, unknown).await;
            owner.forwards.borrow_mut().remove(&asked.call);
        });
        self.forwards.borrow_mut().insert(call, task.abort_handle());
    }

    async fn forward(
        self: &Rc<Self>,
        asked: &CallRequested,
        place: Place,
        intent: EventNumber,
        unknown: bool,
    ) {
        // What changes nothing need not be on disk first: its intent rides with the next commit.
        if !asked.read_only && self.durable(intent).await.is_err() {
            return;
        }
        let answer = if unknown {
            self.settle(asked, Some(place)).await
        } else {
            match self.send(asked, place).await {
                Try::Answered(answer) => *answer,
                Try::Lost(reason) => {
                    let lose = Command::LoseCall { call: asked.call, reason };
                    if self.record_durably(&lose).await.is_err() {
                        return;
                    }
                    self.settle(asked, None).await
                }
            }
        };
        self.complete(asked.call, answer);
    }

    /// Sends the call and waits for its answer.
    async fn send(self: &Rc<Self>, asked: &CallRequested, place: Place) -> Try {
        place.first().await;
        let result = ObjectId::Result(asked.call);
        let inner = match self.resolve(asked.object).await {
            Ok(inner) => inner,
            Err(failure) => {
                self.objects.borrow_mut().set(result, Err(failure.clone()));
                return Try::Answered(Box::new(Answer::failed(failure)));
            }
        };
        let (args, table) = self.lend(asked, asked.call);
        let key = self.tool_key(asked.call);
        let promise = request::call(&inner, &asked.method, &args, &table, &key).send();
        self.objects.borrow_mut().set(result, Ok(promise.pipeline.get_object()));
        drop(place);
        crash::point_after_turn(Step::Forwarded, "call");
        let answer = request::answer(self.timeout_of(asked.call), promise).await;
        crash::point(Step::Received, "outcome");
        match answer {
            Ok(answer) => Try::Answered(Box::new(answer)),
            Err(failure) if self.is_lost(asked, &failure) => {
                self.forget_grant_objects(asked);
                Try::Lost(failure.message)
            }
            Err(failure) => {
                self.objects.borrow_mut().set(result, Err(failure.clone()));
                Try::Answered(Box::new(Answer::failed(failure)))
            }
        }
    }

    /// Whether a failure leaves open what became of the call. Another task's owner that answers has
    /// recorded what it answers.
    fn is_lost(&self, asked: &CallRequested, failure: &Failure) -> bool {
        failure.code == Code::Unavailable
            && (self.origin_of(asked.grant).is_none() || failure.detail == OWNER_AWAY)
    }

    /// Finds out what became of a call of unknown outcome: from the tool node's ledger first, then
    /// by what the method says of itself. It never guesses.
    async fn settle(self: &Rc<Self>, asked: &CallRequested, place: Option<Place>) -> Answer {
        let gate = Rc::clone(self.gates.borrow_mut().entry(asked.grant).or_default());
        let mut place = Some(place.unwrap_or_else(|| gate.enter(asked.call)));
        for _ in 0..limits::SETTLE_TRIES {
            let taken = place.take().unwrap_or_else(|| gate.enter(asked.call));
            let resend = if asked.read_only {
                Ok(true)
            } else {
                taken.first().await;
                self.ask_ledger(asked).await
            };
            match resend {
                Ok(true) => match self.send(asked, taken).await {
                    Try::Answered(answer) => return *answer,
                    Try::Lost(reason) => {
                        tracing::info!(task = %self.key().task, call = %asked.call, reason, "lost again");
                    }
                },
                Ok(false) => {}
                Err(answer) => return *answer,
            }
        }
        let why = format!("the connection to the tool was lost {} times", limits::SETTLE_TRIES);
        Answer::failed(unknown_or_unavailable(asked, why))
    }

    /// Whether the call may be sent again (`Ok(true)`), must be asked about again (`Ok(false)`), or
    /// is settled.
    async fn ask_ledger(self: &Rc<Self>, asked: &CallRequested) -> Result<bool, Box<Answer>> {
        let settled = |failure| Box::new(Answer::failed(failure));
        let Some(grant) = self.with(|task| task.grant(asked.grant).map(|held| held.grant.clone()))
        else {
            return Err(settled(Failure::new(Code::Revoked, "the grant is gone")));
        };
        if self.origin_of(asked.grant).is_some() {
            return Ok(true);
        }
        if grant.node == crate::tasks::BUILT_IN {
            return Ok(true);
        }
        if self.is_own(asked.grant) {
            let why = "the object's process went away with the call in flight".to_owned();
            return Err(settled(unknown_or_unavailable(asked, why)));
        }
        let live = match self.live_tool(&grant.node, &grant.tool, &grant.manifest.version).await {
            Ok(live) => live,
            Err(failure) => {
                let failure = unknown_or_unavailable(asked, failure.message);
                return Err(settled(failure));
            }
        };
        match request::settle(&live.host, &self.tool_key(asked.call), self.timeout_of(asked.call))
            .await
        {
            Ok(Settled::NeverStarted) => Ok(true),
            Ok(Settled::Started) if asked.idempotent => Ok(true),
            Ok(Settled::Started) => {
                let why = "the tool's process ended while it worked on the call".to_owned();
                Err(settled(unknown_or_unavailable(asked, why)))
            }
            Ok(Settled::Completed(answer)) => Err(Box::new(answer)),
            Err(failure) if failure.code == Code::Unavailable => Ok(false),
            Err(failure) => {
                let failure = unknown_or_unavailable(asked, failure.message);
                Err(settled(failure))
            }
        }
    }

    /// Records the outcome. From here on the call is settled, and whoever waits for it is told when
    /// its turn comes.
    fn complete(self: &Rc<Self>, call: CallNumber, answer: Answer) {
        let Answer { outcome, table, cost } = answer;
        for (index, client) in (0..).zip(table) {
            self.objects.borrow_mut().set(ObjectId::Part(call, index), Ok(client));
        }
        let outcome = match outcome {
            Outcome::Failure(failure) => Outcome::Failure(failure),
            Outcome::Value { value, object } => {
                let held = value.try_map(&mut |index| {
                    Ok::<_, std::convert::Infallible>(ObjectId::Part(call, index))
                });
                let Ok(value) = held;
                Outcome::Value { value, object }
            }
        };
        if let Err(error) = self.record(&Command::CompleteCall { call, outcome, cost }) {
            tracing::warn!(task = %self.key().task, %call, %error, "an outcome could not be recorded");
        }
    }

    /// The arguments for the tool: each object in them as a membrane of its own, good while this
    /// call is in flight.
    pub(super) fn lend(
        self: &Rc<Self>,
        asked: &CallRequested,
        call: CallNumber,
    ) -> (Value<u32>, Vec<object::Client>) {
        let mut table = Vec::new();
        let lent = asked.args.clone().try_map(&mut |object| {
            table.push(self.membranes().wrap(Membrane::lent(self, asked.attempt, object, call)));
            Ok::<_, std::convert::Infallible>(u32::try_from(table.len() - 1).unwrap_or(u32::MAX))
        });
        let Ok(args) = lent;
        (args, table)
    }

    /// The idempotency key of a call: the same on every retry, and no other call's.
    pub(super) fn tool_key(&self, call: CallNumber) -> Vec<u8> {
        let mut key = self.key().task.as_bytes().to_vec();
        // A number that is used anew is another call: the top byte, which no number reaches, says so.
        let generation = u64::from(self.with(|task| task.generation(call))) << GENERATION_SHIFT;
        key.extend((call.0 | generation).to_be_bytes());
        key
    }

    /// How long the call may take.
    pub(super) fn timeout_of(&self, call: CallNumber) -> Duration {
        let built_in = self.with(|task| {
            let grant = task.request(call).and_then(|request| task.grant(request.grant));
            grant.is_some_and(|held| held.grant.node == crate::tasks::BUILT_IN)
        });
        if built_in {
            // No node can go away with it: another task takes the time that it takes.
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

    /// A piece of output of the call with this key.
    pub fn emit_for(&self, key: &[u8], text: String) {
        let number = key.get(16..).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        let number = number.map(|number| number & !(u64::MAX << GENERATION_SHIFT));
        if let Some(number) = number
            && self.forwards.borrow().contains_key(&CallNumber(number))
        {
            self.emit(&Output { call: CallNumber(number), text });
        }
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

/// What to tell of a call that cannot be settled.
fn unknown_or_unavailable(asked: &CallRequested, why: String) -> Failure {
    if asked.read_only || asked.idempotent {
        return Failure::new(Code::Unavailable, why);
    }
    Failure::new(
        Code::Unknown,
        format!("{} may or may not have happened: {why}. Look before you repeat it", asked.method),
    )
}
