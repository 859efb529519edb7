//! `remit revoke`: takes authority back.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{Client, GrantId, Selection};

use super::task::{Among, choose};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::text::count;

/// Take grants back, with all that was narrowed from them; calls in flight are cancelled
///
/// One grant of a task, or every grant that fits the flags. It is on disk when the command ends.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The task and its grant, by name or number
    #[arg(num_args = 2, value_names = ["TASK", "GRANT"], conflicts_with_all = ["of_task", "holder", "tool", "manifest"])]
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    one: Vec<String>,

    /// Every grant of this task
    #[arg(long = "task", value_name = "TASK")]
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    of_task: Option<String>,

    /// Every grant held by this identity, or task:ID
    #[arg(long)]
    holder: Option<String>,

    /// Every grant of this tool
    #[arg(long)]
    #[arg(add = ArgValueCandidates::new(complete::tools))]
    tool: Option<String>,

    /// Every grant of a tool with this manifest: its SHA-256 in hexadecimal
    #[arg(long, value_parser = hash)]
    manifest: Option<[u8; 32]>,

    /// Why, for the log
    #[arg(long, default_value = "taken back by hand")]
    reason: String,
}

impl Revoke {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = match &self.one[..] {
            [task, grant] => self.revoke_one(&mesh.client, task, grant).await,
            _ => self.revoke_all(&mesh.client).await,
        };
        mesh.leave().await;
        done
    }

    async fn revoke_one(&self, client: &Client, task: &str, named: &str) -> Result<(), Fault> {
        let task = choose(client, Some(task), Among::Every).await?;
        let grants = task.grants().await?;
        let number = named.trim_start_matches('#').parse().ok().map(GrantId);
        let meant = grants
            .iter()
            .find(|grant| grant.name == named || Some(grant.grant) == number)
            .ok_or_else(|| {
                Fault::Failed(format!(
                    "the task has no grant `{named}`: `remit grants {}` shows what it has",
                    task.id()
                ))
            })?;
        task.revoke(meant.grant, &self.reason).await?;
        out::note(&format!("remit: grant #{} of {} is taken back", meant.grant, task.id()));
        Ok(())
    }

    async fn revoke_all(&self, client: &Client) -> Result<(), Fault> {
        let task = match &self.of_task {
            Some(named) => Some(choose(client, Some(named), Among::Every).await?.id()),
            None => None,
        };
        let which = Selection {
            task,
            holder: self.holder.clone().unwrap_or_default(),
            tool: self.tool.clone().unwrap_or_default(),
            manifest: self.manifest,
        };
        if which == Selection::default() {
            return Err(Fault::Usage(
                "say what to take back: TASK GRANT, or --task, --holder, --tool, --manifest".into(),
            ));
        }
        let revoked = client.revoke_all(&which, &self.reason).await?;
        for holding in &revoked {
            out::line(&format!("{} #{}", holding.task, holding.grant.grant))?;
        }
        let are = if revoked.len() == 1 { "is" } else { "are" };
        let many = count(revoked.len(), "grant");
        out::note(&format!("remit: {many} {are} taken back"));
        Ok(())
    }
}

/// 32 bytes in hexadecimal.
fn hash(text: &str) -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| "a manifest's hash is 64 hexadecimal digits: `remit audit` shows it")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn a_hash_is_read_and_a_sign_is_no_digit() {
        assert_eq!(hash(&"0f".repeat(32)), Ok([15; 32]));
        for wrong in ["+f".repeat(32), "0f".repeat(31), "0f".repeat(33), "\u{e9}".repeat(32)] {
            assert!(hash(&wrong).is_err(), "{wrong}");
        }
    }
}
