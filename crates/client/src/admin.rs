//! All that a mesh keeps, as a whole: backups and checks.

use tokio::sync::mpsc;

use crate::client::Client;
use crate::error::Error;
use crate::serve::admin;
use crate::serve::session::Repeat;

/// How much of a journal was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalTotals {
    /// Tasks.
    pub tasks: u64,
    /// Events.
    pub events: u64,
    /// Large contents that are stored once, apart from the events that hold them.
    pub bodies: u64,
    /// Snapshots.
    pub snapshots: u64,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the store's files before.
    pub before: u64,
    /// And after.
    pub after: u64,
}

impl Client {
    /// Sends a backup of everything to `pieces`, up to a mebibyte at a time and as fast as they are
    /// taken. It is of the moment at which this began, and is whole when this answers; the mesh
    /// works on meanwhile. Dropping the receiver ends it.
    ///
    /// ```no_run
    /// # async fn example(mesh: remit_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::io::Write as _;
    ///
    /// let mut file = std::fs::File::create_new("mesh.backup")?;
    /// let (sender, mut pieces) = tokio::sync::mpsc::channel::<Vec<u8>>(2);
    /// let writing = tokio::spawn(async move {
    ///     while let Some(piece) = pieces.recv().await {
    ///         file.write_all(&piece)?;
    ///     }
    ///     file.sync_all()
    /// });
    /// let kept = mesh.backup(sender).await?;
    /// writing.await??;
    /// println!("{} tasks, {} events", kept.tasks, kept.events);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Failed`] with `denied` if this client does not keep the mesh, `unavailable` if the
    /// journal cannot be read; [`Error::Unknown`] if the connection was lost: begin anew.
    pub async fn backup(&self, pieces: mpsc::Sender<Vec<u8>>) -> Result<JournalTotals, Error> {
        self.visit(async move |session| {
            session.ask_patiently(Repeat::Harmful, |m| admin::backup(m, pieces.clone())).await
        })
        .await
    }

    /// Checks everything that is kept: hash chains, checksums, bodies, counts, snapshots, lists.
    /// Gives how much was read and what is damaged, in words; none: nothing is. Takes as long as
    /// reading all of it takes.
    ///
    /// # Errors
    /// As for [`Client::backup`].
    pub async fn verify(&self) -> Result<(JournalTotals, Vec<String>), Error> {
        self.visit(async move |session| {
            session.ask_patiently(Repeat::Harmless, admin::verify).await
        })
        .await
    }

    /// Gives the space that removed tasks and pruned history took back to the file system. The mesh
    /// works on meanwhile.
    ///
    /// # Errors
    /// As for [`Client::backup`]; `unavailable` if there is no room for the copy, too.
    pub async fn compact(&self) -> Result<Compacted, Error> {
        self.visit(async move |session| {
            session.ask_patiently(Repeat::Harmless, admin::compact).await
        })
        .await
    }
}
