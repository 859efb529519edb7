//! The charging of grants: what a call takes of each grant above it, and what goes back.
//!
//! [`crate::grant::usage`] has the rules of a purse.

use super::{Held, Task};
use crate::event::CallRequested;
use crate::failure::{Code, Failure};
use crate::grant::{BudgetWalk, Budgets, GrantRule, Need, Usage};
use crate::id::{CallNumber, GrantId, TaskId};
use crate::value::{Outcome, Value};

impl Held {
    /// How many calls were charged to it: its own, those of grants narrowed from it, and those that
    /// purses split from it still hold.
    pub const fn used(&self) -> u64 {
        self.usage.spent.calls
    }

    /// Whether it was taken back or has ended itself.
    pub const fn is_over(&self) -> bool {
        self.revoked || self.ended
    }

    /// Whether one of its own caveats says that its time is over.
    fn is_expired(&self, now_ms: u64) -> bool {
        self.grant.caveats.iter().any(|caveat| match caveat.of_grant() {
            GrantRule::Until(at) => now_ms >= at,
            GrantRule::Unused(ms) => now_ms >= self.usage.last_use_ms.saturating_add(ms),
            GrantRule::Needs(_) | GrantRule::Depth(_) | GrantRule::PerCall => false,
        })
    }

    /// What its own caveats require.
    fn needs(&self) -> impl Iterator<Item = &Need> {
        self.grant.caveats.iter().filter_map(|caveat| match caveat.of_grant() {
            GrantRule::Needs(need) => Some(need),
            GrantRule::Until(_)
            | GrantRule::Unused(_)
            | GrantRule::Depth(_)
            | GrantRule::PerCall => None,
        })
    }

    /// How often its own caveats let it be narrowed.
    fn depths(&self) -> impl Iterator<Item = u32> {
        self.grant.caveats.iter().filter_map(|caveat| match caveat.of_grant() {
            GrantRule::Depth(most) => Some(most),
            GrantRule::Until(_)
            | GrantRule::Unused(_)
            | GrantRule::Needs(_)
            | GrantRule::PerCall => None,
        })
    }
}

impl Task {
    /// Whether a grant or one of its ancestors was taken back or has ended, with it one that it
    /// requires, or is not there at all.
    pub fn is_revoked(&self, grant: GrantId) -> bool {
        self.is_dead(grant, &mut Vec::new())
    }

    /// `seen`: those whose death is being asked for, so that a circle of needs holds itself.
    fn is_dead(&self, grant: GrantId, seen: &mut Vec<GrantId>) -> bool {
        if seen.contains(&grant) {
            return false;
        }
        seen.push(grant);
        let mut chain = self.chain(grant).peekable();
        chain.peek().is_none()
            || chain.any(|held| {
                held.is_over()
                    || held.needs().any(|need| match need {
                        Need::Grant(name) => {
                            self.named(name).is_none_or(|needed| self.is_dead(needed, seen))
                        }
                        Need::Task(_) => false,
                    })
            })
    }

    /// The grant of this name.
    pub(super) fn named(&self, name: &str) -> Option<GrantId> {
        let named = |held: &&Held| !name.is_empty() && held.grant.name == name;
        self.grants.values().find(named).map(|held| held.grant.grant)
    }

    /// Whether something that a grant requires is alive. A grant that requires a task ends when its
    /// owner records that the task has.
    pub(super) fn lives(&self, need: &Need, now_ms: u64) -> bool {
        match need {
            Need::Grant(name) => self.named(name).is_some_and(|grant| {
                !self.is_revoked(grant) && !self.chain(grant).any(|held| held.is_expired(now_ms))
            }),
            Need::Task(_) => true,
        }
    }

    /// How many levels may still be narrowed from a grant; `None`: as many as one likes.
    pub fn depth_left(&self, grant: GrantId) -> Option<u32> {
        let limits = self.chain(grant).zip(0..).flat_map(|(held, distance)| {
            held.depths().map(move |most| most.saturating_sub(distance))
        });
        limits.min()
    }

    /// The grants that are not over and require another task, with that one.
    pub fn task_needs(&self) -> impl Iterator<Item = (GrantId, TaskId)> {
        let alive = self.grants.values().filter(|held| !held.is_over());
        alive.flat_map(|held| {
            held.needs().filter_map(|need| match need {
                Need::Task(task) => Some((held.grant.grant, *task)),
                Need::Grant(_) => None,
            })
        })
    }

    /// What an amount charged to a grant takes of it and of each of its ancestors, itself first.
    pub(super) fn takes(
        &self,
        grant: GrantId,
        amount: Budgets,
    ) -> impl Iterator<Item = (&Held, Budgets)> {
        self.chain(grant).scan(amount, |amount, held| {
            let takes = *amount;
            *amount = held.usage.passes_up(takes);
            Some((held, takes))
        })
    }

    /// What is left of a grant's budgets, its own and those of all above it. `below`: of a grant in
    /// another task that was made from it.
    pub fn left(&self, grant: GrantId, below: BudgetWalk) -> BudgetWalk {
        let over = |below: BudgetWalk, held: &Held| below.over(&held.grant.caveats, &held.usage);
        self.chain(grant).fold(below, over)
    }

    /// Whether a purse of so much can be split from a grant: each of those above has as much left.
    pub(super) fn check_purse(&self, parent: GrantId, purse: Budgets) -> Result<(), Failure> {
        for (held, takes) in self.takes(parent, purse) {
            check_purse(&held.usage, takes)?;
            if let Some(failure) = held.checker.refuses_purse(&held.usage, takes) {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// The failure of the caveat that withholds the outcome of a call, if one does.
    pub(super) fn withholds(&self, call: CallNumber, outcome: &Outcome) -> Option<Failure> {
        let (Outcome::Value { value, object }, Some(request)) = (outcome, self.request(call))
        else {
            return None;
        };
        let amount = Budgets { bytes_out: value.weight() as u64, ..Budgets::NONE };
        let object = object.then_some(request.returns.as_str());
        self.takes(request.grant, amount).find_map(|(held, takes)| {
            let usage = &held.usage;
            let caveats =
                held.checker.check_result(&request.method, (value, object), usage, takes.bytes_out);
            caveats.and_then(|()| check_purse(usage, takes)).err()
        })
    }

    /// Counts a call that was allowed. The most that it may cost is reserved until it ends.
    pub(super) fn charge_request(&mut self, request: &CallRequested, now_ms: u64) {
        let (cost, bytes_in) = (request.max_cost, bytes(&request.args));
        let amount = Budgets { calls: 1, cost, bytes_in, ..Budgets::NONE };
        self.spend(request.grant, amount);
        self.each_above(request.grant, |held| {
            held.usage.begin(&held.grant.caveats, &request.method, now_ms);
            held.usage.spend_on(&request.method, amount);
        });
    }

    /// Counts a call that ended: what was reserved and not used goes back.
    /// `elsewhere`: the bytes of a value that is not in the outcome.
    pub(super) fn charge_outcome(
        &mut self,
        request: &CallRequested,
        (outcome, elsewhere): (&Outcome, Option<u64>),
        cost: u64,
    ) {
        let (grant, cost) = (request.grant, request.charged(outcome, cost));
        let bytes_out = match (outcome, elsewhere) {
            (_, Some(bytes)) => bytes,
            (Outcome::Value { value, .. }, None) => bytes(value),
            (Outcome::Failure(_), None) => 0,
        };
        let more = cost.saturating_sub(request.max_cost);
        let more = Budgets { bytes_out, cost: more, ..Budgets::NONE };
        self.spend(grant, more);
        let unused = request.max_cost.saturating_sub(cost);
        let unused = Budgets { cost: unused, ..Budgets::NONE };
        self.give_back(Some(grant), unused);
        self.each_above(grant, |held| {
            held.usage.spend_on(&request.method, more);
            held.usage.take_back_on(&request.method, unused);
            held.usage.end(&request.method);
        });
    }

    /// Charges a grant and all above it.
    pub(super) fn spend(&mut self, grant: GrantId, amount: Budgets) {
        let mut amount = amount;
        self.each_above(grant, |held| amount = held.usage.spend(amount));
    }

    /// Empties the purses of a grant that is over and of all below it, from the leaves up: what
    /// they still hold goes back to where it came from.
    pub(super) fn empty_purses(&mut self, grant: GrantId) {
        let below: Vec<GrantId> = self
            .grants
            .keys()
            .rev()
            .copied()
            .filter(|id| self.chain(*id).any(|held| held.grant.grant == grant))
            .collect();
        for id in below {
            let Some(held) = self.grants.get_mut(&id) else { continue };
            let back = held.usage.empty_purse();
            let parent = held.grant.parent;
            self.give_back(parent, back);
        }
    }

    /// Takes back a charge of a grant and of all above it.
    fn give_back(&mut self, grant: Option<GrantId>, amount: Budgets) {
        let mut back = amount;
        if let Some(grant) = grant {
            self.each_above(grant, |held| back = held.usage.take_back(back));
        }
    }

    fn each_above(&mut self, grant: GrantId, mut change: impl FnMut(&mut Held)) {
        let mut next = Some(grant);
        while let Some(held) = next.and_then(|grant| self.grants.get_mut(&grant)) {
            change(held);
            next = held.grant.parent;
        }
    }
}

/// Whether a grant's own purse holds as much as a call takes.
pub(super) fn check_purse(usage: &Usage, takes: Budgets) -> Result<(), Failure> {
    let Some((name, held)) = usage.purse_lacks(takes) else { return Ok(()) };
    let why = format!("the grant's purse, which held {name}={held}, has not enough left");
    Err(Failure::new(Code::Denied, why).with_detail(format!("purse.{name}={held}")))
}

/// The bytes that a value is charged for.
pub(super) fn bytes(value: &Value) -> u64 {
    value.weight() as u64
}
