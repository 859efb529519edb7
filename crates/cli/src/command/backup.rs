//! `remit backup`: all tasks in one file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use remit_journal::backup::{JournalTotals, write_backup};
use remit_journal::{OnDamage, SledJournal};
use tokio::sync::mpsc;

use crate::fault::{Fault, doing};
use crate::limits;
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::store::{self, shown};

/// Write all tasks, with everything that happened to them, into one file
///
/// Works while the mesh runs: the file then holds the moment at which the command began. Keep it as
/// you keep the tasks themselves, and with it the folder `authority` beside the journal, by which
/// the members of the mesh know each other.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write; it must not exist yet
    file: PathBuf,

    /// The folder of an orchestrator that does not run, instead of a mesh
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Backup {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        if self.file.exists() {
            return Err(Fault::Usage(format!("{} exists already", self.file.display())));
        }
        // Under another name until it is whole.
        let part = self.file.with_extension("part");
        let written = self.write(place, &part).await;
        if written.is_err() {
            // What cannot be removed now is written over the next time.
            let _left = std::fs::remove_file(&part);
        }
        let kept = written?;
        std::fs::rename(&part, &self.file)
            .map_err(doing(format_args!("{} cannot be written", self.file.display())))?;
        out::line(&format!("{}: {}", self.file.display(), shown(&kept)))
    }

    async fn write(&self, place: &Place, part: &Path) -> Result<JournalTotals, Fault> {
        let cannot = format!("{} cannot be written", part.display());
        let file = store::create_private(part).map_err(doing(&cannot))?;
        let mut file = BufWriter::new(file);
        let mesh = if self.data.is_some() { None } else { Mesh::find(place).await? };
        let kept = match mesh {
            Some(mesh) => live(&mesh, &mut file).await?,
            None => {
                let journal = store::open(self.data.as_deref(), place, OnDamage::Refuse)?;
                stopped(&journal, &mut file)?
            }
        };
        let file = file.into_inner().map_err(doing(&cannot))?;
        file.sync_all().map_err(doing(&cannot))?;
        Ok(kept)
    }
}

/// From a mesh that runs.
async fn live(mesh: &Mesh, file: &mut BufWriter<File>) -> Result<JournalTotals, Fault> {
    let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(limits::BACKUP_PIECES);
    let writing = async {
        while let Some(piece) = pieces.recv().await {
            file.write_all(&piece).map_err(doing("the backup cannot be written"))?;
        }
        Ok(())
    };
    let reading = async { mesh.client.backup(sender).await.map_err(Fault::from) };
    let (kept, ()) = tokio::try_join!(reading, writing)?;
    Ok(store::kept(kept))
}

/// From a folder that no orchestrator has open.
fn stopped(journal: &SledJournal, file: &mut BufWriter<File>) -> Result<JournalTotals, Fault> {
    let mut failed = None;
    let written = write_backup(journal, |piece| {
        file.write_all(&piece).map_err(|error| {
            failed = Some(error);
            remit_journal::backup::NoBackup::Unwanted
        })
    });
    match failed {
        Some(error) => Err(doing("the backup cannot be written")(error)),
        None => written.map_err(doing("the journal was not backed up")),
    }
}
