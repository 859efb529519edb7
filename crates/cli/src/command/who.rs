//! `remit who`: who holds a tool.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{Holding, Selection};

use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::paint::Ink;
use crate::show::text::harmless;
use crate::show::{listed, out, tree};

/// Show who holds a tool now, over all tasks, with what is left and when it was last used
#[derive(Debug, Args)]
pub(super) struct Who {
    /// The tool
    #[arg(add = ArgValueCandidates::new(complete::tools))]
    tool: String,

    /// One JSON object a line, for programs
    #[arg(long)]
    json: bool,
}

impl Who {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let which = Selection { tool: self.tool.clone(), ..Selection::default() };
        let held = mesh.client.holders(&which).await;
        mesh.leave().await;
        let held = held?;
        if self.json {
            return listed::print(&held, listed::holding);
        }
        if held.is_empty() {
            out::note(&format!("remit: nobody holds {}", harmless(&self.tool)));
        }
        let mut rest: &[Holding] = &held;
        while let Some(first) = rest.first() {
            let many = rest.iter().take_while(|holding| holding.task == first.task).count();
            let (of_task, others) = rest.split_at(many);
            let title = format!("{} {}", first.task, harmless(&first.name));
            out::line(&look.out.ink(Ink::Name, &title))?;
            let grants: Vec<_> = of_task.iter().map(|holding| holding.grant.clone()).collect();
            for line in tree::lines(&grants, look.out) {
                out::line(&format!("  {line}"))?;
            }
            rest = others;
        }
        Ok(())
    }
}
