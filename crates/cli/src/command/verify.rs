//! `remit verify`: whether what is kept is what was written.

use std::path::{Path, PathBuf};

use clap::Args;
use remit_journal::OnDamage;
use remit_journal::loss;
use remit_journal::verify::{Report, verify};
use remit_orchestrator::node::{TENANT, now_ms};
use remit_tool_node::ledger::Ledger;

use crate::fault::{Fault, doing};
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::text::{count, harmless};
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

    /// The ledger of a tool node that does not run (`ledger` in its data folder), instead of a journal
    #[arg(long, value_name = "DIR", conflicts_with = "data")]
    ledger: Option<PathBuf>,

    /// Have what is left of a damaged journal count as all there is, so that its tasks go on from
    /// there. Events that were lost happened all the same: restore a backup instead if you have one.
    /// The orchestrator must not run. The audit log keeps who accepted what. Of a ledger: people are
    /// asked about the calls that it may have known.
    #[arg(long)]
    accept_loss: bool,
}

impl Verify {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        if let Some(ledger) = &self.ledger {
            return self.ledger(ledger).await;
        }
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
        let data = self.data.as_deref();
        let seen = store::open(data, place, OnDamage::ReadOnly)?;
        let damage = seen.damage();
        drop(seen);
        let journal = store::open(data, place, OnDamage::Accept)?;
        let audit = journal.audit(Box::new(now_ms));
        let accepted = loss::accept(&journal, &audit, TENANT, &store::person(), damage);
        let (accepted, corrected) = accepted.map_err(doing("the loss was not accepted"))?;
        for what in &accepted {
            out::note(&format!("remit: accepted: {}", harmless(what)));
        }
        out::note(&format!(
            "remit: what is left counts as all there is; {corrected} entries of lists were made anew"
        ));
        Ok(())
    }

    /// Checks, and if wanted accepts the loss of, the ledger of a tool node that does not run.
    async fn ledger(&self, dir: &Path) -> Result<(), Fault> {
        if self.accept_loss {
            let accepted = Ledger::accept_loss(dir, &store::person()).await;
            let accepted = accepted.map_err(doing("the loss was not accepted"))?;
            for what in &accepted {
                out::note(&format!("remit: accepted: {}", harmless(what)));
            }
            out::note(
                "remit: the ledger remembers what is left; people are asked about older calls",
            );
        }
        let checked = Ledger::check(dir).await.map_err(doing("the ledger was not checked"))?;
        for accepted in &checked.accepted {
            out::note(&format!("remit: {}", harmless(accepted)));
        }
        for what in &checked.damaged {
            out::line(&format!("DAMAGED {}", harmless(what)))?;
        }
        if checked.damaged.is_empty() {
            return out::line(&format!("ok: {}", count(checked.records, "call")));
        }
        out::note(
            "remit: accept the loss with --accept-loss, and people are asked about the calls",
        );
        Err(Fault::Said)
    }
}
