//! `remit members` and `remit expel`: who belongs to the mesh, what each may do, and putting one out.

use clap::{Args, Subcommand};
use remit_client::{Caveat, Client, Facets, ItsTasks, MemberInfo};
use remit_core::grant::text::{caveat_text, moment, parse_caveat};
use serde_json::json;

use crate::clock::now_ms;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::table::Keep;
use crate::show::text::{count, harmless, span};
use crate::show::{out, table};

/// List the members of the mesh, or change what one may do
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Members {
    /// One JSON object per line
    #[arg(long)]
    json: bool,

    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Let a client do this and nothing else, from now on
    Authorize {
        /// The client: its name, or its whole identity
        name: String,

        /// Facets with commas between, or a bundle, as in `remit invite --may`
        #[arg(value_name = "FACETS", value_parser = |text: &str| text.parse::<Facets>())]
        may: Facets,

        /// What narrows that, as in `remit invite --caveat`; may be given several times
        #[arg(long = "caveat", value_name = "CAVEAT", value_parser = caveat)]
        caveats: Vec<Caveat>,
    },
}

/// Put a member out of the mesh, at once and with all that it holds
///
/// Its connections end, its certificates are void, the references that it may restore or has saved
/// and the grants that it holds are revoked, invites for it or by it withdrawn, and its triggers
/// removed. The tasks that it created are paused: `remit resume` lets one go on.
#[derive(Debug, Args)]
pub(super) struct Expel {
    /// The client or node: its name, or its whole identity
    name: String,

    /// Why, for the audit
    #[arg(long, default_value = "expelled by hand")]
    reason: String,

    /// Cancel the tasks that it created
    #[arg(long, conflicts_with = "leave_tasks")]
    cancel_tasks: bool,

    /// Let the tasks that it created go on
    #[arg(long)]
    leave_tasks: bool,
}

impl Members {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = match &self.action {
            Some(Action::Authorize { name, may, caveats }) => {
                authorize(&mesh.client, name, *may, caveats).await
            }
            None => self.list(&mesh.client, look).await,
        };
        mesh.leave().await;
        done
    }

    async fn list(&self, client: &Client, look: Look) -> Result<(), Fault> {
        let members = client.members().await?;
        if self.json {
            return members.iter().try_for_each(|member| out::json(&as_json(member)));
        }
        let now = now_ms();
        let rows: Vec<_> = members.iter().map(|member| row(member, now)).collect();
        let header = [
            ("MEMBER", Keep::End),
            ("MAY", Keep::Start),
            ("SINCE", Keep::Start),
            ("CERTIFICATE UNTIL", Keep::Start),
            ("SEEN", Keep::Start),
        ];
        table::lines(&header, &rows, look).iter().try_for_each(|line| out::line(line))
    }
}

impl Expel {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = self.expel(&mesh.client).await;
        mesh.leave().await;
        done
    }

    async fn expel(&self, client: &Client) -> Result<(), Fault> {
        let identity = named(client, &self.name).await?;
        let (tasks, stopped) = match (self.cancel_tasks, self.leave_tasks) {
            (true, _) => (ItsTasks::Cancel, "cancelled"),
            (_, true) => (ItsTasks::GoOn, "stopped"),
            _ => (ItsTasks::Pause, "paused"),
        };
        let went = client.expel(&identity, &self.reason, tasks).await?;
        let with_it = gone(&[
            (went.references, "reference", "revoked"),
            (went.grants, "grant", "revoked"),
            (went.invites, "invite", "withdrawn"),
            (went.triggers, "trigger", "removed"),
            (went.tasks, "task", stopped),
        ]);
        out::note(&format!("remit: {identity} is expelled{with_it}"));
        Ok(())
    }
}

/// What went with a member, of each kind how many; without what there was none of.
fn gone(kinds: &[(u32, &str, &str)]) -> String {
    let some = kinds.iter().filter(|(number, ..)| *number > 0);
    let each = some.map(|(number, what, how)| format!("{} {how}", count(*number as usize, what)));
    let all: Vec<String> = each.collect();
    if all.is_empty() { String::new() } else { format!("; {}", all.join(", ")) }
}

async fn authorize(
    client: &Client,
    name: &str,
    may: Facets,
    caveats: &[Caveat],
) -> Result<(), Fault> {
    let identity = named(client, name).await?;
    client.authorize(&identity, may, caveats).await?;
    out::note(&format!("remit: {identity} may {may} from now on"));
    Ok(())
}

async fn named(client: &Client, name: &str) -> Result<String, Fault> {
    let members = client.members().await?;
    find(members.iter().map(|member| &*member.identity), name, "members")
}

/// The one identity among these that has this name, or is it.
pub(super) fn find<'a>(
    among: impl Iterator<Item = &'a str>,
    name: &str,
    listed_by: &str,
) -> Result<String, Fault> {
    let fits = |identity: &&str| *identity == name || identity.rsplit('/').next() == Some(name);
    let found: Vec<&str> = among.filter(fits).collect();
    match found[..] {
        [one] => Ok(one.to_owned()),
        [] => Err(Fault::Failed(format!("there is no `{name}`: see `remit {listed_by}`"))),
        _ => Err(Fault::Failed(format!("say which one `{name}` is: {}", found.join(", ")))),
    }
}

/// Reads a caveat on what a member may do.
pub(super) fn caveat(text: &str) -> Result<Caveat, String> {
    match parse_caveat(text, now_ms()) {
        Ok(Caveat::Unknown(_)) => Err(format!(
            "`{text}` is no caveat: write for example until=7d, or create.arg.tools.*?=oneOf:fs"
        )),
        read => read.map_err(|not| not.to_string()),
    }
}

/// What a member may do, by the name of the bundle if it is one, and what narrows that.
pub(super) fn may(identity: &str, facets: &[String], caveats: &[Caveat]) -> String {
    let narrowed: Vec<String> = caveats.iter().map(caveat_text).collect();
    let narrowed =
        if narrowed.is_empty() { String::new() } else { format!("?{}", narrowed.join("&")) };
    format!("{}{}", facets_text(identity, facets), harmless(&narrowed))
}

fn facets_text(identity: &str, facets: &[String]) -> String {
    let set = Facets::known(facets.iter().map(String::as_str));
    match set.bundle() {
        Some(bundle) => bundle.to_owned(),
        None if !facets.is_empty() => harmless(&facets.join(",")),
        None if identity.contains("/client/") => "nothing".to_owned(),
        None => "as its role says".to_owned(),
    }
}

fn row(member: &MemberInfo, now_ms: u64) -> Vec<String> {
    let seen = match member.seen_ms {
        _ if member.expelled_ms != 0 => {
            format!("expelled {} by {}", moment(member.expelled_ms), member.expelled_by)
        }
        _ if member.connected => "now".to_owned(),
        0 => "never".to_owned(),
        seen_ms => format!("{} ago", span(now_ms.saturating_sub(seen_ms))),
    };
    let until = match member.certificate_ends_ms {
        0 => "not known".to_owned(),
        until_ms => moment(until_ms),
    };
    vec![
        harmless(&member.identity),
        may(&member.identity, &member.may, &member.caveats),
        moment(member.since_ms),
        until,
        harmless(&seen),
    ]
}

fn as_json(member: &MemberInfo) -> serde_json::Value {
    let expelled = (member.expelled_ms != 0).then(|| {
        json!({
            "atMs": member.expelled_ms, "by": member.expelled_by, "reason": member.reason,
        })
    });
    let caveats: Vec<String> = member.caveats.iter().map(caveat_text).collect();
    json!({
        "identity": member.identity, "may": member.may, "caveats": caveats, "by": member.by,
        "sinceMs": member.since_ms, "certificateEndsMs": member.certificate_ends_ms,
        "seenMs": member.seen_ms, "connected": member.connected, "expelled": expelled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_was_none_of_is_not_told() {
        let kinds = [(0, "grant", "revoked"), (1, "invite", "withdrawn"), (2, "task", "paused")];
        assert_eq!(gone(&kinds), "; 1 invite withdrawn, 2 tasks paused");
        assert_eq!(gone(&kinds[..1]), "");
    }

    #[test]
    fn an_ambiguous_name_is_refused() {
        let known = ["spiffe://home/default/client/a", "spiffe://home/default/tool-node/a"];
        assert_eq!(find(known.into_iter(), known[1], "members").unwrap(), known[1]);
        for name in ["a", "b", ""] {
            assert!(find(known.into_iter(), name, "members").is_err(), "{name}");
        }
    }
}
