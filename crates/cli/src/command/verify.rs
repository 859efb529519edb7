//! `remit verify`: whether what is kept is what was written.

use std::path::PathBuf;

use clap::Args;
use remit_orchestrator::journal::verify::{Report, rebuild, verify};

use remit_vat::disk::OnDamage;

use crate::fault::{Fault, doing};
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::text::harmless;
use crate::store::{self, shown};

/// Check that all tasks are on disk as they were written; say what is damaged
///
/// Reads everything: hash chains, checksums, large contents, snapshots, lists, and the mesh's own
/// audit log. Works while the mesh runs. Exits with 1 if anything is damaged.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The folder of an orchestrator that does not run, instead of a mesh
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Have what is left of a damaged journal count as all there is, so that its tasks go on from
    /// there. Events that were lost happened all the same: restore a backup instead if you have one.
    /// The orchestrator must not run.
    #[arg(long)]
    accept_loss: bool,
}

impl Verify {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = if self.data.is_some() { None } else { Mesh::find(place).await? };
        if self.accept_loss {
            if mesh.is_some() {
                return Err(Fault::Usage("the mesh runs: stop it first".into()));
            }
            self.accept(place)?;
        }
        let report = match mesh {
            Some(mesh) => {
                let (kept, damaged) = mesh.client.verify().await?;
                Report { kept: store::kept(kept), damaged }
            }
            None => verify(&store::open(self.data.as_deref(), place, OnDamage::ReadOnly)?)
                .map_err(doing("the journal was not checked to its end"))?,
        };
        report
            .damaged
            .iter()
            .try_for_each(|what| out::line(&format!("DAMAGED {}", harmless(what))))?;
        if report.damaged.is_empty() {
            return out::line(&format!("ok: {}", shown(&report.kept)));
        }
        out::note(&format!(
            "remit: {} read; restore what is damaged from a backup",
            shown(&report.kept)
        ));
        Err(Fault::Said)
    }

    fn accept(&self, place: &Place) -> Result<(), Fault> {
        let journal = store::open(self.data.as_deref(), place, OnDamage::Accept)?;
        let corrected = rebuild(&journal).map_err(doing("the lists were not made anew"))?;
        out::note(&format!(
            "remit: what is left counts as all there is; {corrected} entries of lists were made anew"
        ));
        Ok(())
    }
}
