//! `remit compact`: the space of what was removed, given back.

use std::path::PathBuf;

use clap::Args;
use remit_journal::OnDamage;

use crate::fault::{Fault, doing};
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::store;

/// Give the space of removed tasks and pruned history back to the file system
///
/// Works while the mesh runs; it needs as much room as what is left of the journal. The mesh does
/// the same by itself once the journal is large and mostly holes.
#[derive(Debug, Args)]
pub(super) struct Compact {
    /// The folder of an orchestrator that does not run, instead of a mesh
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Compact {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = if self.data.is_some() { None } else { Mesh::find(place).await? };
        let (before, after) = match mesh {
            Some(mesh) => {
                let compacted = mesh.client.compact().await?;
                (compacted.before, compacted.after)
            }
            None => {
                let journal = store::open(self.data.as_deref(), place, OnDamage::Refuse)?;
                let compacted = journal.compact().await;
                let compacted = compacted.map_err(doing("the journal was not compacted"))?;
                (compacted.before, compacted.after)
            }
        };
        out::line(&format!("{} KiB before, {} KiB after", before >> 10, after >> 10))
    }
}
