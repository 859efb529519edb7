//! Backup, verification and compaction of everything that a mesh stores.

use tokio::sync::mpsc;

use crate::client::Client;
use crate::error::Error;
use crate::serve::admin;
use crate::serve::session::Repeat;

/// How many records a backup or a verification read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalTotals {
    /// Number of tasks.
    pub tasks: u64,
    /// Number of events.
    pub events: u64,
    /// Number of bodies: large contents that are stored once, apart from the events that refer to
    /// them.
    pub bodies: u64,
    /// Number of snapshots.
    pub snapshots: u64,
}

/// The effect of a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Size of the store's files before the compaction, in bytes.
    pub before: u64,
    /// Their size after it, in bytes.
    pub after: u64,
}

impl Client {
    /// Streams a backup of the whole store to `pieces`. Each piece has at most one mebibyte; a full
    /// channel slows the mesh down (backpressure). The backup shows the store at the moment of the
    /// call, and is complete when this returns. The mesh works on meanwhile. Dropping the receiver
    /// cancels the backup.
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
    /// [`Error::Failed`] with `denied` if this client lacks the facet `backup`, with `unavailable`
    /// if the journal cannot be read; [`Error::Unknown`] if the connection was lost: start again
    /// with a new file.
    pub async fn backup(&self, pieces: mpsc::Sender<Vec<u8>>) -> Result<JournalTotals, Error> {
        self.visit(async move |session| {
            session.ask_patiently(Repeat::Harmful, |m| admin::backup(m, pieces.clone())).await
        })
        .await
    }

    /// Verifies the whole store: hash chains, checksums, bodies, counts, snapshots and lists.
    /// Returns how much was read, and one line for each damaged record; no lines: the store is
    /// intact. It reads everything, so it has no deadline.
    ///
    /// # Errors
    /// As for [`Client::backup`].
    pub async fn verify(&self) -> Result<(JournalTotals, Vec<String>), Error> {
        self.visit(async move |session| {
            session.ask_patiently(Repeat::Harmless, admin::verify).await
        })
        .await
    }

    /// Compacts the store, which returns the space of removed tasks and pruned history to the file
    /// system. The mesh works on meanwhile.
    ///
    /// # Errors
    /// As for [`Client::backup`]; also `unavailable` if the disk has no room for the copy.
    pub async fn compact(&self) -> Result<Compacted, Error> {
        self.visit(async move |session| {
            session.ask_patiently(Repeat::Harmless, admin::compact).await
        })
        .await
    }
}
