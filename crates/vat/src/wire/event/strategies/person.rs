//! Any question to a person, and any answer.

use proptest::prelude::*;
use remit_core::event::{
    Approval, ApprovalDecided, ApprovalRequested, CapabilityDecided, CapabilityRequested, Ledger,
    OnUnknown, Remember, Settlement, SettlementDecided, SettlementRequested,
};
use remit_core::{CallNumber, Fact, GrantId};

use super::{requested, value, word};

pub(super) fn fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        approval_requested().prop_map(|asked| Fact::ApprovalRequested(Box::new(asked))),
        approval_decided().prop_map(|decided| Fact::ApprovalDecided(Box::new(decided))),
        (call(), word(), word(), any::<u64>()).prop_map(|(operation, tool, reason, until_ms)| {
            Fact::CapabilityRequested(Box::new(CapabilityRequested {
                operation,
                tool,
                reason,
                until_ms,
            }))
        }),
        (call(), proptest::option::of((1..u32::MAX).prop_map(GrantId)), word(), word()).prop_map(
            |(operation, grant, reason, who)| {
                Fact::CapabilityDecided(Box::new(CapabilityDecided {
                    operation,
                    grant,
                    reason,
                    who,
                }))
            }
        ),
        (call(), word(), proptest::sample::select(&Ledger::ALL[..])).prop_map(
            |(call, reason, ledger)| {
                Fact::SettlementRequested(Box::new(SettlementRequested { call, reason, ledger }))
            }
        ),
        (call(), word()).prop_map(|(call, reason)| Fact::SettlementWithdrawn { call, reason }),
        (call(), settlement(), word()).prop_map(|(call, settlement, who)| {
            Fact::SettlementDecided(Box::new(SettlementDecided { call, settlement, who }))
        }),
    ]
}

pub(super) fn on_unknown() -> impl Strategy<Value = OnUnknown> {
    prop_oneof![Just(OnUnknown::Inherit), proptest::sample::select(&OnUnknown::NAMED[..]),]
}

fn call() -> impl Strategy<Value = CallNumber> {
    any::<u64>().prop_map(CallNumber)
}

fn approval_requested() -> impl Strategy<Value = ApprovalRequested> {
    (requested(), word(), word(), any::<bool>(), word(), any::<u64>()).prop_map(
        |(request, caveat, summary, destructive, user, until_ms)| ApprovalRequested {
            request,
            caveat,
            summary,
            destructive,
            user,
            until_ms,
        },
    )
}

fn approval_decided() -> impl Strategy<Value = ApprovalDecided> {
    let approval = prop_oneof![
        Just(Approval::Approve),
        Just(Approval::Deny),
        value().prop_map(Approval::Change),
    ];
    let remember = prop_oneof![
        Just(Remember::Nothing),
        any::<u64>().prop_map(Remember::Arguments),
        any::<u64>().prop_map(Remember::Method),
    ];
    (call(), any::<[u8; 32]>(), approval, word(), word(), remember).prop_map(
        |(call, digest, approval, who, reason, remember)| ApprovalDecided {
            call,
            digest,
            approval,
            who,
            reason,
            remember,
        },
    )
}

fn settlement() -> impl Strategy<Value = Settlement> {
    prop_oneof![
        Just(Settlement::Retry),
        Just(Settlement::Abandon),
        value().prop_map(Settlement::Outcome),
    ]
}
