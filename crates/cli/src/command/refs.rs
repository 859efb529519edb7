//! `remit refs`: what was saved, and taking it back.

use std::collections::HashMap;
use std::io::Read as _;

use clap::{Args, Subcommand};
use remit_client::{Client, RefInfo, Reference};
use remit_core::grant::text::parse_caveat;

use super::task::reference;
use crate::clock;
use crate::embedded::Parts;
use crate::fault::{Fault, doing};
use crate::grants;
use crate::limits;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::table::Keep;
use crate::show::text::harmless;
use crate::show::{listed, out, table};

/// List the tasks and grants that were saved, or revoke one
#[derive(Debug, Args)]
pub(super) struct Refs {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every one, oldest first
    List {
        /// One JSON object a line, for programs
        #[arg(long)]
        json: bool,
    },
    /// Take one back: it restores nothing any more, and what was obtained with it is cut
    Revoke {
        /// Its id, as `remit refs` shows it, or so much of its beginning that no other begins so
        id: String,

        /// Why, for the log
        #[arg(long, default_value = "revoked by hand")]
        reason: String,
    },
    /// Print a weaker reference, made without asking anyone
    Narrow {
        /// The reference, or @ and the name under which it is kept
        reference: String,

        /// What it may still do, as in a grant: methods=read,list&calls=100&until=10m
        caveats: String,
    },
    /// Keep one beside your credential; commands then take @NAME in place of the line
    Keep {
        /// A name of letters, digits, `-`, `_` and `.`
        name: String,

        /// The reference; if it is left out, it is read from standard input
        line: Option<String>,
    },
    /// Keep one no longer; it stays good
    Forget {
        /// Its name
        name: String,
    },
}

impl Refs {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        // Whoever has the line needs nobody to narrow it.
        if let Some(What::Narrow { reference: line, caveats }) = &self.what
            && let Ok(reference) = line.parse()
        {
            return narrow(&reference, caveats);
        }
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = match &self.what {
            Some(What::Revoke { id, reason }) => revoke(&mesh, id, reason).await,
            Some(What::Narrow { reference: named, caveats }) => {
                reference(&mesh.client, named).and_then(|kept| narrow(&kept, caveats))
            }
            Some(What::Keep { name, line }) => keep(&mesh.client, name, line.as_deref()),
            Some(What::Forget { name }) => mesh.client.forget(name).map_err(Fault::from),
            Some(What::List { json: true }) => mesh
                .client
                .refs()
                .await
                .map_err(Fault::from)
                .and_then(|saved| listed::print(&saved, listed::reference)),
            Some(What::List { json: false }) | None => list(&mesh, look).await,
        };
        mesh.leave().await;
        done
    }
}

/// The digits of a whole id.
const WHOLE_ID: usize = 32;

/// The fewest that stand for the whole, so that a slip hits no reference.
const SHORTEST: usize = 4;

/// The one reference whose id begins so.
fn meant(begins: &str, saved: &[RefInfo]) -> Result<String, Fault> {
    if begins.len() >= WHOLE_ID {
        return Ok(begins.to_owned());
    }
    if begins.len() < SHORTEST {
        let why = format!("`{begins}` is too short: give at least {SHORTEST} digits of the id");
        return Err(Fault::Usage(why));
    }
    let begins_so = |saved: &&RefInfo| saved.id.starts_with(begins);
    let mut fitting = saved.iter().filter(begins_so);
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one.id.clone()),
        (None, _) => Err(Fault::Failed(format!(
            "no reference has an id that begins with `{begins}`: `remit refs` lists them"
        ))),
        (Some(_), Some(_)) => {
            let shown = |saved: &RefInfo| format!("  {}  {}", saved.id, harmless(&saved.label));
            let fitting = saved.iter().filter(begins_so).take(limits::AMBIGUOUS);
            let lines: Vec<String> = fitting.map(shown).collect();
            Err(Fault::Usage(format!(
                "`{begins}` may be any of these; give more of the id:\n{}",
                lines.join("\n")
            )))
        }
    }
}

async fn revoke(mesh: &Mesh, begins: &str, reason: &str) -> Result<(), Fault> {
    let begins = begins.to_ascii_lowercase();
    let saved = match begins.len() >= WHOLE_ID {
        true => Vec::new(),
        false => mesh.client.refs().await?,
    };
    let id = meant(&begins, &saved)?;
    mesh.client.revoke_ref(&id, reason).await?;
    out::note(&format!("remit: the reference {id} is revoked"));
    Ok(())
}

fn narrow(reference: &Reference, caveats: &str) -> Result<(), Fault> {
    let read = |part: &str| {
        parse_caveat(part, clock::now_ms()).map_err(|not| Fault::Usage(not.to_string()))
    };
    let caveats = caveats.split('&').filter(|part| !part.is_empty()).map(read);
    let caveats: Vec<_> = caveats.collect::<Result<_, _>>()?;
    grants::known(&caveats).map_err(Fault::Usage)?;
    let narrowed = reference.attenuate(&caveats);
    out::line(&narrowed.map_err(|not| Fault::Usage(not.to_string()))?.to_line())
}

fn keep(client: &Client, name: &str, line: Option<&str>) -> Result<(), Fault> {
    let line = match line {
        Some(line) => line.to_owned(),
        None => std::io::read_to_string(std::io::stdin().take(limits::REFERENCE_LINE))
            .map_err(doing("standard input cannot be read"))?,
    };
    client.keep(name, &reference(client, line.trim())?)?;
    out::note(&format!("remit: kept; commands take it as @{name}"));
    Ok(())
}

/// Under which names references are kept, by their ids.
fn kept(client: &Client) -> Result<HashMap<String, String>, Fault> {
    let mut kept = HashMap::new();
    for name in client.kept_names()? {
        if let Some(reference) = client.kept(&name)? {
            kept.insert(reference.id().to_string(), format!("@{name}"));
        }
    }
    Ok(kept)
}

async fn list(mesh: &Mesh, look: Look) -> Result<(), Fault> {
    let saved = mesh.client.refs().await?;
    if saved.is_empty() {
        out::note("remit: nothing was saved; `remit save TASK --label WHAT-FOR` saves a task");
        return Ok(());
    }
    let kept = kept(&mesh.client)?;
    let rows: Vec<Vec<String>> = saved
        .iter()
        .map(|saved| {
            let what = match (saved.grant, saved.viewer) {
                (Some(grant), _) => format!("grant {grant} of {}", saved.task),
                (None, true) => format!("viewer of {}", saved.task),
                (None, false) => saved.task.to_string(),
            };
            let (label, uses) = (harmless(&saved.label), saved.uses.to_string());
            let kept = kept.get(&saved.id).cloned().unwrap_or_default();
            let (id, state) = (saved.id.clone(), saved.state.clone());
            vec![id, state, uses, what, saved.owner.clone(), kept, label]
        })
        .collect();
    let header = [
        ("ID", Keep::Start),
        ("STATE", Keep::All),
        ("USES", Keep::All),
        ("WHAT", Keep::End),
        ("OWNER", Keep::End),
        ("KEPT", Keep::Start),
        ("LABEL", Keep::Start),
    ];
    table::lines(&header, &rows, look).iter().try_for_each(|line| out::line(line))
}

#[cfg(test)]
mod tests {
    use remit_client::TaskId;

    use super::*;

    fn saved(id: &str, label: &str) -> RefInfo {
        RefInfo {
            id: id.into(),
            label: label.into(),
            owner: String::new(),
            by: String::new(),
            task: TaskId::from_bytes([1; 16]),
            grant: None,
            viewer: false,
            created_ms: 0,
            until_ms: None,
            uses: 0,
            state: String::new(),
        }
    }

    #[test]
    fn reference_is_meant_by_a_beginning_that_no_other_has() {
        let (one, other) = ("0123456789abcdef0123456789abcdef", "0123ff6789abcdef0123456789abcdef");
        let all = [saved(one, "first"), saved(other, "second")];
        assert_eq!(meant("01234", &all).unwrap(), one);
        assert_eq!(meant(other, &[]).unwrap(), other, "a whole id needs no list");
        let ambiguous = meant("0123", &all).unwrap_err().to_string();
        for part in [one, other, "first", "second"] {
            assert!(ambiguous.contains(part), "{ambiguous}");
        }
        assert!(meant("012", &all).is_err() && meant("ffff", &all).is_err());
    }
}
