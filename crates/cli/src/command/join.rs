//! `remit join`: becomes a client of a mesh elsewhere.

use std::path::Path;

use clap::Args;
use remit_client::Client;

use crate::fault::{Fault, doing};
use crate::mesh::Place;
use crate::show::out;

/// Join a mesh elsewhere as a client, with a line from `remit invite --role client`
#[derive(Debug, Args)]
pub(super) struct Join {
    /// The line. It works once
    line: String,
}

impl Join {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        place.home.make()?;
        // Which folder it will be is known when the line was read, which joining does.
        let fresh = place.home.joined("fresh");
        clear(&fresh)?;
        let address = Client::join(&self.line, &fresh).await?;
        let folder = place.home.joined(&address);
        clear(&folder)?;
        std::fs::rename(&fresh, &folder).map_err(doing(format_args!(
            "the credential cannot be moved to {}",
            folder.display()
        )))?;
        let joined = Place { home: place.home.clone(), address: Some(address) };
        out::note(&format!("remit: joined. Use the mesh with: {} ps", joined.command()));
        Ok(())
    }
}

/// Makes way for a credential.
fn clear(folder: &Path) -> Result<(), Fault> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)
            .map_err(doing(format_args!("{} cannot be replaced", folder.display())))?;
    }
    Ok(())
}
