//! `remit log`: all that happened to a task.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{Event, EventNumber, Followed, TaskHandle};

use super::task::{Among, choose};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::follow;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::event::Lines;
use crate::show::{json, out};

/// Print what happened to a task, one line for each event
#[derive(Debug, Args)]
pub(super) struct Log {
    /// The task's id, the end of it, its name, or a reference to it; by default the newest
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: Option<String>,

    /// Go on with what happens until the task ends
    #[arg(short, long)]
    follow: bool,

    /// One JSON object a line
    #[arg(long)]
    json: bool,

    /// Only events after this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
}

impl Log {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let printed = match choose(&mesh.client, self.task.as_deref(), Among::Every).await {
            Ok(task) => {
                tokio::select! {
                    biased;
                    _ = tokio::signal::ctrl_c() => Err(Fault::Interrupted),
                    printed = self.print(&task, look) => printed,
                }
            }
            Err(fault) => Err(fault),
        };
        follow::leave(mesh).await?;
        printed
    }

    async fn print(&self, task: &TaskHandle, look: Look) -> Result<(), Fault> {
        let mut lines = Lines::new(look.out);
        let mut events = task.events(EventNumber(0)).await?;
        while let Some(followed) = events.next().await {
            match followed? {
                Followed::Event(event) => self.print_event(&event, &mut lines)?,
                Followed::CaughtUp(_) if !self.follow => break,
                Followed::Disconnected => {
                    out::note("remit: the connection to the mesh is lost; trying again");
                }
                Followed::Reconnected => out::note("remit: connected to the mesh again"),
                Followed::CaughtUp(_) | Followed::Output { .. } => {}
            }
        }
        Ok(())
    }

    fn print_event(&self, event: &Event, lines: &mut Lines) -> Result<(), Fault> {
        let line = lines.line(event);
        match (event.number.0 > self.from, self.json) {
            (false, _) => Ok(()),
            (true, false) => out::line(&line),
            (true, true) => out::json(&json::event(event)),
        }
    }
}
