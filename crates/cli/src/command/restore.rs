//! `remit restore`: a journal from a backup.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;
use remit_journal::backup::restore_backup;

use crate::fault::{Fault, doing};
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::store::{self, shown};

/// Make the journal of an orchestrator from a backup
///
/// The orchestrator must not run, and must have no journal yet: move an old one away first.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The file that `remit backup` wrote
    file: PathBuf,

    /// The folder of the orchestrator; by default that of the mesh on this machine
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Restore {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        if self.data.is_none() && Mesh::find(place).await?.is_some() {
            return Err(Fault::Usage("the mesh runs: stop it first".into()));
        }
        let file = File::open(&self.file)
            .map_err(doing(format_args!("{} cannot be read", self.file.display())))?;
        let journal = store::journal_of(self.data.as_deref(), place)?;
        if let Some(folder) = journal.parent() {
            std::fs::create_dir_all(folder)
                .map_err(doing(format_args!("{} cannot be made", folder.display())))?;
        }
        let restored = restore_backup(&mut BufReader::new(file), &journal);
        let kept = restored.map_err(doing(self.file.display()))?;
        out::line(&format!("{}: {}", journal.display(), shown(&kept)))
    }
}
