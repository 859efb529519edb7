//! Lines for questions to people and their answers.

use remit_core::event::{
    Approval, ApprovalDecided, ApprovalRequested, CapabilityDecided, Remember, Settlement,
    SettlementDecided, SettlementRequested,
};
use remit_core::grant::text::moment;

use super::{Fact, Ink, Lines, SHOWN, harmless, short, text};

impl Lines {
    /// The line of a fact about a question to a person.
    pub(super) fn person(&mut self, fact: &Fact) -> String {
        match fact {
            Fact::ApprovalRequested(asked) => self.held(asked),
            Fact::ApprovalDecided(decided) => self.decided(decided),
            Fact::CapabilityRequested(asked) => {
                let (tool, reason) = (harmless(&asked.tool), short(&asked.reason, 200));
                let what = format!("? asks for {tool}: {reason}; waits for a person");
                self.paint.ink(Ink::Odd, &what)
            }
            Fact::CapabilityDecided(decided) => self.answered(decided),
            Fact::SettlementRequested(asked) => self.unsettled(asked),
            Fact::SettlementDecided(decided) => self.settled(decided),
            Fact::SettlementWithdrawn { call, reason } => {
                format!(
                    "{}: no person is asked any more: {}",
                    self.label(*call),
                    short(reason, 200)
                )
            }
            _ => String::new(),
        }
    }

    fn held(&mut self, asked: &ApprovalRequested) -> String {
        let request = &asked.request;
        let label = format!(
            "{}.{}({})",
            self.object(request.object),
            harmless(&request.method),
            text::args(&request.args, SHOWN)
        );
        self.labels.insert(request.call, label.clone());
        let caveat = harmless(&asked.caveat);
        let warning = if asked.destructive { ", and may destroy something" } else { "" };
        let what = format!("? {label} waits for approval{warning}  [{caveat}]");
        self.paint.ink(Ink::Odd, &what)
    }

    fn decided(&self, decided: &ApprovalDecided) -> String {
        let label = self.label(decided.call);
        let who = who(&decided.who);
        let (ink, what) = match &decided.approval {
            Approval::Approve => (Ink::Good, format!("approved {label}, by {who}")),
            Approval::Change(args) => {
                let args = text::args(args, SHOWN);
                (Ink::Good, format!("approved {label} with ({args}) instead, by {who}"))
            }
            Approval::Deny => {
                (Ink::Odd, format!("denied {label}, by {who}{}", because(&decided.reason)))
            }
        };
        let remembered = match decided.remember {
            Remember::Nothing => String::new(),
            Remember::Arguments(u64::MAX) => "; the same again needs no approval".into(),
            Remember::Arguments(until_ms) => {
                format!("; the same again needs no approval until {}", moment(until_ms))
            }
            Remember::Method(until_ms) => {
                format!("; this method needs no approval until {}", moment(until_ms))
            }
        };
        format!("{}{remembered}", self.paint.ink(ink, &what))
    }

    fn answered(&self, decided: &CapabilityDecided) -> String {
        let who = who(&decided.who);
        match decided.grant {
            Some(grant) => format!("{} gave {}", who, self.name(grant)),
            None => {
                let what = format!("refused by {who}{}", because(&decided.reason));
                self.paint.ink(Ink::Odd, &what)
            }
        }
    }

    fn unsettled(&self, asked: &SettlementRequested) -> String {
        let label = self.label(asked.call);
        let (known, reason) = (asked.ledger.explained(), short(&asked.reason, 200));
        let what = format!("? {label}: did it happen? {known} ({reason}); waits for a person");
        self.paint.ink(Ink::Odd, &what)
    }

    fn settled(&self, decided: &SettlementDecided) -> String {
        let label = self.label(decided.call);
        let how = match &decided.settlement {
            Settlement::Retry => "is sent again".to_owned(),
            Settlement::Abandon => "is given up".to_owned(),
            Settlement::Outcome(value) => format!("ended with {}", text::value(value, SHOWN)),
        };
        format!("{label} {how}, says {}", who(&decided.who))
    }
}

/// Why a person decided so, if they said it.
fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {}", short(reason, 200)) }
}

fn who(who: &str) -> String {
    if who.is_empty() { "nobody in time".into() } else { harmless(who) }
}
