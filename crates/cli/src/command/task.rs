//! Which task is meant when people name one, or none.

use remit_client::{
    Client, Reference, Restored, TaskFilter, TaskHandle, TaskId, TaskInfo, Value,
    value_from_json_text,
};

use crate::fault::Fault;

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

/// The task that `named` means: a reference, a whole id, the end of one, or a name; or the newest.
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
    let tasks = client.tasks(TaskFilter::default()).await?;
    pick(&tasks, named, among).map(|id| client.task(id))
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

fn pick(tasks: &[TaskInfo], named: Option<&str>, among: Among) -> Result<TaskId, Fault> {
    let fits = |task: &&TaskInfo| match named {
        Some(named) => {
            task.name == named || (named.len() >= SHORTEST && task.id.to_string().ends_with(named))
        }
        None => among == Among::Every || !task.has_ended(),
    };
    let mut fitting = tasks.iter().filter(fits);
    let Some(newest) = fitting.next() else {
        return Err(Fault::Failed(match (named, among) {
            (Some(named), _) => {
                format!("no task is called `{named}` and no id ends so: `remit ps` lists the tasks")
            }
            (None, Among::Unfinished) => {
                "there is no unfinished task: `remit ps --all` lists those that have ended".into()
            }
            (None, Among::Every) => "there is no task yet: start one with `remit run FILE`".into(),
        }));
    };
    match (named, fitting.next()) {
        (Some(named), Some(other)) if newest.name != named => Err(Fault::Usage(format!(
            "`{named}` may be {} or {}: give more of the id",
            newest.id, other.id
        ))),
        _ => Ok(newest.id),
    }
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
        }
    }

    #[test]
    fn a_task_is_found_by_name_by_the_end_of_its_id_or_as_the_newest() {
        let [a, b, c] = [
            "0190a6e2-7c1d-7000-8000-00000000aaaa",
            "0190a6e2-7c1d-7000-8000-00000000bbbb",
            "0190a6e2-7c1d-7000-8000-00000001bbbb",
        ];
        let tasks = [task(a, "x", "completed"), task(b, "y", "running"), task(c, "y", "failed")];
        let picked = |named, among| pick(&tasks, named, among).map(|id| id.to_string());
        assert_eq!(picked(None, Among::Every).unwrap(), a);
        assert_eq!(picked(None, Among::Unfinished).unwrap(), b);
        assert_eq!(picked(Some("y"), Among::Every).unwrap(), b, "the newest of a name");
        assert_eq!(picked(Some("0aaaa"), Among::Every).unwrap(), a);
        assert!(picked(Some("bbbb"), Among::Every).unwrap_err().to_string().contains(c));
        assert!(picked(Some("aaa"), Among::Every).is_err(), "too short to mean a task");
        assert!(pick(&[], None, Among::Every).is_err());
    }
}
