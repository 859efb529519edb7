//! Damage of the journal that is known, for people who look: losses that nobody has accepted, and what
//! the last check found.

use remit_core::Failure;
use tokio::sync::watch;

use remit_journal::{Journal, JournalError};

/// What is known to be damaged.
#[derive(Debug)]
pub struct Damage(watch::Sender<Vec<String>>);

impl Default for Damage {
    fn default() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }
}

impl Damage {
    /// Takes note of what is known now, in words for a person; empty: nothing is damaged.
    pub fn note(&self, found: Vec<String>) {
        self.0.send_replace(found);
    }

    /// What is known, as it changes.
    pub fn known(&self) -> watch::Receiver<Vec<String>> {
        self.0.subscribe()
    }
}

/// The losses that nobody has accepted, in words.
pub(crate) fn of_losses(journal: &dyn Journal) -> Result<Vec<String>, Failure> {
    let lost = journal.lost().map_err(JournalError::into_failure)?;
    Ok(lost.iter().map(|lost| lost.in_words()).collect())
}
