//! `remit types`: declarations of TypeScript for a script's grants.

use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use remit_client::{GrantRoot, GrantSpec, ToolInfo};

use crate::clock::now_ms;
use crate::complete;
use crate::declare::{self, Granted};
use crate::embedded::Parts;
use crate::fault::{Fault, doing};
use crate::grants;
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::text::harmless;
use crate::tools;

/// Write TypeScript declarations of what a script is granted
///
/// With them an editor completes `remit.<grant>.<method>`, and `tsc` checks the script. Methods that a
/// grant's `methods` excludes are left out.
#[derive(Debug, Args)]
pub(super) struct Types {
    /// The script whose grants are meant: those of the file of grants beside it
    file: Option<PathBuf>,

    /// A capability: name=tool[@version][:path][?caveat&...], as for `remit run`
    #[arg(long, value_name = "NAME=TOOL", conflicts_with = "grants")]
    #[arg(add = ArgValueCompleter::new(complete::grants))]
    grant: Vec<String>,

    /// A file of grants
    #[arg(long, value_name = "FILE")]
    grants: Option<PathBuf>,

    /// Where to write them; by default standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Types {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        if self.grant.is_empty() && self.grants.is_none() && self.file.is_none() {
            return Err(Fault::Usage(
                "say whose grants are meant: name a script, --grants FILE or --grant NAME=TOOL"
                    .into(),
            ));
        }
        let script = self.file.as_deref().unwrap_or(Path::new(""));
        let granted = grants::collect(&self.grant, self.grants.as_deref(), script, now_ms())?;
        let text = declarations(&granted, place).await?;
        match self.out {
            Some(file) => std::fs::write(&file, text).map_err(doing(file.display())),
            None => out::line(text.trim_end()),
        }
    }
}

/// The declarations for a script with these grants, from the tools of the mesh.
pub(super) async fn declarations(granted: &[GrantSpec], place: &Place) -> Result<String, Fault> {
    let mut mesh = Mesh::reach(place, Parts::All).await?;
    let client = mesh.client.clone();
    let look = async {
        tools::wait_for(&client, granted, place).await?;
        Ok(client.tools().await?)
    };
    let found = mesh.tending(place, look).await;
    mesh.leave().await;
    text(granted, &found?)
}

fn text(granted: &[GrantSpec], tools: &[ToolInfo]) -> Result<String, Fault> {
    let each = granted.iter().filter_map(|grant| match &grant.root {
        GrantRoot::Tool { tool, version, path } => Some((grant, tool, version, path)),
        GrantRoot::Own(_) => None,
    });
    let mut all = Vec::new();
    for (grant, tool, version, path) in each {
        let Some(offer) = tools::offer(tools, tool, version) else {
            let tool = harmless(tool);
            return Err(Fault::Failed(format!(
                "the tool `{tool}` has gone meanwhile: run this again when `remit tools` shows it"
            )));
        };
        let (name, caveats) = (&grant.name, &grant.caveats);
        all.push(Granted { name, manifest: &offer.manifest, path, caveats });
    }
    Ok(declare::script(&all))
}
