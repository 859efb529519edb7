//! What holds of every journal: it folds, from any prefix, always the same way, and each event once.

use proptest::prelude::*;
use remit_core::event::{Event, Fact};
use remit_core::task::{CallState, Decision, Operation, Refusal, Task};
use remit_core::{Attempt, CallNumber, ObjectId};

use super::chance::{Step, lived, steps, take};
use super::world::World;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_decided_can_be_applied_and_folds_to_the_same_state(steps in steps(80)) {
        // `lived` panics if apply rejects a fact that decide gave.
        let world = lived(&steps);
        let folded = Task::fold(&world.journal).unwrap().unwrap();
        prop_assert_eq!(&folded, &world.task);
        prop_assert_eq!(Task::fold(&world.journal).unwrap().unwrap(), folded);
    }

    #[test]
    fn every_prefix_is_a_journal(steps in steps(50)) {
        let world = lived(&steps);
        let mut task = None;
        for (length, event) in (1..).zip(&world.journal) {
            match &mut task {
                None => task = Some(Task::begin(event).unwrap()),
                Some(task) => task.apply(event).unwrap(),
            }
            let folded = Task::fold(&world.journal[..length]).unwrap();
            prop_assert_eq!(&folded, &task);
            // Whatever comes next can still be decided.
            for (_, command) in &steps {
                let _ = folded.as_ref().unwrap().decide(command, world.now_ms);
            }
        }
    }

    #[test]
    fn a_state_that_was_written_down_goes_on_like_one_that_was_folded(
        steps in steps(50),
        part in 0..=100_usize,
    ) {
        let journal = lived(&steps).journal;
        let (first, rest) = journal.split_at((journal.len() * part / 100).max(1));
        let folded = Task::fold(first).unwrap().unwrap();
        let written = rmp_serde::to_vec_named(&folded).unwrap();
        let mut task: Task = rmp_serde::from_slice(&written).unwrap();
        prop_assert_eq!(&task, &folded);
        rest.iter().for_each(|event| task.apply(event).unwrap());
        prop_assert_eq!(&task, &Task::fold(&journal).unwrap().unwrap());
        prop_assert_eq!(rmp_serde::to_vec_named(&task).unwrap().len(),
            rmp_serde::to_vec_named(&Task::fold(&journal).unwrap()).unwrap().len());
    }

    #[test]
    fn no_event_happens_twice(steps in steps(50)) {
        let world = lived(&steps);
        let mut task = Task::begin(&world.journal[0]).unwrap();
        for event in &world.journal[1..] {
            task.apply(event).unwrap();
            check_rejected(&task, event);
            check_rejected(&task, &following(&task, event.fact.clone()));
        }
    }

    #[test]
    fn a_rejected_event_changes_nothing(steps in steps(40), others in steps(40)) {
        let mut task = lived(&steps).task;
        for event in lived(&others).journal {
            let event = following(&task, event.fact);
            let before = task.clone();
            if task.apply(&event).is_err() {
                prop_assert_eq!(&task, &before);
            }
        }
    }

    #[test]
    fn an_older_or_skipping_event_is_rejected(steps in steps(10)) {
        let task = lived(&steps).task;
        let fact = Fact::GrantRevoked { grant: remit_core::GrantId(1), reason: String::new(), by: String::new() };
        let event = following(&task, fact);
        check_rejected(&task, &Event { time_ms: task.head().time_ms - 1, ..event.clone() });
        check_rejected(&task, &Event { number: event.number.next(), ..event });
    }

    #[test]
    fn a_settled_operation_is_recorded_for_the_same_call_and_diverges_for_another(
        steps in steps(80),
    ) {
        let mut world = lived(&steps);
        let _ = world.run(&remit_core::task::Command::Resume { who: "me".into() });
        if world.run(&start()).is_err() {
            prop_assert!(world.task.ending().is_some() || world.task.cancelling().is_some());
            return Ok(());
        }
        let attempt = world.task.running().unwrap();
        for number in agent_calls(&world.task) {
            let mut call = world.asked[&number].clone();
            call.attempt = attempt;
            let again = world.task.decide(&call.clone().into(), world.now_ms);
            prop_assert_eq!(again, Ok(Decision::Recorded));
            call.method.push('x');
            let other = world.task.decide(&call.clone().into(), world.now_ms);
            prop_assert!(matches!(other, Err(Refusal::Diverged(_))), "{:?}", other);
            call.method.pop();
            call.object = ObjectId::Part(CallNumber(77), 3);
            let other = world.task.decide(&call.into(), world.now_ms);
            prop_assert!(matches!(other, Err(Refusal::Diverged(_))), "{:?}", other);
        }
    }

    #[test]
    fn a_replay_of_everything_records_nothing(steps in steps(80)) {
        let mut world = lived(&steps);
        if world.run(&start()).is_err() {
            return Ok(());
        }
        let before = world.task.clone();
        let attempt = world.task.running().unwrap();
        for call in world.asked.clone().into_values().filter(|call| call.through.is_none()) {
            let again = remit_core::task::CallCommand { attempt, ..call };
            prop_assert_eq!(world.run(&again.into()), Ok(Decision::Recorded));
        }
        prop_assert_eq!(world.task, before);
    }

    #[test]
    fn nothing_but_late_outcomes_and_revocations_follows_the_end(
        steps in steps(40),
        end in 0..3_usize,
        late in steps(40),
    ) {
        let mut world = lived(&steps);
        let _ = world.run(&ends(world.task.running().unwrap_or(Attempt(1)))[end]);
        let Some(ending) = world.task.ending().cloned() else { return Ok(()) };
        let length = world.journal.len();
        for step in &late {
            let _ = take(&mut world, step);
        }
        for event in &world.journal[length..] {
            prop_assert!(matches!(
                event.fact,
                Fact::CallCompleted { .. }
                    | Fact::CallUnknown { .. }
                    | Fact::GrantRevoked { .. }
                    | Fact::GrantEnded { .. }
            ), "{event:?}");
        }
        prop_assert_eq!(world.task.ending(), Some(&ending));
        prop_assert_eq!(world.task.running(), None);
    }

    #[test]
    fn the_order_holds_every_settled_operation_of_the_agent_once(steps in steps(80)) {
        let World { task, .. } = lived(&steps);
        let mut order = task.order().to_vec();
        let times: Vec<_> = order.iter().map(|n| task.operation(*n).unwrap().settled().unwrap().number).collect();
        prop_assert!(times.is_sorted());
        order.sort_unstable();
        let settled: Vec<CallNumber> = task
            .operations()
            .filter(|(number, o)| o.settled().is_some() && *number < CallNumber::FIRST_LENT)
            .map(|(number, _)| number)
            .collect();
        prop_assert_eq!(order, settled);
    }
}

fn start() -> remit_core::task::Command {
    remit_core::task::Command::StartAttempt { node: "again".into() }
}

fn ends(attempt: Attempt) -> [remit_core::task::Command; 3] {
    use remit_core::task::Command;
    use remit_core::{Code, Failure, Outcome, Value};
    [
        Command::Finish { attempt, outcome: Outcome::value(Value::Null) },
        Command::Fail(Failure::new(Code::Failed, "x")),
        Command::Cancel { reason: "x".into() },
    ]
}

fn following(task: &Task, fact: Fact) -> Event {
    Event { number: task.head().number.next(), time_ms: task.head().time_ms, fact }
}

#[track_caller]
fn check_rejected(task: &Task, event: &Event) {
    let mut again = task.clone();
    assert!(again.apply(event).is_err(), "{event:?} was applied");
    assert_eq!(&again, task);
}

/// The agent's calls that ended or were refused.
fn agent_calls(task: &Task) -> Vec<CallNumber> {
    let settled = |operation: &Operation| match operation {
        Operation::Call { request, state } => {
            request.call < CallNumber::FIRST_LENT && matches!(state, CallState::Completed(..))
        }
        Operation::Denied { denied, .. } => denied.call < CallNumber::FIRST_LENT,
        Operation::Derived { .. } => false,
        Operation::Sleep { .. }
        | Operation::Input { .. }
        | Operation::Steers { .. }
        | Operation::CapabilityRequest { .. } => false,
    };
    task.operations().filter(|(_, o)| settled(o)).map(|(number, _)| number).collect()
}

#[test]
fn a_life_without_steps_is_a_life() {
    let steps: [Step; 0] = [];
    assert_eq!(lived(&steps).journal.len(), 5);
}
