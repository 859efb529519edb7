//! Calls of unknown outcome: the tool node's ledger first, then what the grant says, then a person.
//! Nothing is ever guessed.

use std::rc::Rc;

use remit_core::event::{
    CallRequested, Ledger, Settlement, SettlementDecided, SettlementRequested,
};
use remit_core::task::{Command, WhenUnknown};
use remit_core::{CallNumber, Code, EventNumber, Failure};
use remit_vat::backoff::Backoff;
use remit_vat::gate::Place;

use super::Owner;
use super::forward::{Sending, Try};
use crate::limits;
use crate::runtime::outgoing::{self, Answer, Settled};

/// What is known of a call.
enum Known {
    /// How it ended.
    Answer(Box<Answer>),
    /// It did not happen, or may be repeated where it goes.
    Resend,
    /// Nobody can tell, or not now, for this reason.
    Unclear(Ledger, String),
}

impl Owner {
    /// Finds out what became of a call of unknown outcome, or sends it again if that is harmless or
    /// wanted. `None`: a person is asked, or the task is paused.
    pub(super) async fn settle(
        self: &Rc<Self>,
        asked: &CallRequested,
        (place, how): (Place, Sending),
        lost: String,
    ) -> Option<Answer> {
        let mut place = Some(place);
        let mut backoff = Backoff::new(limits::SETTLE_FIRST, limits::SETTLE_MOST);
        let (mut why, mut how) = (lost, how);
        let policy = || self.with(|task| task.when_unknown(asked.call));
        for tried in 0..limits::SETTLE_TRIES {
            if tried > 0 {
                tokio::time::sleep(backoff.next_wait()).await;
            }
            let taken = place.take().unwrap_or_else(|| self.gate_of(asked).enter(asked.call.0));
            let repeats = asked.read_only && policy() == WhenUnknown::Retry;
            let known = if repeats && !self.is_own(asked.grant) {
                Known::Resend
            } else {
                taken.first().await;
                self.look_up(asked).await
            };
            let sent = match known {
                Known::Answer(answer) => return Some(*answer),
                Known::Resend => self.send(asked, taken).await,
                // Before a person is bothered, the tool gets its time to come back.
                Known::Unclear(Ledger::Away, reason) if policy() != WhenUnknown::Fail => {
                    Try::Lost(reason)
                }
                Known::Unclear(Ledger::Forgotten | Ledger::None, _) if how == Sending::Decided => {
                    how = Sending::Unknown;
                    self.send(asked, taken).await
                }
                Known::Unclear(ledger, reason) => match policy() {
                    WhenUnknown::Fail => return Some(Answer::failed(nobody_knows(asked, &reason))),
                    WhenUnknown::Ask => return self.ask_person(asked, ledger, reason),
                    WhenUnknown::Retry => self.send_anyway(asked, taken, ledger).await,
                },
            };
            match sent {
                Try::Answered(answer) => return Some(*answer),
                Try::Unreachable(failure) => why = failure.message,
                Try::Lost(reason) => {
                    let lose = Command::LoseCall { call: asked.call, reason: reason.clone() };
                    self.note(&lose);
                    why = reason;
                }
            }
        }
        self.give_up_on(asked, &why)
    }

    /// What the other end knows of a call.
    async fn look_up(self: &Rc<Self>, asked: &CallRequested) -> Known {
        let held = self.with(|task| task.grant(asked.grant).map(|held| held.grant.clone()));
        let Some(grant) = held else {
            return Known::Answer(Box::new(Answer::refused(Failure::new(
                Code::Revoked,
                "the grant is gone",
            ))));
        };
        // Another task's journal, and the orchestrator itself, know what was done under the key.
        if self.origin_of(asked.grant).is_some() || grant.node == crate::tasks::BUILT_IN {
            return Known::Resend;
        }
        let repeats = (asked.read_only || asked.idempotent)
            && self.with(|task| task.when_unknown(asked.call)) == WhenUnknown::Retry;
        if self.is_own(asked.grant) {
            let why = "the object's process went away with the call in flight".to_owned();
            // It never comes back, so that sending again is of no use.
            if repeats {
                return Known::Answer(Box::new(Answer::failed(unknown(asked, &why))));
            }
            return Known::Unclear(Ledger::None, why);
        }
        if asked.read_only {
            let why = "the connection was lost before the tool's answer came".to_owned();
            return Known::Unclear(Ledger::None, why);
        }
        let live = match self.live_tool(&grant.node, &grant.tool, &grant.manifest.version).await {
            Ok(live) => live,
            Err(failure) => return Known::Unclear(Ledger::Away, failure.message),
        };
        let key = self.tool_key(asked.call);
        let (limit, age_ms) = (self.timeout_of(asked.call), self.age_ms(asked.call));
        match outgoing::settle(&live.host, &key, age_ms, limit).await {
            Ok(Settled::NeverStarted) => Known::Resend,
            Ok(Settled::Started) if repeats => Known::Resend,
            Ok(Settled::Started) => {
                let why = "the tool's process ended while it worked on the call".to_owned();
                Known::Unclear(Ledger::Started, why)
            }
            Ok(Settled::Forgotten) => {
                let why = "the tool's records do not go back to when the call was sent".to_owned();
                Known::Unclear(Ledger::Forgotten, why)
            }
            Ok(Settled::Completed(answer)) => Known::Answer(Box::new(answer)),
            Err(failure) => Known::Unclear(Ledger::Away, failure.message),
        }
    }

    /// Sends a call again though it may have happened, because its grant says so or its method
    /// says that this is harmless.
    async fn send_anyway(
        self: &Rc<Self>,
        asked: &CallRequested,
        place: Place,
        ledger: Ledger,
    ) -> Try {
        if ledger == Ledger::Started
            && let Err(failure) = self.reopen(asked.call).await
        {
            return Try::Lost(failure.message);
        }
        self.send(asked, place).await
    }

    /// Lets the tool node forget that it began a call, so that it takes it once more.
    async fn reopen(self: &Rc<Self>, call: CallNumber) -> Result<(), Failure> {
        let grant = self.with(|task| {
            let request = task.request(call)?;
            task.grant(request.grant).map(|held| held.grant.clone())
        });
        let gone = || Failure::new(Code::NotFound, format!("there is no call {call}"));
        let grant = grant.ok_or_else(gone)?;
        let live = self.live_tool(&grant.node, &grant.tool, &grant.manifest.version).await?;
        outgoing::reopen(&live.host, &self.tool_key(call)).await
    }

    /// Asks a person what became of a call.
    fn ask_person(
        self: &Rc<Self>,
        asked: &CallRequested,
        ledger: Ledger,
        reason: String,
    ) -> Option<Answer> {
        // It was about to be sent again, on a decision that did not know this.
        self.note(&Command::LoseCall { call: asked.call, reason: reason.clone() });
        let question = SettlementRequested { call: asked.call, reason, ledger };
        let seen = self.registration_for(asked.call);
        self.note(&Command::AskSettlement(Box::new(question)));
        if ledger == Ledger::Away {
            self.watch_node(asked.call, self.with(|task| task.head().number), seen);
        }
        None
    }

    /// The end of the tries: a person is asked, or the task is paused, with the reason. One that has
    /// ended cannot be, and whoever still waits for the call is told.
    fn give_up_on(self: &Rc<Self>, asked: &CallRequested, why: &str) -> Option<Answer> {
        if self.with(|task| task.when_unknown(asked.call)) == WhenUnknown::Ask {
            return self.ask_person(asked, Ledger::Away, why.to_owned());
        }
        let tries = limits::SETTLE_TRIES;
        let why = format!(
            "what became of call {} ({}) could not be found out in {tries} tries: {why}",
            asked.call, asked.method
        );
        let call = Some(asked.call);
        let pause = Command::Pause { reason: why.clone(), who: String::new(), call };
        let seen = self.registration_for(asked.call);
        match self.record(&pause) {
            Ok(recorded) => {
                self.watch_node(asked.call, recorded.number, seen);
                None
            }
            Err(_) => Some(Answer::failed(unknown(asked, &why))),
        }
    }

    /// A person's decision on a call of unknown outcome, durably. `question`: the event that asked;
    /// 0: whichever did.
    pub async fn decide_settlement(
        self: &Rc<Self>,
        decided: SettlementDecided,
        question: EventNumber,
    ) -> Result<(), Failure> {
        let started = self.with(|task| {
            let of_call =
                |question: &remit_core::task::Question<'_>| question.operation() == decided.call;
            task.questions().iter().find(|question| of_call(question)).is_some_and(|question| {
                matches!(question, remit_core::task::Question::Settlement(_, unsettled)
                    if unsettled.ledger == Ledger::Started)
            })
        });
        // First, so that a crash between the two leaves a question open and no answer unheeded.
        if started && decided.settlement == Settlement::Retry {
            self.reopen(decided.call).await?;
        }
        let command = Command::Settle { decided: Box::new(decided), question };
        self.record_durably(&command).await.map(|_| ())
    }

    /// How long ago a call was sent, in milliseconds.
    pub(super) fn age_ms(&self, call: CallNumber) -> u64 {
        let sent_ms = self.with(|task| task.sent_ms(call));
        sent_ms.map_or(u64::MAX, |sent_ms| (self.services.now_ms)().saturating_sub(sent_ms))
    }

    fn note(self: &Rc<Self>, command: &Command) {
        if let Err(error) = self.record(command) {
            tracing::warn!(task = %self.key.task, %error, "what became of a call could not be recorded");
        }
    }
}

/// What to tell of a call that cannot be settled.
fn unknown(asked: &CallRequested, why: &str) -> Failure {
    if asked.read_only || asked.idempotent {
        return Failure::new(Code::Unavailable, why);
    }
    nobody_knows(asked, why)
}

/// The same, where the grant says that it fails.
fn nobody_knows(asked: &CallRequested, why: &str) -> Failure {
    Failure::new(
        Code::Unknown,
        format!("{} may or may not have happened: {why}. Look before you repeat it", asked.method),
    )
}
