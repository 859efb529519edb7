//! Replies to the agent leave in the order in which their outcomes were recorded.
//!
//! What an agent does next depends on the order in which it learns things, so that order is part of
//! what a replay must repeat.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use remit_core::task::Stamp;
use remit_core::{Attempt, CallNumber, Code, Failure};
use tokio::sync::oneshot;

use super::Owner;

/// What the running attempt has asked for and been told.
#[derive(Default)]
pub struct ReplayCursor {
    attempt: Attempt,
    /// How many of the settled operations, in recorded order, the attempt has been told of.
    told: usize,
    /// Whether one is being told right now.
    telling: bool,
    asked: HashSet<CallNumber>,
    waiting: BTreeMap<CallNumber, oneshot::Sender<ReplyPermit>>,
}

impl ReplayCursor {
    /// The operations that it asked for.
    pub(super) fn asked(&self) -> impl Iterator<Item = CallNumber> + '_ {
        self.asked.iter().copied()
    }

    /// Sends away whoever waits: no reply will come.
    pub(super) fn dismiss(&mut self) {
        self.waiting.clear();
    }
}

/// The right to reply now. Dropping it gives the next reply its turn.
pub struct ReplyPermit {
    owner: Rc<Owner>,
    attempt: Attempt,
    /// The event that settled the operation.
    pub stamp: Stamp,
}

impl Drop for ReplyPermit {
    fn drop(&mut self) {
        {
            let mut delivery = self.owner.delivery.borrow_mut();
            if delivery.attempt != self.attempt {
                return;
            }
            delivery.told += 1;
            delivery.telling = false;
        }
        self.owner.deliver();
        if let Some(trial) = &self.owner.trial {
            trial.stir();
        }
    }
}

impl Owner {
    /// Begins to deliver to a new attempt.
    pub(super) fn begin_delivery(&self, attempt: Attempt) {
        *self.delivery.borrow_mut() = ReplayCursor { attempt, ..ReplayCursor::default() };
    }

    /// Notes that `attempt` asks for the operation, before anything is decided about it.
    pub fn ask(&self, attempt: Attempt, operation: CallNumber) -> Result<(), Failure> {
        let mut delivery = self.delivery.borrow_mut();
        if delivery.attempt != attempt {
            let why = format!("attempt {attempt} is over: it may do nothing more");
            return Err(Failure::new(Code::Revoked, why));
        }
        if !delivery.asked.insert(operation) {
            let why = format!("operation {operation} was asked for already");
            return Err(Failure::new(Code::InvalidArgument, why));
        }
        Ok(())
    }

    /// Whether the running attempt has asked for the operation.
    pub(super) fn has_asked(&self, operation: CallNumber) -> bool {
        self.delivery.borrow().asked.contains(&operation)
    }

    /// Waits until the operation is settled, durable, and next to be told to the agent.
    pub async fn turn(self: &Rc<Self>, operation: CallNumber) -> Result<ReplyPermit, Failure> {
        let (sender, receiver) = oneshot::channel();
        self.delivery.borrow_mut().waiting.insert(operation, sender);
        self.deliver();
        receiver.await.map_err(|_| match &*self.durable.borrow() {
            Err(failure) => failure.clone(),
            Ok(_) => Failure::new(Code::Revoked, "the attempt is over: it may do nothing more"),
        })
    }

    /// Waits until a call on a lent object is settled and durable. A tool has no turns to keep.
    pub async fn settled(&self, call: CallNumber) -> Result<Stamp, Failure> {
        let mut progress = self.progress();
        loop {
            let stamp = self.with(|task| task.operation(call).and_then(|op| op.settled()));
            match (stamp, progress.borrow_and_update().clone()) {
                (_, Err(failure)) => return Err(failure),
                (Some(stamp), Ok(durable)) if durable >= stamp.number => return Ok(stamp),
                _ => {}
            }
            if progress.changed().await.is_err() {
                return Err(Failure::new(Code::Unavailable, "the owner has ended"));
            }
        }
    }

    /// Refuses an attempt that is over.
    pub fn check_running(&self, attempt: Attempt) -> Result<(), Failure> {
        if self.with(|task| task.running()) == Some(attempt) {
            return Ok(());
        }
        let why = format!("attempt {attempt} is over: it may do nothing more");
        Err(Failure::new(Code::Revoked, why))
    }

    /// Gives the next reply its turn, if it can have it.
    pub(super) fn deliver(self: &Rc<Self>) {
        loop {
            let next = {
                let task = self.task.borrow();
                let mut delivery = self.delivery.borrow_mut();
                if delivery.telling {
                    return;
                }
                let Some(&operation) = task.order().get(delivery.told) else { return };
                let Some(stamp) = task.operation(operation).and_then(|op| op.settled()) else {
                    return;
                };
                if !matches!(&*self.durable.borrow(), Ok(durable) if *durable >= stamp.number) {
                    return;
                }
                let Some(waiting) = delivery.waiting.remove(&operation) else { return };
                delivery.telling = true;
                (waiting, ReplyPermit { owner: Rc::clone(self), attempt: delivery.attempt, stamp })
            };
            // A caller that went away drops its turn, which comes back here for the next one.
            if next.0.send(next.1).is_ok() {
                return;
            }
        }
    }

    /// What an earlier attempt did and this one did not: the first of it, if any.
    pub fn left_out(&self) -> Option<(CallNumber, String)> {
        let task = self.task.borrow();
        let delivery = self.delivery.borrow();
        task.operations()
            .take_while(|(number, _)| *number < CallNumber::FIRST_LENT)
            .find(|(number, _)| !delivery.asked.contains(number))
            .map(|(number, operation)| (number, operation.describe()))
    }

    /// The operation whose recorded reply is next and which this attempt has not asked for while
    /// others wait behind it.
    pub fn stalled_on(&self) -> Option<(CallNumber, String)> {
        let task = self.task.borrow();
        let delivery = self.delivery.borrow();
        let next = *task.order().get(delivery.told)?;
        let behind = task.order().get(delivery.told + 1..)?;
        let blocked = behind.iter().any(|operation| delivery.waiting.contains_key(operation));
        let missing = !delivery.telling && !delivery.asked.contains(&next);
        (blocked && missing)
            .then(|| task.operation(next).map(|operation| (next, operation.describe())))
            .flatten()
    }

    /// Whether the attempt was told everything there is to tell.
    pub fn told_all(&self) -> bool {
        self.delivery.borrow().told >= self.task.borrow().order().len()
    }
}
