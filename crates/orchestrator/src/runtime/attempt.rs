//! Attempts: keeping an agent at work on the task until it has ended.

use std::pin::pin;
use std::rc::Rc;

use remit_core::task::{CallState, Command, Operation};
use remit_core::{Attempt, CallNumber, Code, EventNumber, Failure};
use remit_schema::agent_node_capnp::run;
use remit_vat::backoff::Backoff;
use remit_vat::connection::Connection;
use tokio::sync::oneshot;

use super::Owner;
use super::control::span;
use super::loaded::Loaded;
use super::{outgoing, task_context};
use crate::limits;
use crate::scheduler::registry::Placement;

/// How an attempt ended.
enum End {
    /// The task has ended, or the owner is closing.
    Over,
    /// The agent waits only for time or input; its process was let go.
    Asleep,
    /// Someone stopped it: the task is paused, is about to end, or has another program.
    Fenced,
    /// Its node is drained; another attempt goes on elsewhere.
    Moved,
    /// It only waited, and its place was needed; another attempt goes on when it is its turn.
    Yielded,
    /// It was lost, for this reason; another attempt goes on.
    Lost(String),
    /// Its process did not start, or never reached the owner: that says nothing of the task.
    Unstarted(String),
    /// It met a limit that another attempt would meet again.
    Limit(String),
}

/// A running attempt's hold on its process and connection.
pub(super) struct Running {
    attempt: Attempt,
    run: run::Client,
    connection: Option<oneshot::Receiver<Connection>>,
    ticket: [u8; 32],
    placement: Placement,
}

impl Running {
    /// Answers with the connection of the process, once. `None`: it never came.
    pub(super) fn connected(&mut self) -> impl Future<Output = Option<Connection>> + use<> {
        let connection = self.connection.take();
        async move { connection?.await.ok() }
    }

    /// The ticket for its connection.
    pub(super) const fn ticket(&self) -> &[u8; 32] {
        &self.ticket
    }

    /// The hold on the process.
    pub(super) const fn run(&self) -> &run::Client {
        &self.run
    }
}

impl Owner {
    /// Keeps an agent at work until the task has ended. Answers then, or when the owner closes.
    pub async fn keep(self: Rc<Self>) {
        self.lose_open_calls();
        self.arm_all();
        self.arm_limit();
        if self.with(|task| task.cancelling().is_some()) {
            self.wind_down();
        }
        self.watch_questions();
        self.review();
        let mut backoff = Backoff::new(limits::ATTEMPT_RETRY_FIRST, limits::ATTEMPT_RETRY_MOST);
        let mut avoid = String::new();
        while self.may_begin().await {
            match self.attempt(&mut avoid).await {
                End::Over => return,
                End::Asleep => {
                    backoff.reset();
                    self.sleep_until_woken().await;
                }
                End::Fenced | End::Moved | End::Yielded => backoff.reset(),
                End::Limit(reason) => self.end_at_limit(reason).await,
                End::Unstarted(reason) => {
                    self.explain(format!("the last attempt did not come to stand: {reason}"));
                    self.wait_before_another(&mut backoff).await;
                }
                End::Lost(reason) => {
                    let nodes = self.with(|task| task.fruitless().to_vec());
                    if nodes.len() >= limits::FRUITLESS_ATTEMPTS {
                        self.give_up(&nodes, &reason);
                    }
                    self.explain(format!("attempt ended: {reason}"));
                    if nodes.len() > 1 {
                        self.wait_before_another(&mut backoff).await;
                    } else {
                        backoff.reset();
                    }
                }
            }
        }
    }

    /// Ends the task at a limit of its attempt, which the same script would meet again.
    async fn end_at_limit(self: &Rc<Self>, reason: String) {
        if let Err(error) = self.cancel(Failure::new(Code::TimedOut, reason), "").await {
            tracing::warn!(task = %self.key().task, %error, "ending the task at a limit of its attempt failed");
        }
    }

    async fn wait_before_another(&self, backoff: &mut Backoff) {
        let wait = tokio::time::sleep(backoff.next_wait());
        let _stopped = futures::future::select(pin!(wait), pin!(self.barred())).await;
    }

    /// Stops trying what did not go again and again. A person can look, and let it go on.
    fn give_up(self: &Rc<Self>, nodes: &[String], reason: &str) {
        let tries = nodes.len();
        let places = counted(nodes);
        let reason = format!(
            "{tries} attempts in a row ended without progress, on {places}; the last one so: {reason}"
        );
        if let Err(error) = self.record(&Command::Pause { reason, who: String::new(), call: None })
        {
            tracing::warn!(task = %self.key().task, %error, "it could not be paused");
        }
    }

    /// One attempt, from placement to its end. `avoid`: the node that failed the one before, if it
    /// did; here comes the one that fails this.
    async fn attempt(self: &Rc<Self>, avoid: &mut String) -> End {
        let before = self.with(|task| task.order().len());
        let (running, loaded) = match self.start(avoid).await {
            Ok(Some(started)) => started,
            Ok(None) => return End::Fenced,
            Err(_) if !self.with(remit_core::Task::is_free) => return End::Fenced,
            Err(failure) => return End::Unstarted(failure.message),
        };
        let attempt = running.attempt;
        let (node, record) = (running.placement.node.clone(), running.placement.record());
        let end = self.watch(running).await;
        drop(loaded);
        let has_progress = self.with(|task| task.order().len()) > before;
        let has_failed = matches!(end, End::Lost(_) | End::Unstarted(_)) && !has_progress;
        if has_failed {
            record.failed();
        } else if matches!(end, End::Over | End::Asleep | End::Lost(_)) {
            record.succeeded();
        }
        *avoid = if has_failed { node } else { String::new() };
        let reason = match &end {
            End::Over | End::Fenced => return end,
            End::Moved => "moved: its node is drained",
            End::Yielded => "it only waited, and gave its place to another identity",
            End::Asleep => "asleep until its time or input comes",
            End::Lost(reason) | End::Limit(reason) | End::Unstarted(reason) => reason,
        };
        let fruitless = has_failed && matches!(end, End::Lost(_));
        let command = Command::EndAttempt { attempt, reason: reason.to_owned(), fruitless };
        if let Err(error) = self.record(&command) {
            tracing::warn!(task = %self.key().task, %error, "an attempt's end could not be recorded");
        }
        end
    }

    /// Places an attempt and starts its process. `None`: it may not begin any more.
    async fn start(
        self: &Rc<Self>,
        avoid: &mut String,
    ) -> Result<Option<(Running, Loaded)>, Failure> {
        // Copies, since what it was made from is let go while it waits.
        let (who, kind, labels) = self.with(|task| {
            let created = task.created();
            (created.creator.clone(), created.agent.clone(), created.labels.clone())
        });
        let place = self.services().scheduler.place(&who, (&kind, &labels), avoid, |why| {
            self.explain(why);
            self.unload_if_idle();
        });
        let placement = tokio::select! {
            biased;
            () = self.barred() => return Ok(None),
            placement = place => placement,
        };
        let loaded = self.loaded().await?;
        self.explain("");
        let start = Command::StartAttempt { node: placement.node.clone() };
        self.record_durably(&start).await?;
        if self.with(|task| task.running()).is_none() {
            return Ok(None);
        }
        let agent = placement.node.clone();
        let record = placement.record();
        let running = self.launch(placement).await.inspect_err(|_| {
            record.failed();
            avoid.clone_from(&agent);
        })?;
        self.introduce_all(running.attempt, &agent, &running.run);
        Ok(Some((running, loaded)))
    }

    /// Starts the process of the attempt that runs.
    pub(super) async fn launch(self: &Rc<Self>, placement: Placement) -> Result<Running, Failure> {
        let Some(attempt) = self.with(|task| task.running()) else {
            return Err(Failure::new(Code::Revoked, "the attempt is over"));
        };
        self.begin_delivery(attempt);
        let (sender, connected) = oneshot::channel();
        let bootstrap = task_context::client(self, attempt);
        let ticket = self.services().tickets.issue(&placement.node, bootstrap, sender);
        let run =
            outgoing::start(&placement.host, self, attempt, &ticket).await.inspect_err(|_| {
                self.services().tickets.withdraw(&ticket);
            })?;
        Ok(Running { attempt, run, connection: Some(connected), ticket, placement })
    }

    /// Watches a running attempt. When this returns, its process and connection are gone or going.
    async fn watch(self: &Rc<Self>, mut running: Running) -> End {
        let mut connection = None;
        let connected = running.connection.take();
        let end = {
            let connect = async {
                if let Some(connected) = connected {
                    connection = connected.await.ok();
                }
            };
            let ended = outgoing::wait(&running.run);
            let quiet = self.quiet();
            let stalled = self.stalled();
            let fenced = self.fenced(running.attempt);
            let overdue = self.overdue();
            let evicted = running.placement.evicted();
            let yielded = self.yields(&running.placement.node);
            tokio::pin!(connect, ended, quiet, stalled, fenced, overdue, evicted, yielded);
            let mut connecting = true;
            loop {
                tokio::select! {
                    biased;
                    () = self.over() => break End::Over,
                    () = &mut fenced => break if self.is_over() { End::Over } else { End::Fenced },
                    reason = &mut overdue => break End::Lost(reason),
                    // Its ticket was never shown: that the process ended says nothing of the task.
                    ended = &mut ended => break match self.process_ended(ended) {
                        End::Lost(reason) if connecting => End::Unstarted(reason),
                        end @ (End::Over | End::Asleep | End::Fenced | End::Moved | End::Yielded | End::Lost(_) | End::Unstarted(_) | End::Limit(_)) => end,
                    },
                    () = &mut connect, if connecting => connecting = false,
                    () = &mut evicted => break End::Moved,
                    () = &mut quiet => break End::Asleep,
                    () = &mut yielded => break End::Yielded,
                    failure = &mut stalled => {
                        self.fail(failure);
                        break End::Over;
                    }
                }
            }
        };
        self.services().tickets.withdraw(&running.ticket);
        self.forget_paths();
        // The reply to the agent's last word may still be on its way; its process ends by itself
        // then, and the node closes the connection. Anything else is cut off now.
        if let Some(connection) = connection
            && !matches!(end, End::Over)
        {
            connection.abort("the attempt is over");
        }
        if matches!(end, End::Over) && !self.is_closing() {
            let grace = outgoing::wait(&running.run);
            let _ended = tokio::time::timeout(limits::LAST_WORD_GRACE, grace).await;
        }
        end
    }

    fn process_ended(&self, ended: Result<outgoing::RunEnd, Failure>) -> End {
        if self.is_over() {
            return End::Over;
        }
        match ended {
            Ok(outgoing::RunEnd::Exited) => {
                End::Lost("the agent's process ended without a last word".into())
            }
            Ok(outgoing::RunEnd::Crashed(how)) => End::Lost(how),
            Ok(outgoing::RunEnd::Deadline(what)) => End::Limit(format!("deadline: {what}")),
            Err(failure) => End::Lost(format!("the agent node went away: {}", failure.message)),
        }
    }

    /// Answers when an attempt that began now has taken as long as one may.
    async fn overdue(&self) -> String {
        match self.with(|task| task.created().limits.attempt_ms) {
            0 => std::future::pending().await,
            limit_ms => {
                tokio::time::sleep(std::time::Duration::from_millis(limit_ms)).await;
                format!("timed-out: the attempt took longer than its limit of {}", span(limit_ms))
            }
        }
    }

    /// Answers when the agent has waited for nothing but time or input for a while.
    async fn quiet(self: &Rc<Self>) {
        let grace = self.services().timing.idle_grace;
        let mut progress = self.progress();
        loop {
            if self.is_quiet() {
                // An event starts the wait afresh; without one the quiet has lasted.
                if tokio::time::timeout(grace, progress.changed()).await.is_err() && self.is_quiet()
                {
                    return;
                }
            } else if progress.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Answers when the attempt only waits, has had its place for a while, and is to give it to one
    /// of an identity that has fewer.
    async fn yields(&self, node: &str) {
        tokio::time::sleep(limits::PLACE_LEAST).await;
        let scheduler = &self.services().scheduler;
        let creator = self.with(|task| task.created().creator.clone());
        loop {
            scheduler.asked().await;
            if self.waits_for_others() && scheduler.gives_up(&creator, node) {
                return;
            }
        }
    }

    /// Whether the agent has been told all that there is and has asked for something.
    fn waits_for_others(&self) -> bool {
        self.told_all() && self.with(|task| task.waits() || task.open_calls().next().is_some())
    }

    fn is_quiet(&self) -> bool {
        let soon_ms = (self.services().now_ms)()
            + u64::try_from(self.services().timing.idle_grace.as_millis()).unwrap_or(u64::MAX / 2);
        self.told_all()
            && self.with(|task| task.waits() && task.timers().all(|(_, due_ms)| due_ms > soon_ms))
    }

    /// Answers with a failure when the replay hangs on an operation the script does not repeat.
    async fn stalled(self: &Rc<Self>) -> Failure {
        let grace = self.services().timing.replay_grace;
        let mut suspect: Option<CallNumber> = None;
        loop {
            tokio::time::sleep(grace).await;
            match self.stalled_on() {
                Some((operation, what)) if suspect == Some(operation) => {
                    let now = "the script did not get there";
                    return self.with(|task| task.not_repeated(operation, &what, now));
                }
                Some((operation, _)) => suspect = Some(operation),
                None => suspect = None,
            }
        }
    }

    async fn sleep_until_woken(self: &Rc<Self>) {
        // Whatever wakes it is an event; a notice alone might go to another who waits.
        let mut progress = self.progress();
        loop {
            let woken = self.woken.notified();
            // The attempt that slept had been told everything; what was settled since wakes it.
            if self.is_over() || !self.told_all() || !self.with(|task| task.waits()) {
                return;
            }
            tokio::select! {
                biased;
                () = woken => {}
                changed = progress.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Answers when the task has ended or the owner closes.
    pub async fn over(&self) {
        self.over_or(|| false).await;
    }

    /// Answers when there is an event after this one, and it is on disk; or when the task has ended
    /// or the owner closes.
    pub async fn past(&self, number: EventNumber) {
        let progress = self.progress();
        self.over_or(|| matches!(&*progress.borrow(), Ok(reached) if *reached > number)).await;
    }

    async fn over_or(&self, there: impl Fn() -> bool) {
        let mut progress = self.progress();
        while !self.is_over() && !there() {
            tokio::select! {
                biased;
                () = self.woken.notified() => {}
                changed = progress.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_closing() || self.with(|task| task.ending().is_some())
    }

    /// After a restart: calls that were in flight then are of unknown outcome now.
    fn lose_open_calls(self: &Rc<Self>) {
        let open: Vec<CallNumber> = self.with(|task| {
            task.operations()
                .filter(|(_, operation)| {
                    matches!(operation, Operation::Call { state: CallState::Requested, .. })
                })
                .map(|(call, _)| call)
                .collect()
        });
        for call in open {
            let reason = "the orchestrator was restarted".to_owned();
            if let Err(error) = self.record(&Command::LoseCall { call, reason }) {
                tracing::warn!(task = %self.key().task, %error, "a lost call could not be recorded");
            }
        }
    }
}

/// Names with how often each occurs, the first one first.
fn counted(names: &[String]) -> String {
    let mut seen: Vec<(&str, usize)> = Vec::new();
    for name in names {
        match seen.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count += 1,
            None => seen.push((name, 1)),
        }
    }
    let shown = seen.iter().map(|(name, count)| format!("{name} ({count})"));
    shown.collect::<Vec<_>>().join(", ")
}
