//! Steering a task as a whole: pausing it, ending it leaf first, and its time being up.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use remit_core::task::{CallState, Command, Operation};
use remit_core::{Attempt, CallNumber, Code, Failure, GrantId, ObjectId, Outcome};

use super::{Owner, TaskKey};
use crate::runtime::outgoing::{self, Answer, Settled};
use crate::tasks::BUILT_IN;

/// Days are slept in steps, so that a wall clock that jumps is noticed.
const STEP: Duration = Duration::from_secs(3600);

impl Owner {
    /// Asks for the task's end, durably. It comes when what is under way has answered or its grace
    /// is over; where nothing is, it has come when this answers. With the code `cancelled` the task
    /// ends as cancelled, with any other as failed. `who`: a SPIFFE name; empty: the orchestrator.
    pub async fn cancel(self: &Rc<Self>, why: Failure, who: &str) -> Result<(), Failure> {
        self.record(&Command::RequestCancel { why, who: who.to_owned() })?;
        let head = self.with(|task| task.head().number);
        self.durable(head).await
    }

    /// Waits while the task is paused. Answers also when it has ended or the owner closes.
    pub async fn unpaused(&self) {
        let mut progress = self.progress();
        while self.with(|task| task.paused().is_some() && task.ending().is_none())
            && !self.is_closing()
        {
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// Answers when this attempt is not the one that runs any more, or nothing may run.
    pub(super) async fn fenced(&self, attempt: Attempt) {
        let mut progress = self.progress();
        while self.with(|task| task.running()) == Some(attempt) && !self.is_closing() {
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// Answers when the task may not begin anything: paused, about to end, or ended.
    pub(super) async fn barred(&self) {
        let mut progress = self.progress();
        while self.with(remit_core::Task::is_free) && !self.is_closing() {
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until an attempt may begin. `false`: none ever will.
    pub(super) async fn may_begin(self: &Rc<Self>) -> bool {
        let mut progress = self.progress();
        loop {
            if self.is_closing() || self.with(|task| task.ending().is_some()) {
                return false;
            }
            if self.with(remit_core::Task::is_free) {
                return true;
            }
            if progress.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Brings the end that was asked for: at once if nothing is under way.
    pub(super) fn wind_down(self: &Rc<Self>) {
        if self.winding_down.replace(true) {
            return;
        }
        let has_children = !crate::tasks::Tasks::children(self).is_empty();
        if !has_children && self.with(|task| task.open_calls().next().is_none()) {
            self.end_now();
            return;
        }
        let owner = Rc::clone(self);
        self.spawn("the end of a task", async move {
            owner.end_children().await;
            owner.stop_calls().await;
            // One that was being spawned meanwhile.
            owner.end_children().await;
            // An owner that closes leaves the rest to the next one.
            if !owner.is_closing() {
                owner.end_now();
            }
        });
    }

    /// Ends the tasks that this one spawned, but for the detached, and waits for them.
    async fn end_children(self: &Rc<Self>) {
        let Some(tasks) = self.services.tasks.upgrade() else { return };
        tasks.end_children(self).await;
    }

    /// Tells the tools of all calls in flight to stop, and takes the answers of those that say in
    /// time what became of them.
    async fn stop_calls(self: &Rc<Self>) {
        let grace = self.services.timing.cancel_grace;
        let open: Vec<CallNumber> =
            self.with(|task| task.open_calls().map(|(call, _)| call).collect());
        join_all(open.into_iter().map(|call| self.stop_call(call, grace))).await;
    }

    async fn stop_call(self: &Rc<Self>, call: CallNumber, grace: Duration) {
        let node = self.with(|task| {
            let grant = task.request(call).and_then(|request| task.grant(request.grant));
            grant.map(|held| held.grant.node.clone())
        });
        let passed = self.passed_on(call);
        let waits = passed.is_some() || node.as_deref() == Some(BUILT_IN);
        if let Some((owner, call)) = passed {
            Box::pin(owner.stop_call(call, grace)).await;
        }
        // What the orchestrator itself does is soon done; halfway it would leave loose ends.
        if waits && tokio::time::timeout(grace, self.settled(call)).await.is_ok() {
            return;
        }
        if let Some(forward) = self.forwards.borrow_mut().remove(&call) {
            forward.abort();
        }
        // The call is told to stop only when nothing waits for the object it will return either.
        self.objects.borrow_mut().forget(
            |object| matches!(object, ObjectId::Result(of) | ObjectId::Part(of, _) if of == call),
        );
        tokio::task::yield_now().await;
        let (outcome, cost) = match tokio::time::timeout(grace, self.last_word(call)).await {
            Ok(said) => said,
            Err(_) => (
                cancelled(format!(
                    "the tool was told to stop and did not answer within {} s: how far it had come nobody knows",
                    grace.as_secs_f32()
                )),
                0,
            ),
        };
        if self.is_closing() {
            return;
        }
        let complete = Command::CompleteCall { call, outcome, cost, refused: false };
        if let Err(error) = self.record(&complete) {
            tracing::warn!(task = %self.key.task, %call, %error, "its end could not be recorded");
        }
    }

    /// The call as which the owner of another task makes this one, on a grant that came from there:
    /// that owner alone can tell the tool to stop.
    fn passed_on(&self, call: CallNumber) -> Option<(Rc<Self>, CallNumber)> {
        let grant = self.with(|task| task.request(call).map(|request| request.grant))?;
        let origin = self.origin_of(grant)?;
        let key = TaskKey { tenant: self.key.tenant.clone(), task: origin.task };
        let owner = self.services.tasks.upgrade()?.working(&key).ok()?;
        let own = self.tool_key(call);
        let passed = owner.with(|task| task.delegated_call(origin.grant, &own))?;
        let is_open = owner.with(|task| task.open_calls().any(|(open, _)| open == passed));
        is_open.then_some((owner, passed))
    }

    /// What the tool's node says of a call that was told to stop, and what that cost.
    async fn last_word(&self, call: CallNumber) -> (Outcome, u64) {
        match self.last_answer(call).await {
            Ok(Answer { outcome, cost, .. }) => {
                // The call has ended for the agent, so objects of the answer are dropped with it.
                let plain = match outcome {
                    Outcome::Failure(failure) => Ok(Outcome::Failure(failure)),
                    Outcome::Value { value, object } => Arc::unwrap_or_clone(value)
                        .try_map(&mut |_| Err::<ObjectId, ()>(()))
                        .map(|value| Outcome::Value { value: Arc::new(value), object }),
                };
                let gone = |()| cancelled("it was done, and what it returned is gone".into());
                (plain.unwrap_or_else(gone), cost)
            }
            Err(outcome) => (outcome, 0),
        }
    }

    /// The answer that the tool's node has, or what to say when it has none.
    async fn last_answer(&self, call: CallNumber) -> Result<Answer, Outcome> {
        let known = self.with(|task| {
            let Some(Operation::Call { request, state }) = task.operation(call) else {
                return None;
            };
            let open = !matches!(state, CallState::Completed(..));
            let grant = task.grant(request.grant)?.grant.clone();
            open.then(|| (request.read_only, grant))
        });
        let Some((read_only, grant)) = known else {
            return Err(cancelled("it is over".into()));
        };
        if read_only {
            let why = "the task was cancelled; the call changed nothing";
            return Err(cancelled(why.into()));
        }
        let live = self.services.registry.host(&grant.node);
        let Some(host) = live else {
            return Err(cancelled(format!(
                "the task was cancelled while {} was away: how far the call had come nobody knows",
                grant.node
            )));
        };
        match outgoing::settle(
            &host,
            &self.tool_key(call),
            self.age_ms(call),
            self.timeout_of(call),
        )
        .await
        {
            Ok(Settled::Completed(answer)) => Ok(answer),
            Ok(Settled::NeverStarted) => Err(cancelled("cancelled before it began".into())),
            Ok(Settled::Started | Settled::Forgotten) | Err(_) => {
                Err(cancelled("the tool was told to stop: how far it had come nobody knows".into()))
            }
        }
    }

    /// Lets go of what operations that were dropped from replay had under way or held.
    pub(super) fn forget_dropped(self: &Rc<Self>, dropped: &[CallNumber]) {
        for call in dropped {
            if let Some(forward) = self.forwards.borrow_mut().remove(call) {
                forward.abort();
            }
        }
        self.objects.borrow_mut().forget(|object| match object {
            ObjectId::Result(call) | ObjectId::Part(call, _) => dropped.contains(&call),
            ObjectId::Grant(_) | ObjectId::CallerCapability(..) => false,
        });
        // Whoever comes next is told everything from the start.
        self.begin_delivery(Attempt(0));
        self.woken.notify_one();
    }

    /// The last two steps of an end: all authority is taken back, and the task is over.
    fn end_now(self: &Rc<Self>) {
        let roots: Vec<GrantId> = self.with(|task| {
            let root =
                |held: &&remit_core::task::Held| held.grant.parent.is_none() && !held.revoked;
            task.grants().filter(root).map(|held| held.grant.grant).collect()
        });
        let revoke = roots.into_iter().map(|grant| Command::RevokeGrant {
            grant,
            reason: "the task is about to end".into(),
            by: String::new(),
        });
        for command in revoke.chain([Command::FinishCancel]) {
            if let Err(error) = self.record(&command) {
                tracing::warn!(task = %self.key.task, %error, "a step of the end could not be recorded");
            }
        }
    }

    /// Ends the task when its time is up, if it has a limit.
    pub(super) fn arm_limit(self: &Rc<Self>) {
        if self.with(|task| task.due_ms().is_none()) {
            return;
        }
        let owner = Rc::downgrade(self);
        self.spawn("the time limit of a task", async move {
            loop {
                let Some(owner) = owner.upgrade() else { return };
                let free = owner.with(remit_core::Task::is_free) && !owner.is_closing();
                let Some(due_ms) = owner.with(remit_core::Task::due_ms).filter(|_| free) else {
                    return;
                };
                let left = due_ms.saturating_sub((owner.services.now_ms)());
                if left == 0 {
                    let limit_ms = owner.with(|task| task.created().limits.task_ms);
                    let why = format!("the task took longer than its limit of {}", span(limit_ms));
                    let timed_out = Failure::new(Code::TimedOut, why);
                    if let Err(error) = owner.cancel(timed_out, "").await {
                        tracing::warn!(task = %owner.key.task, %error, "ending the task at its time limit failed");
                    }
                    return;
                }
                drop(owner);
                tokio::time::sleep(Duration::from_millis(left).min(STEP)).await;
            }
        });
    }
}

fn cancelled(why: String) -> Outcome {
    Outcome::Failure(Failure::new(Code::Cancelled, why))
}

/// A span of time, for a person.
pub(super) fn span(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}
