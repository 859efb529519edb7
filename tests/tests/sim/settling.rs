//! After the faults every task settles, and each of its effects has happened once.

use remit_core::{Fact, Failure};

use crate::history::is_last;
use crate::program;
use crate::seeds::{self, Invariant, holds};
use crate::world::{Remains, SETTLED_MS};

pub(crate) fn check(remains: &Remains) -> Result<(), String> {
    if remains.ended_ms >= SETTLED_MS {
        return Err(format!("not over after {} ms", remains.ended_ms));
    }
    let mut expected = 0;
    for (seed, task, events) in &remains.tasks {
        let end = events.iter().rev().map(|event| &event.fact).find(|fact| is_last(fact));
        let completed = match end {
            Some(Fact::TaskCompleted(_)) => true,
            Some(Fact::TaskFailed(failure)) if is_allowed(failure) => false,
            end => return Err(format!("{task:?} ended so: {end:?}")),
        };
        for line in program::lines(*seed) {
            let count = remains.file.iter().filter(|found| **found == line).count();
            if count > 1 || (completed && count == 0) {
                return Err(format!("{task:?}: {line} is there {count} times"));
            }
            expected += count;
        }
    }
    if expected == remains.file.len() {
        Ok(())
    } else {
        Err(format!("lines that nobody wanted: {:?}", remains.file))
    }
}

/// A tool or a node that was away too long may end a task with these messages.
fn is_allowed(failure: &Failure) -> bool {
    let allowed = ["attempts in a row ended without progress", "the tool stayed away"];
    allowed.iter().any(|words| failure.message.contains(words))
}

#[test]
fn after_the_faults_every_task_settles() {
    holds(Invariant::Settling);
}

#[test]
fn the_faults_reach_what_they_are_meant_to() {
    let seen = seeds::coverage();
    println!("{seen:?}");
    if seen.worlds < 200 {
        return;
    }
    assert!(seen.completed * 100 >= seen.tasks * 95, "few tasks get to their end");
    assert!(seen.attempts > seen.tasks + seen.worlds / 2, "few attempts are lost");
    assert!(seen.unknown * 20 > seen.worlds, "few calls are of unknown outcome");
    assert!(seen.subscriptions > seen.tasks * 11 / 10, "few followers come back");
}
