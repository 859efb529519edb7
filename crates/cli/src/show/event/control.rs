//! The lines of what people did to a task as a whole.

use remit_client::Fact;
use remit_core::{CallNumber, Code, EventNumber};

use crate::show::paint::{Ink, Paint};
use crate::show::text::{count, harmless, short};

/// The line of a pause, a cancellation, a fork or an upgrade.
pub(super) fn line(fact: &Fact, paint: Paint) -> String {
    match fact {
        Fact::TaskPaused { reason, who, .. } => {
            format!("{} {}", paint.ink(Ink::Odd, &by("paused", who)), short(reason, 300))
        }
        Fact::TaskResumed { who } if who.is_empty() => {
            "goes on: the tool node that it waited for is back".to_owned()
        }
        Fact::TaskResumed { who } => by("resumed", who).trim_end_matches(':').to_owned(),
        Fact::CancelRequested(cancel) => {
            let what = if cancel.why.code == Code::Cancelled {
                "to be cancelled".to_owned()
            } else {
                format!("to end, {}", cancel.why.code)
            };
            let why = short(&cancel.why.message, 200);
            format!("{} {why}", paint.ink(Ink::Odd, &by(&what, &cancel.who)))
        }
        Fact::TaskForked(forked) => {
            let dropped = listed("never sent here", &forked.dropped);
            let from = format!("forked from event {} of {}", forked.at, forked.task);
            format!("{}{dropped}", by(&from, &forked.who).trim_end_matches(':'))
        }
        Fact::TaskUpgraded(upgraded) => {
            let files = count(upgraded.source.len(), "file");
            let program = format!("upgraded to {} ({files})", harmless(&upgraded.entry));
            let point = if upgraded.at == EventNumber(0) {
                String::new()
            } else {
                format!(", all after event {} anew", upgraded.at)
            };
            let dropped = listed("dropped from replay", &upgraded.dropped);
            format!("{}{point}{dropped}", by(&program, &upgraded.who).trim_end_matches(':'))
        }
        _ => String::new(),
    }
}

fn by(what: &str, who: &str) -> String {
    if who.is_empty() { format!("{what}:") } else { format!("{what} by {}:", harmless(who)) }
}

fn listed(what: &str, calls: &[CallNumber]) -> String {
    if calls.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = calls.iter().take(20).map(ToString::to_string).collect();
    let more = if calls.len() > shown.len() { ", …" } else { "" };
    format!("; {what}: {}{more}", shown.join(", "))
}
