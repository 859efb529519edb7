//! `remit invite`: a line by which someone can join the mesh.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use remit_authority::Authority;
use remit_client::{Caveat, Client, Facets, Role};
use remit_core::MemberGrant;
use remit_orchestrator::config::Config;
use remit_orchestrator::node::invite_at_rest;
use remit_orchestrator::services::membership::NewInvite;

use super::members::caveat;
use crate::clock;
use crate::fault::{Fault, doing};
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Print a line with which a node or a client can join the mesh that runs, once
///
/// The line lets its holder join in its role and name: send it as you would a password. It gives no
/// more than you may do yourself.
#[derive(Debug, Args)]
pub(super) struct Invite {
    /// What it will be: client, agent-node or tool-node
    #[arg(long, value_parser = |text: &str| text.parse::<Role>())]
    role: Role,

    /// How it will be called
    #[arg(long)]
    name: String,

    /// What a client may do: facets with commas between (members, nodes, create, own, view, steer,
    /// decide, audit, backup), or admin, operator, member, viewer, approver, auditor; by default
    /// member: create tasks, and see and steer its own
    #[arg(long, value_name = "FACETS", value_parser = |text: &str| text.parse::<Facets>())]
    may: Option<Facets>,

    /// What narrows that, in the form of caveats on grants (docs/caveats.md) with a facet in place of a
    /// method: until=7d, create.arg.tools.*?=oneOf:fs, view.arg.name=glob:release-*. May be given
    /// several times; what narrows you narrows it too
    #[arg(long = "caveat", value_name = "CAVEAT", value_parser = caveat)]
    caveats: Vec<Caveat>,

    /// The name is or was a member's: who joins takes its place, and older certificates are void
    #[arg(long)]
    again: bool,

    /// How long the line can be used: 90s, 10m, 2h, 7d
    #[arg(long, default_value = "10m", value_parser = clock::span)]
    ttl: Duration,

    /// Make it on the folder of an orchestrator that does not run now: the way back when no
    /// administrator can connect
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// With --data: where the orchestrator will be reached, host:port
    #[arg(long, value_name = "ADDRESS", requires = "data", default_value = "127.0.0.1:7474")]
    address: String,
}

impl Invite {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        if let Some(data) = &self.data {
            let grant = MemberGrant::validated(self.may(), self.caveats.clone());
            let grant = grant.map_err(|failure| Fault::Failed(failure.message))?;
            let (role, name) = (self.role, self.name.clone());
            let wanted = NewInvite { role, name, grant, again: self.again, ttl: self.ttl };
            return out::line(&at_rest(data, &self.address, wanted).await?);
        }
        let Some(mesh) = Mesh::find(place).await? else {
            return Err(Fault::Failed(format!(
                "no mesh runs for {}, so there is nothing to join: start one with `remit up`",
                place.home.dir().display()
            )));
        };
        let invite = remit_client::Invite {
            may: self.may(),
            caveats: self.caveats.clone(),
            again: self.again,
            ttl: self.ttl,
            ..remit_client::Invite::new(self.role, &self.name)
        };
        let waited = waits(&mesh.client, self.role, &self.name).await;
        let line = mesh.client.invite_as(&invite).await?;
        if let Some(identity) = waited {
            out::note(&format!(
                "remit: the earlier invite for {identity} is void: this one takes its place"
            ));
        }
        out::line(&line)
    }

    fn may(&self) -> Facets {
        let usual = if self.role == Role::Client { Facets::MEMBER } else { Facets::NONE };
        self.may.unwrap_or(usual)
    }
}

/// The identity that is invited, if an invite for it waits already.
async fn waits(client: &Client, role: Role, name: &str) -> Option<String> {
    let invites = client.invites().await.unwrap_or_default();
    let end = format!("/{role}/{name}");
    invites.into_iter().map(|invite| invite.identity).find(|identity| identity.ends_with(&end))
}

/// An invite that is made on the folder `data` of an orchestrator that does not run.
pub(crate) async fn at_rest(
    data: &Path,
    address: &str,
    wanted: NewInvite,
) -> Result<String, Fault> {
    let mesh = Authority::mesh_of(&data.join("authority"))
        .map_err(doing(format_args!("{} is no orchestrator's folder", data.display())))?;
    let config =
        Config { data: data.to_owned(), advertise: address.to_owned(), mesh, ..Config::default() };
    let invite = invite_at_rest(&config, wanted).await;
    invite.map(|invite| invite.to_string()).map_err(|error| Fault::Failed(error.to_string()))
}
