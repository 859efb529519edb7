//! `remit nodes`: who is in the mesh.

use clap::Args;
use remit_client::NodeInfo;

use crate::clock::now_ms;
use crate::fault::Fault;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::table::Keep;
use crate::show::text::{harmless, span};
use crate::show::{listed, out, table};

/// List the nodes of the mesh that runs
///
/// Starts nothing: without a mesh that runs there are no nodes to list.
#[derive(Debug, Args)]
pub(super) struct Nodes {
    /// One JSON object a line, for programs
    #[arg(long)]
    json: bool,
}

impl Nodes {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let Some(mesh) = Mesh::find(place).await? else {
            return Err(Fault::Failed(format!(
                "no mesh runs for {}: start one with `remit up`",
                place.home.dir().display()
            )));
        };
        let (nodes, now) = (mesh.client.nodes().await?, now_ms());
        if self.json {
            return listed::print(&nodes, listed::node);
        }
        let rows: Vec<_> = nodes.iter().map(|node| row(node, now)).collect();
        table::lines(&HEADER, &rows, look).iter().try_for_each(|line| out::line(line))
    }
}

const HEADER: [(&str, Keep); 7] = [
    ("NODE", Keep::End),
    ("ROLE", Keep::All),
    ("VERSION", Keep::All),
    ("STATE", Keep::All),
    ("LOAD", Keep::All),
    ("LAST CONTACT", Keep::All),
    ("LABELS", Keep::Start),
];

fn row(node: &NodeInfo, now_ms: u64) -> Vec<String> {
    vec![
        harmless(&node.identity),
        harmless(&node.role),
        harmless(&node.version),
        harmless(&node.state),
        node.load.to_string(),
        format!("{} ago", span(now_ms.saturating_sub(node.last_contact_ms))),
        harmless(&node.labels.join(" ")),
    ]
}
