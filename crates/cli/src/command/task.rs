//! Which task is meant when people name one, or none.

use remit_client::{
    Client, Reference, Restored, TaskFilter, TaskHandle, TaskId, TaskInfo, Value,
    value_from_json_text,
};

use crate::fault::Fault;
use crate::limits;

/// Which tasks to choose among when none is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    /// All of them.
    Every,
    /// Those that have not ended.
    Unfinished,
}

/// The shortest part of an id that may stand for the whole, so that a slip hits no task.
const SHORTEST: usize = 4;

/// What a sturdy reference begins with.
const REFERENCE: &str = "remit:";

/// Before the name under which a reference is kept.
const KEPT: &str = "@";

/// Whether it names a reference, and no task.
fn is_reference(named: &str) -> bool {
    named.starts_with(REFERENCE) || named.starts_with(KEPT)
}

/// The reference that a line is, or that is kept under the name after `@`.
pub(super) fn reference(client: &Client, named: &str) -> Result<Reference, Fault> {
    let Some(name) = named.strip_prefix(KEPT) else {
        return named
            .parse()
            .map_err(|not: remit_client::NotAReference| Fault::Usage(not.to_string()));
    };
    client.kept(name)?.ok_or_else(|| {
        let why = "no reference is kept under that name: `remit refs keep NAME LINE` keeps one";
        Fault::Failed(why.into())
    })
}

/// What a reference gives.
pub(super) async fn restored(client: &Client, named: &str) -> Result<Restored, Fault> {
    Ok(client.restore(&reference(client, named)?).await?)
}

/// The task that `named` means: a reference, a whole id, the end of one, or a name; or the newest
/// that a person started.
pub(super) async fn choose(
    client: &Client,
    named: Option<&str>,
    among: Among,
) -> Result<TaskHandle, Fault> {
    if let Some(id) = named.and_then(|named| named.parse::<TaskId>().ok()) {
        return Ok(client.task(id));
    }
    if let Some(named) = named.filter(|named| is_reference(named)) {
        return Ok(restored(client, named).await?.into_task()?);
    }
    let mut search = Search { named, among, found: Found::default() };
    let mut filter = TaskFilter::default();
    loop {
        let page = client.tasks(filter.clone()).await?;
        filter.after = page.last().map(|task| task.id);
        if search.read(page) || filter.after.is_none() {
            return search.chosen().map(|id| client.task(id));
        }
    }
}

/// What a person typed: JSON, or text where it is none. JSON with a number in it that would be
/// rounded is refused.
pub(super) fn json_or_text(text: &str) -> Result<Value, Fault> {
    match value_from_json_text(text) {
        Err(inexact) if serde_json::from_str::<serde_json::Value>(text).is_ok() => {
            Err(Fault::Usage(inexact.to_string()))
        }
        read => Ok(read.unwrap_or_else(|_| Value::Text(text.to_owned()))),
    }
}

/// A search through the tasks, newest first.
struct Search<'a> {
    named: Option<&'a str>,
    among: Among,
    found: Found,
}

/// What was found of each kind: the newest.
#[derive(Default)]
struct Found {
    /// Started by a person, and called so or meant by no name at all.
    by_a_person: Option<TaskId>,
    /// Called so, and started by another task or a trigger.
    by_a_program: Option<TaskId>,
    /// Those whose ids end so: two are enough to ask.
    ending: Vec<TaskId>,
    seen: usize,
}

impl Search<'_> {
    /// Looks at the next tasks. `true`: more of them would change nothing.
    fn read(&mut self, tasks: Vec<TaskInfo>) -> bool {
        for task in tasks {
            self.found.seen += 1;
            let (fits, ends) = match self.named {
                None => (self.among == Among::Every || !task.has_ended(), false),
                Some(named) => {
                    let ends = named.len() >= SHORTEST && task.id.to_string().ends_with(named);
                    (task.name == named, ends)
                }
            };
            if fits && task.is_by_a_client() {
                self.found.by_a_person = Some(task.id);
                return true;
            }
            if fits {
                self.found.by_a_program.get_or_insert(task.id);
            }
            if ends && self.found.ending.len() < 2 {
                self.found.ending.push(task.id);
            }
        }
        let some = self.found.by_a_program.is_some() || !self.found.ending.is_empty();
        self.named.is_some() && some && self.found.seen >= limits::LOOKED_AT
    }

    fn chosen(self) -> Result<TaskId, Fault> {
        let Found { by_a_person, by_a_program, ending, .. } = self.found;
        let Some(named) = self.named else {
            return by_a_person.ok_or_else(|| none_to_mean(self.among, by_a_program));
        };
        match (by_a_person.or(by_a_program), &ending[..]) {
            (Some(named_so), _) => Ok(named_so),
            (None, [one]) => Ok(*one),
            (None, [one, other, ..]) => {
                Err(Fault::Usage(format!("`{named}` may be {one} or {other}: give more of the id")))
            }
            (None, []) => Err(Fault::Failed(format!(
                "no task is called `{named}` and no id ends so: `remit ps` lists the tasks"
            ))),
        }
    }
}

/// Why no task is meant when none is named.
fn none_to_mean(among: Among, by_a_program: Option<TaskId>) -> Fault {
    Fault::Failed(match (by_a_program, among) {
        (Some(task), _) => format!(
            "the newest task was started by another task or a trigger: name the one that you mean, for example {task} (`remit ps` lists them)"
        ),
        (None, Among::Unfinished) => {
            "there is no unfinished task: `remit ps --all` lists those that have ended".into()
        }
        (None, Among::Every) => "there is no task yet: start one with `remit run FILE`".into(),
    })
}

#[cfg(test)]
mod tests {
    use remit_client::EventNumber;

    use super::*;

    fn task(id: &str, name: &str, status: &str) -> TaskInfo {
        TaskInfo {
            id: id.parse().unwrap(),
            name: name.into(),
            status: status.into(),
            created_ms: 0,
            events: EventNumber(1),
            attempt: 1,
            node: String::new(),
            detail: String::new(),
            calls: 0,
            parent: None,
            trigger: String::new(),
        }
    }

    fn pick(tasks: &[TaskInfo], named: Option<&str>, among: Among) -> Result<TaskId, Fault> {
        let mut search = Search { named, among, found: Found::default() };
        search.read(tasks.to_vec());
        search.chosen()
    }

    const A: &str = "0190a6e2-7c1d-7000-8000-00000000aaaa";
    const B: &str = "0190a6e2-7c1d-7000-8000-00000000bbbb";
    const C: &str = "0190a6e2-7c1d-7000-8000-00000001bbbb";

    #[test]
    fn a_task_is_found_by_name_by_the_end_of_its_id_or_as_the_newest() {
        let tasks = [task(A, "x", "completed"), task(B, "y", "running"), task(C, "y", "failed")];
        let picked = |named, among| pick(&tasks, named, among).map(|id| id.to_string());
        assert_eq!(picked(None, Among::Every).unwrap(), A);
        assert_eq!(picked(None, Among::Unfinished).unwrap(), B);
        assert_eq!(picked(Some("y"), Among::Every).unwrap(), B, "the newest of a name");
        assert_eq!(picked(Some("0aaaa"), Among::Every).unwrap(), A);
        assert!(picked(Some("bbbb"), Among::Every).unwrap_err().to_string().contains(C));
        assert!(picked(Some("aaa"), Among::Every).is_err(), "too short to mean a task");
        assert!(pick(&[], None, Among::Every).is_err());
    }

    #[test]
    fn newest_task_is_one_that_a_person_started() {
        let spawned = TaskInfo { parent: Some(C.parse().unwrap()), ..task(A, "mine", "running") };
        let set_off = TaskInfo { trigger: "nightly".into(), ..task(B, "x", "running") };
        let tasks = [spawned, set_off, task(C, "mine", "running")];
        let picked = |named| pick(&tasks, named, Among::Every).map(|id| id.to_string());
        assert_eq!(picked(None).unwrap(), C);
        assert_eq!(picked(Some("mine")).unwrap(), C, "a script does not take a person's name");
        assert_eq!(picked(Some("x")).unwrap(), B, "by its name all the same");
        let none = pick(&tasks[..2], None, Among::Every).unwrap_err().to_string();
        assert!(none.contains("another task or a trigger") && none.contains(A), "{none}");
    }
}
