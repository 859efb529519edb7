//! `remit fork` and `remit retry`: a new task from the past of another one.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{CallNumber, EventNumber, Forked, NewProgram};

use super::task::{Among, choose};
use crate::bundle::{Bundle, bundle};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Start a new task from the first events of another one
///
/// What was recorded up to that point is not done again. What came after it is done anew, effects
/// included. The new task's id goes to standard output.
#[derive(Debug, Args)]
pub(super) struct Fork {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,

    /// The last event that the new task has in common with it (`remit log` shows the numbers);
    /// by default the last one before its end
    #[arg(long, value_name = "EVENT")]
    at: Option<u64>,

    #[command(flatten)]
    other: Other,
}

/// The other program that the new task is to run.
#[derive(Debug, Args)]
struct Other {
    /// Another program for the new task, which must repeat what is recorded up to that point; what it
    /// imports from its own folder goes along
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,

    /// The folder from which imports may be taken; by default that of FILE
    #[arg(long, value_name = "DIR", requires = "program")]
    root: Option<PathBuf>,
}

impl Other {
    fn read(&self) -> Result<Option<NewProgram>, Fault> {
        let Some(file) = &self.program else { return Ok(None) };
        let Bundle { files: source, entry } = bundle(file, self.root.as_deref())?;
        Ok(Some(NewProgram { source, entry }))
    }
}

/// Start a new task from the last good point of one that failed or was cancelled
///
/// That is before the failure that it learned of last, or else before its end. The task that failed
/// stays as it ended. The new task's id goes to standard output.
#[derive(Debug, Args)]
pub(super) struct Retry {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,

    /// A call that may be made once more though that is not harmless; may be given more than once
    #[arg(long, value_name = "CALL")]
    again: Vec<u64>,

    #[command(flatten)]
    other: Other,
}

impl Fork {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let program = self.other.read()?;
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = async {
            let task = choose(&mesh.client, Some(&self.task), Among::Every).await?;
            Ok::<_, Fault>(task.fork(EventNumber(self.at.unwrap_or_default()), program).await?)
        }
        .await;
        mesh.leave().await;
        say(&done?)
    }
}

impl Retry {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let program = self.other.read()?;
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = async {
            let task = choose(&mesh.client, Some(&self.task), Among::Every).await?;
            let again = self.again.iter().copied().map(CallNumber).collect();
            Ok::<_, Fault>(task.retry(again, program).await?)
        }
        .await;
        mesh.leave().await;
        say(&done?)
    }
}

fn say(forked: &Forked) -> Result<(), Fault> {
    let Forked { id, at, dropped } = forked;
    let calls: Vec<String> = dropped.iter().map(ToString::to_string).collect();
    let anew = if calls.is_empty() {
        String::new()
    } else {
        format!(
            "; in flight at that point, and never sent by the new task: call {}",
            calls.join(", ")
        )
    };
    out::note(&format!(
        "remit: a task from event {at} on{anew}. Follow it with: remit attach {id}"
    ));
    out::line(&id.to_string())
}
