//! Usage: the counters of a grant, kept by the fold, and the rules of a purse.
//!
//! A grant has spent what its own calls were charged and what each grant narrowed from it takes:
//!
//! - of one without a purse, what that one has spent;
//! - of one with a purse, all that the purse was given, and beyond that what it spent more;
//! - of one that was revoked or has ended, what it has spent: the rest went back.
//!
//! So the sum of what a grant's own calls and its children's can use is never more than it had.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Caveat, Rate};

/// An amount of each thing that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Budgets {
    /// Calls.
    pub calls: u64,
    /// Units of cost, as the tool reports them.
    pub cost: u64,
    /// Bytes of arguments.
    pub bytes_in: u64,
    /// Bytes of results.
    pub bytes_out: u64,
}

impl Budgets {
    /// Nothing of anything.
    pub const NONE: Self = Self { calls: 0, cost: 0, bytes_in: 0, bytes_out: 0 };

    /// Whether there is nothing of anything.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// Each with its name in the text form.
    pub const fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("calls", self.calls),
            ("cost", self.cost),
            ("bytesIn", self.bytes_in),
            ("bytesOut", self.bytes_out),
        ]
    }

    /// Each, in the order of [`Budgets::named`].
    pub(crate) const fn each_mut(&mut self) -> [&mut u64; 4] {
        [&mut self.calls, &mut self.cost, &mut self.bytes_in, &mut self.bytes_out]
    }

    /// The amounts that `of` makes of each pair.
    #[must_use]
    pub fn with(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            calls: of(self.calls, other.calls),
            cost: of(self.cost, other.cost),
            bytes_in: of(self.bytes_in, other.bytes_in),
            bytes_out: of(self.bytes_out, other.bytes_out),
        }
    }
}

/// What was used of a grant, by itself and by grants narrowed from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// What was spent, what purses below still hold included.
    pub spent: Budgets,
    /// What was put into its purse when it was made. Nothing once it was revoked or has ended.
    pub purse: Budgets,
    /// Calls that have not ended.
    pub in_flight: u32,
    /// When it was last used, or else made, in milliseconds since 1970.
    pub last_use_ms: u64,
    /// One for each of the grant's rates, in their order.
    buckets: Vec<Bucket>,
    /// Of calls of one method, for each that the grant's caveats single out. No purse counts there.
    #[serde(default)]
    methods: BTreeMap<String, Usage>,
}

/// A token bucket. Levels are in units of which a token is worth `per_ms`, so that they are whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    level: u64,
    at_ms: u64,
}

impl Usage {
    /// The usage of a grant that was made just now with these caveats and this purse.
    pub fn new(caveats: &[Caveat], purse: Budgets, now_ms: u64) -> Self {
        let mut usage = Self::unused(purse, now_ms);
        for caveat in caveats {
            match caveat.of_one_method() {
                Some((method, inner)) => {
                    let fresh = || Self::unused(Budgets::NONE, now_ms);
                    let own = usage.methods.entry(method.clone()).or_insert_with(fresh);
                    own.buckets.extend(Bucket::of(inner, now_ms));
                }
                None => usage.buckets.extend(Bucket::of(caveat, now_ms)),
            }
        }
        usage
    }

    const fn unused(purse: Budgets, now_ms: u64) -> Self {
        Self {
            spent: Budgets::NONE,
            purse,
            in_flight: 0,
            last_use_ms: now_ms,
            buckets: Vec::new(),
            methods: BTreeMap::new(),
        }
    }

    /// What was used of it by calls of one method that its caveats single out.
    pub fn of(&self, method: &str) -> Cow<'_, Self> {
        match self.methods.get(method) {
            Some(own) => Cow::Borrowed(own),
            None => Cow::Owned(Self::unused(Budgets::NONE, 0)),
        }
    }

    /// Charges a call of a method to what is counted of that method.
    pub fn spend_on(&mut self, method: &str, amount: Budgets) {
        if let Some(own) = self.methods.get_mut(method) {
            own.spent = own.spent.with(amount, u64::saturating_add);
        }
    }

    /// Takes back such a charge.
    pub(crate) fn take_back_on(&mut self, method: &str, amount: Budgets) {
        if let Some(own) = self.methods.get_mut(method) {
            own.spent = own.spent.with(amount, u64::saturating_sub);
        }
    }

    /// How much more the grant above would be charged if this one was charged so much.
    pub fn passes_up(&self, amount: Budgets) -> Budgets {
        let after = self.spent.with(amount, u64::saturating_add);
        taken(after, self.purse).with(taken(self.spent, self.purse), u64::saturating_sub)
    }

    /// Charges an amount; gives what the grant above is to be charged.
    pub(crate) fn spend(&mut self, amount: Budgets) -> Budgets {
        let up = self.passes_up(amount);
        self.spent = self.spent.with(amount, u64::saturating_add);
        up
    }

    /// Takes back a charge; gives what the grant above gets back.
    pub(crate) fn take_back(&mut self, amount: Budgets) -> Budgets {
        let before = taken(self.spent, self.purse);
        self.spent = self.spent.with(amount, u64::saturating_sub);
        before.with(taken(self.spent, self.purse), u64::saturating_sub)
    }

    /// Empties the purse; gives what the grant above gets back.
    pub(crate) fn empty_purse(&mut self) -> Budgets {
        let left = self.purse.with(self.spent, u64::saturating_sub);
        self.purse = Budgets::NONE;
        left
    }

    /// What the purse would lack for this amount: its name, and how much was put in.
    pub fn purse_lacks(&self, amount: Budgets) -> Option<(&'static str, u64)> {
        let needs = self.spent.with(amount, u64::saturating_add).named();
        let more = amount.named();
        (0..needs.len())
            .map(|at| (self.purse.named()[at], needs[at].1, more[at].1))
            .find(|((_, held), needed, more)| *held > 0 && *more > 0 && needed > held)
            .map(|(purse, ..)| purse)
    }

    /// Counts a call of a method that begins. Its budgets are charged apart.
    pub fn begin(&mut self, caveats: &[Caveat], method: &str, now_ms: u64) {
        let mut rates = Vec::new();
        let mut own_rates = Vec::new();
        for caveat in caveats {
            match caveat.of_one_method() {
                None => rates.extend(caveat.rate()),
                Some((only, inner)) if only == method => own_rates.extend(inner.rate()),
                Some(_) => {}
            }
        }
        self.count(&rates, now_ms);
        if let Some(own) = self.methods.get_mut(method) {
            own.count(&own_rates, now_ms);
        }
    }

    fn count(&mut self, rates: &[Rate], now_ms: u64) {
        self.in_flight = self.in_flight.saturating_add(1);
        self.last_use_ms = self.last_use_ms.max(now_ms);
        for (bucket, rate) in self.buckets.iter_mut().zip(rates) {
            let level = bucket.level_at(*rate, now_ms);
            let token = rate.per_ms;
            *bucket =
                Bucket { level: level.saturating_sub(token), at_ms: now_ms.max(bucket.at_ms) };
        }
    }

    /// Counts a call of a method that ended.
    pub(crate) fn end(&mut self, method: &str) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(own) = self.methods.get_mut(method) {
            own.in_flight = own.in_flight.saturating_sub(1);
        }
    }

    /// In how many milliseconds the bucket of the rate at this place among the grant's rates has a
    /// token; 0: it has one now.
    pub fn wait_ms(&self, at: usize, rate: Rate, now_ms: u64) -> u64 {
        let Some(bucket) = self.buckets.get(at) else { return u64::MAX };
        let lacks = rate.per_ms.saturating_sub(bucket.level_at(rate, now_ms));
        lacks.div_ceil(u64::from(rate.count.max(1)))
    }
}

/// What a grant that has spent so much takes from the one above.
fn taken(spent: Budgets, purse: Budgets) -> Budgets {
    spent.with(purse, u64::max)
}

fn capacity(rate: Rate) -> u64 {
    u64::from(rate.count).saturating_mul(rate.per_ms)
}

impl Bucket {
    /// A full one, if the caveat is a rate.
    fn of(caveat: &Caveat, now_ms: u64) -> Option<Self> {
        caveat.rate().map(|rate| Self { level: capacity(rate), at_ms: now_ms })
    }

    fn level_at(&self, rate: Rate, now_ms: u64) -> u64 {
        let refilled = now_ms.saturating_sub(self.at_ms).saturating_mul(u64::from(rate.count));
        self.level.saturating_add(refilled).min(capacity(rate))
    }
}
