//! Many tasks: each list touches no more of them than it gives.

use super::*;

const MANY: u64 = 100_000;

/// Every hundredth waits, the others are running.
fn fill(journal: &dyn Journal) {
    for n in 1..=MANY {
        let status = if n % 100 == 0 { Status::Waiting } else { Status::Running };
        let appended = journal.append(TENANT, task(n), &events(1..=1), head(status));
        // Now and then, so that the queue does not overflow.
        if n % 10_000 == 0 {
            wait(appended).unwrap();
        }
    }
}

/// Pages through the tasks that wait.
fn page_through(journal: &dyn Journal) {
    let mut after = None;
    let mut seen = 0;
    loop {
        let page = journal.list(TENANT, Some(Status::Waiting), after, 300).unwrap();
        let Some((last, _)) = page.last() else { break };
        assert!(page.iter().all(|(_, head)| head.status == Status::Waiting));
        assert!(page.is_sorted_by(|(one, _), (other, _)| one > other));
        (after, seen) = (Some(*last), seen + page.len() as u64);
    }
    assert_eq!(seen, MANY / 100);
    assert_eq!(journal.list(TENANT, Some(Status::Failed), None, 300).unwrap(), []);
    let middle = task(MANY / 2);
    let page = journal.list(TENANT, None, Some(middle), 3).unwrap();
    let ids: Vec<TaskId> = page.into_iter().map(|(task, _)| task).collect();
    assert_eq!(ids, [task(MANY / 2 - 1), task(MANY / 2 - 2), task(MANY / 2 - 3)]);
    assert_eq!(journal.unsettled().unwrap().len() as u64, MANY);
}

#[test]
fn a_hundred_thousand_tasks_in_memory() {
    let journal = MemoryJournal::new();
    fill(&journal);
    page_through(&journal);
}

#[test]
fn a_hundred_thousand_tasks_on_disk() {
    let dir = TempDir::new().unwrap();
    let (disk, journal) = open(&dir);
    fill(&journal);
    let before = disk.records_read();
    page_through(&journal);
    // A key and a head for each that was given, three heads in the middle, and all live keys once.
    let read = disk.records_read() - before;
    assert!(read <= 2 * MANY / 100 + 3 + MANY, "{read} records were read");
}
