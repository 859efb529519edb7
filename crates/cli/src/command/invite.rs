//! `remit invite`: a line by which someone can join the mesh.

use std::time::Duration;

use clap::Args;
use remit_client::Role;

use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Print a line with which a node or a client can join the mesh that runs, once
///
/// Whoever has the line can join in its role and name: send it as you would a password.
#[derive(Debug, Args)]
pub(super) struct Invite {
    /// What it will be: client, agent-node or tool-node
    #[arg(long, value_parser = |text: &str| text.parse::<Role>())]
    role: Role,

    /// How it will be called
    #[arg(long)]
    name: String,

    /// How long the line can be used: 90s, 10m, 2h, 7d
    #[arg(long, default_value = "10m", value_parser = ttl)]
    ttl: Duration,
}

impl Invite {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let Some(mesh) = Mesh::find(place).await? else {
            return Err(Fault::Failed(format!(
                "no mesh runs for {}, so there is nothing to join: start one with `remit up`",
                place.home.dir().display()
            )));
        };
        out::line(&mesh.client.invite(self.role, &self.name, self.ttl).await?)
    }
}

fn ttl(text: &str) -> Result<Duration, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => 0,
    };
    text.get(..text.len().saturating_sub(1))
        .and_then(|count| count.parse::<u64>().ok())
        .and_then(|count| count.checked_mul(unit))
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| "write how long, for example 90s, 10m, 2h or 7d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_number_and_a_unit() {
        assert_eq!(ttl("10m"), Ok(Duration::from_secs(600)));
        for wrong in ["", "m", "10", "0s", "-1s", "1é", "99999999999999999999d"] {
            assert!(ttl(wrong).is_err(), "{wrong}");
        }
    }
}
