//! `remit inbox`: what waits for a person.

use clap::Args;
use remit_client::{Client, Question};

use crate::embedded::Parts;
use crate::fault::Fault;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::{out, question};

/// Show what waits for a person, over all tasks, and the commands that answer it
#[derive(Debug, Args)]
pub(super) struct Inbox {
    /// One JSON object a line, for programs
    #[arg(long)]
    json: bool,
}

impl Inbox {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let all = all(&mesh.client).await;
        mesh.leave().await;
        let all = all?;
        if self.json {
            return all.iter().try_for_each(|one| out::json(&question::json(one)));
        }
        if all.is_empty() {
            out::note("remit: nothing waits for a person");
        }
        let remit = place.command();
        let mut lines = all.iter().flat_map(|one| question::lines(one, &remit, look.out));
        lines.try_for_each(|line| out::line(&line))
    }
}

/// Every question, those of the newest task first.
async fn all(client: &Client) -> Result<Vec<Question>, Fault> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = client.inbox(after).await?;
        all.extend(page.questions);
        after = page.more;
        if after.is_none() {
            return Ok(all);
        }
    }
}
