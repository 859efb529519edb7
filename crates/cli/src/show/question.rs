//! What waits for a person: the question, and the commands that answer it.

use remit_client::{Asks, Offer, Question, Value, value_to_json};
use remit_core::grant::text::moment;
use serde_json::{Value as Json, json};

use super::paint::{Ink, Paint};
use super::text::{harmless, short};
use crate::limits;

/// What precedes the lines below the title.
const INDENT: &str = "  ";

/// A question, and how to answer it. `remit`: how this program is called to reach the same mesh.
pub(crate) fn lines(question: &Question, remit: &str, paint: Paint) -> Vec<String> {
    let (task, number) = (question.task, question.operation);
    let what = match &question.asks {
        Asks::Approval { .. } => format!("call {number} waits for approval"),
        Asks::CapabilityRequest { .. } => format!("request {number} waits for a capability"),
        Asks::Settlement { .. } => format!("call {number}: nobody knows whether it happened"),
    };
    let until = question.until_ms.map(|at_ms| format!(", until {}", moment(at_ms)));
    let title = format!("{task} {}", short(&question.name, limits::SHOWN));
    let mut lines = vec![format!(
        "{}: {}{}",
        paint.ink(Ink::Name, &title),
        paint.ink(Ink::Odd, &what),
        until.unwrap_or_default()
    )];
    lines.push(format!("{INDENT}{}", short(&question.summary, limits::QUESTION)));
    if let Asks::Approval { args, .. } = &question.asks {
        let whole = value_to_json(args).to_string();
        if whole.chars().count() > limits::SHOWN {
            lines.push(format!("{INDENT}arguments: {}", short(&whole, limits::QUESTION)));
        }
        lines.extend(unbound(args).map(|said| format!("{INDENT}{said}")));
    }
    if let Asks::Settlement { reason, .. } = &question.asks {
        lines.push(format!("{INDENT}{}", short(reason, limits::QUESTION)));
    }
    lines.extend(answers(question, remit).into_iter().map(|answer| format!("{INDENT}{answer}")));
    lines
}

/// What a person who approves of a program should know, if its files are not among what is approved.
fn unbound(args: &Value) -> Option<String> {
    let named = |name: &str| args.field(name).filter(|value| !matches!(value, Value::Null));
    let program = named("program")?.as_text()?;
    named("content").is_none().then(|| {
        format!(
            "binds these arguments, not the files that {} reads and runs, which may change until it runs; \
             a run with `content` binds them too",
            quoted(&short(program, limits::SHOWN))
        )
    })
}

/// The commands that answer a question.
pub(crate) fn answers(question: &Question, remit: &str) -> Vec<String> {
    let at = format!("{} {}", question.task, question.operation);
    match &question.asks {
        Asks::Approval { .. } => {
            vec![format!("{remit} approve {at}"), format!("{remit} deny {at}")]
        }
        Asks::CapabilityRequest { offers, .. } => {
            let give = |offer: &Offer| {
                let give = format!("{remit} give {at} {}", quoted(&harmless(&offer.grant)));
                format!("{give}{}", remark(offer))
            };
            let refuse = format!("{remit} deny {at}");
            offers.iter().map(give).chain([refuse]).collect()
        }
        Asks::Settlement { .. } => ["retry", "abandon", "outcome=JSON"]
            .map(|settlement| format!("{remit} settle {at} {settlement}"))
            .to_vec(),
    }
}

/// What tells an offered grant from the others, as a shell's comment: that a person is asked about
/// each effect, or the effects whose target the agent would choose; empty: neither.
pub(crate) fn remark(offer: &Offer) -> String {
    if offer.grant.contains("requiresApproval=") {
        return "  # you are asked about each of these calls".to_owned();
    }
    if offer.unbounded.is_empty() {
        return String::new();
    }
    format!("  # the agent chooses the target of {}", harmless(&offer.unbounded.join(", ")))
}

/// A question for programs.
pub(crate) fn json(question: &Question) -> Json {
    let mut object = json!({
        "task": question.task.to_string(), "name": question.name,
        "operation": question.operation.0, "event": question.event.0,
        "askedMs": question.asked_ms, "untilMs": question.until_ms, "summary": question.summary,
    });
    let more = match &question.asks {
        Asks::Approval { digest, args, caveat, destructive } => json!({
            "asks": "approval", "digest": hex::encode(digest), "args": value_to_json(args),
            "caveat": caveat, "destructive": destructive,
        }),
        Asks::CapabilityRequest { tool, reason, offers } => json!({
            "asks": "power", "tool": tool, "reason": reason,
            "offers": offers.iter().map(|offer| json!({
                "grant": offer.grant, "unbounded": offer.unbounded,
            })).collect::<Vec<_>>(),
        }),
        Asks::Settlement { reason, ledger } => json!({
            "asks": "settlement", "reason": reason, "ledger": ledger.as_str(),
        }),
    };
    if let (Json::Object(object), Json::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use remit_client::{CallNumber, EventNumber, Ledger, TaskId};

    use super::*;

    fn question(asks: Asks) -> Question {
        Question {
            task: TaskId::from_bytes([1; 16]),
            name: "x\u{1b}[2J".into(),
            operation: CallNumber(3),
            event: EventNumber(9),
            asked_ms: 1,
            until_ms: None,
            summary: "fs: write(path: \"a\u{1b}\")".into(),
            asks,
        }
    }

    #[test]
    fn each_question_comes_with_what_answers_it_and_nothing_a_terminal_obeys() {
        let approval = Asks::Approval {
            digest: [0; 32],
            args: Value::Text("y".repeat(100)),
            caveat: "requiresApproval".into(),
            destructive: false,
        };
        let (tool, reason) = ("git".into(), "why".into());
        let offer = |grant: &str, unbounded: &[&str]| Offer {
            grant: grant.into(),
            unbounded: unbounded.iter().map(|name| (*name).into()).collect(),
        };
        let careful = offer("git?requiresApproval=push", &[]);
        assert!(remark(&careful).contains("asked about each"));
        let offers = vec![offer("git:a?calls=1", &[]), offer("git", &["push\u{1b}", "commit"])];
        let power = Asks::CapabilityRequest { tool, reason, offers };
        let settlement = Asks::Settlement { reason: "gone".into(), ledger: Ledger::Away };
        for (asks, words) in [
            (approval, ["remit approve", "remit deny", "yyyy"]),
            (
                power,
                ["give", " 3 'git:a?calls=1'\n", "git  # the agent chooses the target of push"],
            ),
            (settlement, ["settle", "abandon", "outcome=JSON"]),
        ] {
            let text = lines(&question(asks), "remit", Paint::Plain).join("\n");
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
            assert!(!text.contains('\u{1b}'), "{text}");
        }
    }

    #[test]
    fn an_approval_of_a_program_says_that_its_files_may_change() {
        let asked = |content: Value| {
            let args =
                [("program".to_owned(), Value::Text("make".into())), ("content".into(), content)];
            let asks = Asks::Approval {
                digest: [0; 32],
                args: Value::Fields(args.into()),
                caveat: "requiresApproval".into(),
                destructive: false,
            };
            lines(&question(asks), "remit", Paint::Plain).join("\n")
        };
        assert!(asked(Value::Null).contains("not the files that make reads"));
        assert!(!asked(Value::Text("sha256:1".into())).contains("not the files"));
    }

    #[test]
    fn a_word_is_one_word_to_a_shell() {
        assert_eq!(quoted("fs@1:src/a"), "fs@1:src/a");
        assert_eq!(quoted("a b?c=d'e"), r"'a b?c=d'\''e'");
        assert_eq!(quoted(""), "''");
    }
}
