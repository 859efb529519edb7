//! `remit invites`: the invites that wait to be used.

use clap::{Args, Subcommand};
use remit_client::{Client, InviteInfo};
use remit_core::grant::text::{caveat_text, moment};
use serde_json::json;

use super::members::{find, may};
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::table::Keep;
use crate::show::text::harmless;
use crate::show::{out, table};

/// List the invites that wait to be used, or withdraw one
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Invites {
    /// One JSON object per line
    #[arg(long)]
    json: bool,

    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Withdraw an invite: joining with it is refused from then on
    Withdraw {
        /// Whom it is for: a name, or a whole identity
        name: String,
    },
}

impl Invites {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = match &self.action {
            Some(Action::Withdraw { name }) => withdraw(&mesh.client, name).await,
            None => self.list(&mesh.client, look).await,
        };
        mesh.leave().await;
        done
    }

    async fn list(&self, client: &Client, look: Look) -> Result<(), Fault> {
        let invites = client.invites().await?;
        if self.json {
            return invites.iter().try_for_each(|invite| out::json(&as_json(invite)));
        }
        if invites.is_empty() {
            out::note("remit: no invite waits to be used");
            return Ok(());
        }
        let row = |invite: &InviteInfo| {
            let again = if invite.again { "again" } else { "" };
            vec![
                harmless(&invite.identity),
                may(&invite.identity, &invite.may, &invite.caveats),
                moment(invite.until_ms),
                harmless(&invite.by),
                again.to_owned(),
            ]
        };
        let rows: Vec<_> = invites.iter().map(row).collect();
        let header = [
            ("FOR", Keep::End),
            ("MAY", Keep::Start),
            ("UNTIL", Keep::Start),
            ("BY", Keep::End),
            ("", Keep::All),
        ];
        table::lines(&header, &rows, look).iter().try_for_each(|line| out::line(line))
    }
}

async fn withdraw(client: &Client, name: &str) -> Result<(), Fault> {
    let invites = client.invites().await?;
    let identity = find(invites.iter().map(|invite| &*invite.identity), name, "invites")?;
    client.withdraw(&identity).await?;
    out::note(&format!("remit: the invite for {identity} is withdrawn"));
    Ok(())
}

fn as_json(invite: &InviteInfo) -> serde_json::Value {
    let caveats: Vec<String> = invite.caveats.iter().map(caveat_text).collect();
    json!({
        "identity": invite.identity, "may": invite.may, "caveats": caveats, "by": invite.by,
        "untilMs": invite.until_ms, "again": invite.again,
    })
}
