//! Where a task stands, in a line for people.

use remit_core::status::Status;
use remit_core::task::Ending;
use remit_core::{Task, TaskId};
use remit_journal::TaskHead;

use super::Owner;

impl Owner {
    /// What stands in a list of tasks.
    pub fn head(&self) -> TaskHead {
        let detail = match &*self.durable.borrow() {
            Err(failure) => failure.message.clone(),
            Ok(_) => self.detail.borrow().clone(),
        };
        self.with(|task| TaskHead {
            name: task.created().name.clone(),
            status: if self.durable.borrow().is_err() { Status::Halted } else { status(task) },
            created_ms: task.created_ms(),
            number: task.head().number,
            attempt: task.attempts(),
            calls: task.calls(),
            questions: u32::try_from(task.count_questions()).unwrap_or(u32::MAX),
            detail: match task.ending() {
                Some(Ending::Failed(failure)) => failure.message.clone(),
                Some(Ending::Cancelled(reason)) => reason.clone(),
                Some(Ending::Completed(_)) => String::new(),
                None if !task.is_free() => stopped(task, self.key.task),
                None if task.waits() && detail.is_empty() => waits_for(task),
                None => detail,
            },
            node: task.node().to_owned(),
            creator: task.created().creator.clone(),
            parent: task.created().parent,
            retention_ms: task.created().limits.retention_ms,
            bytes: task.stored_bytes(),
            wake_ms: task.timers().map(|(_, due_ms)| due_ms).min().unwrap_or_default(),
            ..TaskHead::default()
        })
    }
}

/// What a task that waits waits for, in words for a person.
fn waits_for(task: &Task) -> String {
    match task.count_questions() {
        0 => {}
        1 => return "waits for a person: `remit inbox` shows the question".into(),
        many => return format!("waits for a person: `remit inbox` shows {many} questions"),
    }
    match task.timers().map(|(_, due_ms)| due_ms).min() {
        Some(due_ms) => format!("sleeps until {}", remit_core::grant::text::moment(due_ms)),
        None => "waits for input".into(),
    }
}

/// Why a task does nothing new, and what to do about it.
fn stopped(task: &Task, id: TaskId) -> String {
    match (task.cancelling(), task.paused()) {
        (Some(cancel), _) => format!("waits for what is under way to stop: {}", cancel.why.message),
        (None, Some(paused)) => {
            let by =
                if paused.who.is_empty() { String::new() } else { format!(" by {}", paused.who) };
            format!("paused{by}: {}. Let it go on with: remit resume {id}", paused.reason)
        }
        (None, None) => String::new(),
    }
}

/// Where a task stands, so far as its events tell.
fn status(task: &Task) -> Status {
    match task.ending() {
        Some(Ending::Completed(_)) => Status::Completed,
        Some(Ending::Failed(_)) => Status::Failed,
        Some(Ending::Cancelled(_)) => Status::Cancelled,
        None if task.cancelling().is_some() => Status::Cancelling,
        None if task.paused().is_some() => Status::Paused,
        None if task.waits() => Status::Waiting,
        None if task.running().is_some() => Status::Running,
        None => Status::Pending,
    }
}
