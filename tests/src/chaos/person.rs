//! The person who settles calls of unknown outcome: looks at the tool's files and reports whether
//! the call happened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use remit_client::{
    Asks, Client, Code, Error, EventNumber, Fact, Followed, Question, Settlement, Value,
};
use tokio::sync::watch;

use super::audit::text_in;

/// The interval at which the person reads the inbox.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The number of answers, by kind.
#[derive(Debug, Default, Clone, Copy)]
pub struct Answered {
    /// Calls that had happened.
    pub happened: usize,
    /// Calls that had not happened, and were sent again.
    pub sent_again: usize,
}

/// Answers all pending questions until `over`. `dirs` has the data folder of each tool node, by
/// name.
pub async fn answer(
    client: Client,
    dirs: BTreeMap<String, PathBuf>,
    over: watch::Receiver<bool>,
) -> Answered {
    let mut answered = Answered::default();
    while !*over.borrow() {
        // If the orchestrator is away, the inbox is read again.
        let waiting = client.inbox(None).await.map(|page| page.questions).unwrap_or_default();
        for question in &waiting {
            let happened = match settle(&client, question, &dirs).await {
                Ok(happened) => happened,
                // The tool node is away, or the answer was lost: the next round answers again.
                Err(error) => {
                    println!("not settled yet: {error}");
                    continue;
                }
            };
            match happened {
                true => answered.happened += 1,
                false => answered.sent_again += 1,
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    answered
}

/// Settles one call by its effect at the tool. Returns whether it had happened.
async fn settle(
    client: &Client,
    question: &Question,
    dirs: &BTreeMap<String, PathBuf>,
) -> Result<bool, Error> {
    assert!(matches!(question.asks, Asks::Settlement { .. }), "{question:?}");
    let (node, line) = call(client, question).await?;
    let happened = has(&dirs[&node], &line);
    let settlement = match happened {
        true => Settlement::Outcome(Value::Null),
        false => Settlement::Retry,
    };
    let task = client.task(question.task);
    task.settle(question.operation, question.event, settlement).await?;
    Ok(happened)
}

/// The node that received the call, and the call's method and line, which identify it there.
async fn call(client: &Client, question: &Question) -> Result<(String, String), Error> {
    let mut nodes = BTreeMap::new();
    let mut events = client.task(question.task).events(EventNumber(0)).await?;
    while let Some(followed) = events.next().await {
        let Followed::Event(event) = followed? else { continue };
        match event.fact {
            Fact::GrantAdded(grant) => {
                let name = grant.node.rsplit('/').next().unwrap_or_default().to_owned();
                nodes.insert(grant.grant, name);
            }
            Fact::CallRequested(request) if request.call == question.operation => {
                let line = text_in(&request.args).unwrap_or_default();
                return Ok((nodes[&request.grant].clone(), format!("{} {line}", request.method)));
            }
            _ => {}
        }
    }
    let why = format!("call {} is not in the journal", question.operation);
    Err(Error::Failed(remit_client::Failure::new(Code::NotFound, why)))
}

/// Whether the node in `dir` has the effect of `call`: its method and its line.
fn has(dir: &Path, call: &str) -> bool {
    let (method, wanted) = call.split_once(' ').unwrap_or((call, ""));
    let file = if method == "count" { "counter.txt" } else { "effects.txt" };
    let text = std::fs::read_to_string(dir.join(file)).unwrap_or_default();
    text.lines().any(|line| line == wanted)
}
