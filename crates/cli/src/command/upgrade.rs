//! `remit upgrade`: another program for a task that is at work.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{CallNumber, EventNumber, Trial, Upgrade as Program};

use super::task::{Among, choose};
use crate::bundle::bundle;
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::text::short;

/// Give a task another program, if that does the same up to where the task stands
///
/// The new program is run on what was recorded; nothing is sent and nothing is written meanwhile.
/// The first operation that it does otherwise is shown, and the task stays as it is.
#[derive(Debug, Args)]
pub(super) struct Upgrade {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,

    /// The new script; what it imports from its own folder goes along
    file: PathBuf,

    /// Repeat only what was asked for up to this event; what came after it is dropped from replay
    #[arg(long, value_name = "EVENT")]
    at: Option<u64>,

    /// A call after that event that may be made once more though that is not harmless; may be given
    /// more than once
    #[arg(long, value_name = "CALL", requires = "at")]
    again: Vec<u64>,

    /// Only try it: the task stays as it is
    #[arg(long)]
    dry_run: bool,

    /// The folder from which imports may be taken; by default that of FILE
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl Upgrade {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let bundle = bundle(&self.file, self.root.as_deref())?;
        let program = Program {
            source: bundle.files,
            entry: bundle.entry,
            at: EventNumber(self.at.unwrap_or_default()),
            again: self.again.iter().copied().map(CallNumber).collect(),
            dry_run: self.dry_run,
        };
        let mut mesh = Mesh::reach(place, Parts::All).await?;
        let client = mesh.client.clone();
        let trial = async {
            let task = choose(&client, Some(&self.task), Among::Every).await?;
            Ok::<_, Fault>(task.upgrade(program).await?)
        };
        let trial = mesh.tending(place, trial).await;
        mesh.leave().await;
        say(&trial?)
    }
}

fn say(trial: &Trial) -> Result<(), Fault> {
    let Some(difference) = &trial.difference else {
        let then = if trial.switched { "the task goes on with it" } else { "the task may have it" };
        let repeated = trial.repeated;
        out::note(&format!("remit: the new program repeats all {repeated} operations: {then}"));
        return Ok(());
    };
    let is = match difference.is.as_str() {
        "" => "nothing: it does not get there".to_owned(),
        is => short(is, 300),
    };
    Err(Fault::Failed(format!(
        "the new program goes another way at operation {}, and the task stays as it is\n  recorded: {}\n  now:      {is}\nTake up from an earlier point with --at EVENT",
        difference.operation,
        short(&difference.was, 300)
    )))
}
