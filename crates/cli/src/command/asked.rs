//! Which question is meant when people name a task and a number.

use remit_client::{Asks, CallNumber, EventNumber, Fact, Followed, Question, TaskHandle, TaskId};
use remit_core::event::{ApprovalDecided, ApprovalRequested};

use crate::fault::Fault;

/// What a number stands for.
pub(super) enum QuestionRef {
    /// It waits.
    Waits(Question),
    /// A held call that was decided on, or is over.
    Held(Box<ApprovalRequested>, Option<Box<ApprovalDecided>>),
    /// A request for a capability that was answered, or is over.
    CapabilityRequest,
    /// Nothing of it waits or waited for approval.
    Nothing(Vec<Question>),
}

/// The question of this number in a task; if none waits, the last one that did.
pub(super) async fn find(task: &TaskHandle, number: CallNumber) -> Result<QuestionRef, Fault> {
    let mut waiting = task.questions().await?;
    if let Some(at) = waiting.iter().position(|question| question.operation == number) {
        return Ok(QuestionRef::Waits(waiting.swap_remove(at)));
    }
    let mut events = task.events(EventNumber(0)).await?;
    let mut found = QuestionRef::Nothing(waiting);
    while let Some(followed) = events.next().await {
        let event = match followed? {
            Followed::Event(event) => event,
            Followed::CaughtUp(_) => break,
            _ => continue,
        };
        match event.fact {
            Fact::ApprovalRequested(asked) if asked.request.call == number => {
                found = QuestionRef::Held(asked, None);
            }
            Fact::ApprovalDecided(decided) if decided.call == number => {
                if let QuestionRef::Held(_, answer) = &mut found {
                    *answer = Some(decided);
                }
            }
            Fact::CapabilityRequested(asked) if asked.operation == number => {
                found = QuestionRef::CapabilityRequest;
            }
            _ => {}
        }
    }
    Ok(found)
}

/// That nothing of this number can be answered, and what can.
pub(super) fn nothing(task: TaskId, number: CallNumber, waiting: &[Question]) -> Fault {
    let waits: Vec<String> =
        waiting.iter().map(|question| question.operation.to_string()).collect();
    let found = match &waits[..] {
        [] => "nothing of that task waits for a person".to_owned(),
        waits => format!("those of that task that wait: {}", waits.join(", ")),
    };
    Fault::Failed(format!(
        "number {number} of the task {task} waits for nobody; {found}. `remit inbox` shows all that \
         waits"
    ))
}

/// That a question is answered in another way.
pub(super) fn otherwise(question: &Question) -> Fault {
    let (task, number) = (question.task, question.operation);
    let (what, how) = match question.asks {
        Asks::Approval { .. } => {
            ("a call that waits for approval", format!("remit approve {task} {number}"))
        }
        Asks::CapabilityRequest { .. } => {
            ("a request for a capability", format!("remit give {task} {number}"))
        }
        Asks::Settlement { .. } => (
            "a call of unknown outcome",
            format!("remit settle {task} {number} retry|abandon|outcome=JSON"),
        ),
    };
    Fault::Usage(format!("number {number} of the task {task} is {what}: answer it with {how}"))
}
