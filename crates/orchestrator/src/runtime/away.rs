//! Tool nodes that come back: what waits for a person because a node was away is found out after all.

use std::rc::{Rc, Weak};

use remit_core::event::Ledger;
use remit_core::task::{Command, Question};
use remit_core::{CallNumber, EventNumber};

use super::Owner;

/// Which registration of a node could not answer; `None`: it was away.
pub(super) type Seen = Option<u64>;

impl Owner {
    /// Which registration of the node that serves a call stands now.
    pub(super) fn registration_for(&self, call: CallNumber) -> Seen {
        self.services.registry.registration(&self.node_of(call)?)
    }

    fn node_of(&self, call: CallNumber) -> Option<String> {
        self.with(|task| {
            let request = task.request(call)?;
            task.grant(request.grant).map(|held| held.grant.node.clone())
        })
    }

    /// Watches for the nodes about whose calls a person was asked, or because of which the task was
    /// paused, before the orchestrator started.
    pub(super) fn watch_questions(self: &Rc<Self>) {
        let away = |question: &Question<'_>| match question {
            Question::Settlement(request, unsettled) if unsettled.ledger == Ledger::Away => {
                Some((request.call, unsettled.at.number))
            }
            Question::Approval(..) | Question::CapabilityRequest(..) | Question::Settlement(..) => {
                None
            }
        };
        let stuck: Vec<_> = self.with(|task| {
            let paused = task.paused().and_then(|paused| Some((paused.call?, paused.since.number)));
            task.questions().iter().filter_map(away).chain(paused).collect()
        });
        for (call, since) in stuck {
            self.watch_node(call, since, None);
        }
    }

    /// When the node that serves a call registers anew, withdraws the question, or ends the pause,
    /// that event `since` began, and asks the node. A registration that cannot answer either leads
    /// to another question.
    pub(super) fn watch_node(self: &Rc<Self>, call: CallNumber, since: EventNumber, seen: Seen) {
        let Some(node) = self.node_of(call) else { return };
        let registry = Rc::clone(&self.services.registry);
        let owner = Rc::downgrade(self);
        self.spawn("a tool that is away", async move {
            loop {
                let changed = registry.changed();
                let now = registry.registration(&node);
                if !owner.upgrade().is_some_and(|owner| owner.is_stuck(call, since)) {
                    return;
                }
                if now.is_some() && now != seen {
                    break;
                }
                changed.await;
            }
            go_on(&owner, call, since, &node);
        });
    }

    /// Whether a call waits for a person, or the task is paused, since this event.
    fn is_stuck(&self, call: CallNumber, since: EventNumber) -> bool {
        let asks =
            |question: &Question<'_>| question.operation() == call && question.at().number == since;
        !self.is_closing()
            && self.with(|task| {
                task.paused().is_some_and(|paused| paused.since.number == since)
                    || task.questions().iter().any(asks)
            })
    }
}

fn go_on(owner: &Weak<Owner>, call: CallNumber, since: EventNumber, node: &str) {
    let Some(owner) = owner.upgrade() else { return };
    let is_paused =
        owner.with(|task| task.paused().is_some_and(|paused| paused.since.number == since));
    let command = if is_paused {
        Command::Resume { who: String::new() }
    } else {
        let reason = format!("{node} is back, and is asked itself");
        Command::WithdrawSettlement { call, question: since, reason }
    };
    if let Err(error) = owner.record(&command) {
        tracing::warn!(task = %owner.key.task, %call, %error, "a call was not taken up again");
    }
}
