//! The remaining budget of a grant: per counter, the least that it and the grants above it allow.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Caveat;
use super::usage::{Budgets, Usage};

/// What can still be used of each thing that is counted; `None`: nothing bounds it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemainingBudget {
    /// Calls.
    pub calls: Option<u64>,
    /// Units of cost.
    pub cost: Option<u64>,
    /// Bytes of arguments.
    pub bytes_in: Option<u64>,
    /// Bytes of results.
    pub bytes_out: Option<u64>,
    /// The same of the calls of one method alone, for each method that has a budget of its own.
    pub methods: BTreeMap<String, Self>,
}

impl RemainingBudget {
    /// Each that is bounded, with its name in the text form: `calls`, or `send.calls` of one method.
    pub fn named(&self) -> impl Iterator<Item = (Cow<'static, str>, u64)> {
        let whole = self.counters().map(|(name, left)| (Cow::Borrowed(name), left));
        let of_method = |(method, own): (&String, &Self)| {
            let named =
                own.counters().map(|(name, left)| (format!("{method}.{name}").into(), left));
            named.collect::<Vec<_>>()
        };
        whole.chain(self.methods.iter().flat_map(of_method))
    }

    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let names = Budgets::NONE.named().map(|(name, _)| name);
        let each = [self.calls, self.cost, self.bytes_in, self.bytes_out];
        names.into_iter().zip(each).filter_map(|(name, left)| Some((name, left?)))
    }

    /// From the names in the text form; others are passed over.
    pub fn of_named<'a>(named: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let mut left = Self::default();
        let names = Budgets::NONE.named().map(|(name, _)| name);
        for (name, amount) in named {
            let (method, counter) = name.rsplit_once('.').unwrap_or(("", name));
            let Some(at) = names.iter().position(|known| *known == counter) else { continue };
            let whose = match method {
                "" => &mut left,
                method => left.methods.entry(method.to_owned()).or_default(),
            };
            if let Some(counter) = whose.each_mut().into_iter().nth(at) {
                *counter = Some(amount);
            }
        }
        left
    }

    const fn each_mut(&mut self) -> [&mut Option<u64>; 4] {
        [&mut self.calls, &mut self.cost, &mut self.bytes_in, &mut self.bytes_out]
    }
}

/// A walk from a grant up to the one that all of its chain was narrowed from.
#[derive(Debug, Clone, Default)]
pub struct BudgetWalk {
    left: RemainingBudget,
    /// What a purse on the way pays: the grants above were charged for it when it was made.
    is_paid: [bool; 4],
}

impl BudgetWalk {
    /// What is left, as far as it has come.
    pub fn left(self) -> RemainingBudget {
        self.left
    }

    /// The next grant on the way up.
    #[must_use]
    pub fn over(mut self, caveats: &[Caveat], usage: &Usage) -> Self {
        let spent = usage.spent.named().map(|(_, spent)| spent);
        let purses = usage.purse.named().map(|(_, purse)| purse);
        for (at, least) in self.left.each_mut().into_iter().enumerate() {
            if self.is_paid[at] {
                continue;
            }
            let most =
                caveats.iter().filter_map(Caveat::budget).filter(|(counter, _)| *counter == at);
            let purse = (purses[at] > 0).then_some(purses[at]);
            let left =
                most.map(|(_, most)| most).chain(purse).map(|most| most.saturating_sub(spent[at]));
            *least = least.iter().copied().chain(left).min();
            self.is_paid[at] = purse.is_some();
        }
        for (method, budget) in caveats.iter().filter_map(Caveat::of_one_method) {
            self.over_method(method, budget, &usage.of(method));
        }
        self
    }

    /// No purse pays for what is counted of one method.
    fn over_method(&mut self, method: &str, caveat: &Caveat, usage: &Usage) {
        let Some((counter, most)) = caveat.budget() else { return };
        let (_, spent) = usage.spent.named()[counter];
        let own = self.left.methods.entry(method.to_owned()).or_default();
        let least = &mut *own.each_mut()[counter];
        *least = least.iter().copied().chain([most.saturating_sub(spent)]).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(spent: Budgets, purse: Budgets) -> Usage {
        let mut usage = Usage::new(&[], purse, 0);
        usage.spent = spent;
        usage
    }

    fn calls(calls: u64) -> Budgets {
        Budgets { calls, ..Budgets::NONE }
    }

    #[test]
    fn the_least_of_the_chain_is_left_and_nothing_where_nothing_bounds() {
        let below = [Caveat::Calls(9), Caveat::Calls(7), Caveat::Cost(50)];
        let above = [Caveat::Calls(12), Caveat::BytesOut(5)];
        let spent = Budgets { calls: 3, cost: 60, bytes_in: 8, bytes_out: 1 };
        let walked = BudgetWalk::default().over(&below, &usage(spent, Budgets::NONE));
        let left = walked.over(&above, &usage(calls(10), Budgets::NONE)).left();
        let expected = RemainingBudget {
            calls: Some(2),
            cost: Some(0),
            bytes_out: Some(5),
            ..Default::default()
        };
        assert_eq!(left, expected);
        assert_eq!(again(&left), left);
    }

    /// As it comes over the wire.
    fn again(left: &RemainingBudget) -> RemainingBudget {
        let named: Vec<_> = left.named().collect();
        RemainingBudget::of_named(named.iter().map(|(name, amount)| (&**name, *amount)))
    }

    #[test]
    fn what_is_left_of_one_method_is_apart_and_the_least_of_the_chain() {
        let only = |method: &str, caveat| Caveat::Only(method.into(), Box::new(caveat));
        let below = [only("send", Caveat::Calls(3)), only("send", Caveat::Methods(Vec::new()))];
        let above = [only("send", Caveat::Calls(9)), only("read", Caveat::BytesOut(7))];
        let mut used = Usage::new(&below, Budgets::NONE, 0);
        used.spend_on("send", calls(2));
        let mut used_above = Usage::new(&above, Budgets::NONE, 0);
        used_above.spend_on("send", calls(9));
        let walked = BudgetWalk::default().over(&below, &used);
        assert_eq!(walked.clone().left().named().collect::<Vec<_>>(), [("send.calls".into(), 1)]);
        let left = walked.over(&above, &used_above).left();
        let named: Vec<_> = left.named().collect();
        assert_eq!(named, [("read.bytesOut".into(), 7), ("send.calls".into(), 0)]);
        assert_eq!(again(&left), left);
    }

    #[test]
    fn a_purse_is_paid_for_already() {
        let purse = usage(calls(3), calls(10));
        let spent = usage(calls(100), Budgets::NONE);
        let walked = BudgetWalk::default().over(&[], &purse);
        let left = walked.over(&[Caveat::Calls(100), Caveat::Cost(1)], &spent).left();
        assert_eq!((left.calls, left.cost), (Some(7), Some(1)));
    }
}
