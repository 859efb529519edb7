//! The journal of an orchestrator that does not run, as commands open it.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use remit_journal::backup::JournalTotals;
use remit_journal::{OnDamage, SledJournal};

use crate::fault::{Fault, doing};
use crate::limits;
use crate::mesh::Place;

/// Where the journal is: in the folder `data`, or in that of the mesh on this machine.
pub(crate) fn journal_of(data: Option<&Path>, place: &Place) -> Result<PathBuf, Fault> {
    if let (None, Some(address)) = (data, &place.address) {
        return Err(Fault::Usage(format!(
            "the journal of {address} is not on this machine: use the command there"
        )));
    }
    let folder = data.map_or_else(|| place.home.node("orchestrator"), Path::to_owned);
    Ok(folder.join("journal"))
}

/// The journal, if there is one and no orchestrator has it open.
pub(crate) fn open(
    data: Option<&Path>,
    place: &Place,
    on_damage: OnDamage,
) -> Result<SledJournal, Fault> {
    let journal = journal_of(data, place)?;
    if !journal.is_dir() {
        return Err(Fault::Failed(format!("there is no journal in {}", journal.display())));
    }
    let opened = SledJournal::open_at_rest(&journal, limits::STORE_CACHE_BYTES, on_damage);
    opened.map_err(doing("the journal cannot be opened"))
}

/// A file that only its owner can read: what tasks do and are told is nobody else's business.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(true).write(true).mode(0o600).open(path)
}

/// Who works on a folder at rest, for its audit: no mesh vouches for them.
pub(crate) fn person() -> String {
    format!("user {} of this machine", rustix::process::getuid().as_raw())
}

/// What the mesh said it read.
pub(crate) const fn kept(kept: remit_client::JournalTotals) -> JournalTotals {
    let remit_client::JournalTotals { tasks, events, bodies, snapshots } = kept;
    JournalTotals { tasks, events, bodies, snapshots }
}

/// How much was read, for people.
pub(crate) fn shown(kept: &JournalTotals) -> String {
    let JournalTotals { tasks, events, bodies, snapshots } = kept;
    format!("{tasks} tasks, {events} events, {bodies} large contents, {snapshots} snapshots")
}
