//! Any caveat at all, well formed or not.

use proptest::collection::vec;
use proptest::prelude::*;
use remit_core::grant::{Budgets, Guard, Literal, Need, Number, Rate, Span, Step, Test};
use remit_core::{Caveat, TaskId};

use super::word;

pub(in crate::wire::event) fn caveat() -> impl Strategy<Value = Caveat> {
    let words = || vec(word(), 0..4);
    let need = prop_oneof![
        word().prop_map(Need::Grant),
        any::<[u8; 16]>().prop_map(|id| Need::Task(TaskId::from_bytes(id))),
    ];
    prop_oneof![
        words().prop_map(Caveat::Methods),
        word().prop_map(Caveat::Path),
        guard().prop_map(Caveat::Argument),
        word().prop_map(Caveat::Cel),
        any::<u64>().prop_map(Caveat::ResultBytes),
        Just(Caveat::NoObjects),
        words().prop_map(Caveat::Facet),
        any::<u64>().prop_map(Caveat::NotBefore),
        any::<u64>().prop_map(Caveat::Expires),
        any::<u64>().prop_map(Caveat::IdleExpiry),
        any::<u64>().prop_map(Caveat::Calls),
        any::<u64>().prop_map(Caveat::BytesIn),
        any::<u64>().prop_map(Caveat::BytesOut),
        any::<(u32, u64)>().prop_map(|(count, per_ms)| Caveat::Rate(Rate { count, per_ms })),
        any::<u32>().prop_map(Caveat::Concurrency),
        any::<u64>().prop_map(Caveat::Cost),
        words().prop_map(Caveat::Audience),
        any::<u32>().prop_map(Caveat::DelegationDepth),
        words().prop_map(Caveat::RequiresApproval),
        need.prop_map(Caveat::Requires),
        word().prop_map(Caveat::Label),
        Just(Caveat::Direct),
        (word(), any::<u64>()).prop_map(|(m, n)| Caveat::Only(m, Box::new(Caveat::Calls(n)))),
        (word(), guard()).prop_map(|(m, g)| Caveat::Only(m, Box::new(Caveat::Argument(g)))),
        word().prop_map(Caveat::Unknown),
    ]
}

fn guard() -> impl Strategy<Value = Guard> {
    let step = prop_oneof![4 => word().prop_map(Step::Name), 1 => Just(Step::Each)];
    let number = || {
        prop_oneof![
            any::<i64>().prop_map(Number::Integer),
            proptest::num::f64::NORMAL.prop_map(Number::Float),
        ]
    };
    let literal = || {
        prop_oneof![
            Just(Literal::Null),
            any::<bool>().prop_map(Literal::Bool),
            number().prop_map(Literal::Number),
            word().prop_map(Literal::Text),
        ]
    };
    let span = || any::<(u64, u64)>().prop_map(|(min, max)| Span { min, max });
    let bound = || proptest::option::of(number());
    let test = prop_oneof![
        literal().prop_map(Test::Equals),
        vec(literal(), 0..4).prop_map(Test::OneOf),
        word().prop_map(Test::Prefix),
        word().prop_map(Test::Glob),
        word().prop_map(Test::Regex),
        (bound(), bound()).prop_map(|(min, max)| Test::Range(min, max)),
        span().prop_map(Test::Length),
        span().prop_map(Test::Count),
        vec(literal(), 0..4).prop_map(Test::List),
        vec(word(), 0..4).prop_map(Test::Keys),
    ];
    (vec(step, 0..4), any::<bool>(), test).prop_map(|(at, optional, test)| Guard {
        at,
        optional,
        test,
    })
}

pub(super) fn budgets() -> impl Strategy<Value = Budgets> {
    any::<[u64; 4]>().prop_map(|[calls, cost, bytes_in, bytes_out]| Budgets {
        calls,
        cost,
        bytes_in,
        bytes_out,
    })
}
