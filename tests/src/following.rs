//! Following a task until a wanted event, with a time limit.

use std::time::Duration;

use remit_client::{Event, EventNumber, Fact, Followed, TaskHandle, value_to_json};

/// The time limit of each wait: longer than any step of a test takes on a busy machine.
pub const AT_MOST: Duration = Duration::from_secs(60);

/// Follows the task until an event matches `wanted`, and returns all events up to that one.
pub async fn until(task: &TaskHandle, wanted: impl Fn(&Fact) -> bool) -> Vec<Event> {
    let follow = async {
        let mut events = task.events(EventNumber(0)).await.unwrap();
        let mut seen = Vec::new();
        while let Some(followed) = events.next().await {
            if let Followed::Event(event) = followed.unwrap() {
                let found = wanted(&event.fact);
                seen.push(event);
                if found {
                    return seen;
                }
            }
        }
        panic!("the task's events ended: {seen:#?}");
    };
    tokio::time::timeout(AT_MOST, follow).await.unwrap()
}

/// Every event of a task, up to its end.
pub async fn whole(task: &TaskHandle) -> Vec<Event> {
    read(task, |_| false).await
}

/// Every event that the task has so far.
pub async fn so_far(task: &TaskHandle) -> Vec<Event> {
    read(task, |followed| matches!(followed, Followed::CaughtUp(_))).await
}

async fn read(task: &TaskHandle, enough: impl Fn(&Followed) -> bool) -> Vec<Event> {
    let follow = async {
        let mut events = task.events(EventNumber(0)).await.unwrap();
        let mut seen = Vec::new();
        while let Some(followed) = events.next().await {
            let followed = followed.unwrap();
            if enough(&followed) {
                break;
            }
            if let Followed::Event(event) = followed {
                seen.push(event);
            }
        }
        seen
    };
    tokio::time::timeout(AT_MOST, follow).await.unwrap()
}

/// The result of a task that completes, as JSON.
pub async fn result(task: &TaskHandle) -> serde_json::Value {
    value_to_json(&tokio::time::timeout(AT_MOST, task.result()).await.unwrap().unwrap())
}
