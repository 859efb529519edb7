//! What the mesh says of itself: certificates, clocks, journal, nodes, tools.

use std::time::SystemTime;

use remit_client::{Client, Credential, Health, NodeInfo};

use super::Finding;
use crate::clock::{ms, now_ms};
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::text::{count, harmless, span};

/// How far two clocks may be apart before certificates of one look wrong to the other.
const SKEW_MS: u64 = 30_000;

/// A turn of the orchestrator's vat that a person notices, in microseconds.
const LONG_TURN_US: u64 = 1_000_000;

/// A commit that takes longer than this is felt: disks answer within some milliseconds.
const SLOW_FLUSH_US: u64 = 100_000;

pub(super) async fn check(mesh: &Mesh, place: &Place) -> Vec<Finding> {
    let mut findings = vec![reached(place), own_certificate(place)];
    match mesh.client.health().await {
        Ok(health) => findings.extend(health_of(&health, now_ms())),
        Err(error) => {
            findings.push(Finding::fail("orchestrator", error.to_string(), see_log(place)));
        }
    }
    match nodes_and_tools(&mesh.client).await {
        Ok(more) => findings.extend(more),
        Err(fault) => findings.push(Finding::fail(
            "nodes",
            fault.message().unwrap_or_default(),
            "see the orchestrator's log",
        )),
    }
    findings
}

/// Where the orchestrator's log is.
fn see_log(place: &Place) -> String {
    match &place.address {
        Some(address) => format!("see the log of the orchestrator at {address}"),
        None => format!("see its log, {}", place.home.log("orchestrator").display()),
    }
}

fn reached(place: &Place) -> Finding {
    let seen = || place.home.seen().map(|seen| seen.address);
    let address = place.address.clone().or_else(seen).unwrap_or_default();
    Finding::ok("port", format!("{address} answers"))
}

fn own_certificate(place: &Place) -> Finding {
    let what = "own certificate";
    let folder =
        place.address.as_ref().map_or_else(|| place.home.client(), |a| place.home.joined(a));
    let mend = "get another: `remit join LINE` with a line from `remit invite --role client`";
    match Credential::load(&folder) {
        Ok(Some(credential)) => {
            let left = ms(credential.not_after()).saturating_sub(ms(SystemTime::now()));
            let found = format!("{}, good for {}", credential.identity(), span(left));
            if left == 0 {
                Finding::fail(what, "it has expired", mend)
            } else {
                Finding::ok(what, found)
            }
        }
        Ok(None) => Finding::fail(what, format!("none in {}", folder.display()), mend),
        Err(error) => Finding::fail(what, format!("{}: {error}", folder.display()), mend),
    }
}

fn health_of(health: &Health, now_ms: u64) -> Vec<Finding> {
    let tasks = usize::try_from(health.tasks).unwrap_or(usize::MAX);
    let version = harmless(&health.version);
    let unfinished = match tasks {
        1 => "1 task that has not ended".to_owned(),
        _ => format!("{tasks} tasks that have not ended"),
    };
    let about = format!("version {version}, {unfinished}");
    let skew = health.time_ms.abs_diff(now_ms);
    let apart = format!("{} apart", span(skew));
    let left = health.certificate_ends_ms.saturating_sub(now_ms);
    vec![
        Finding::ok("orchestrator", about),
        if skew > SKEW_MS {
            let mend = "set both clocks by a time server: certificates and expiries go by them";
            Finding::fail("clocks, here and there", apart, mend)
        } else {
            Finding::ok("clocks, here and there", apart)
        },
        if left == 0 {
            let mend = "restart the orchestrator, and see its log for why it was not renewed";
            Finding::fail("orchestrator's certificate", "it has expired", mend)
        } else {
            Finding::ok("orchestrator's certificate", format!("good for {}", span(left)))
        },
        journal(health),
        turns(health),
    ]
    .into_iter()
    .chain(damage(health))
    .chain(cut_off(health))
    .collect()
}

/// What is lost or damaged, if anything is.
fn damage(health: &Health) -> Option<Finding> {
    let found: Vec<String> = health.damage.iter().map(|what| harmless(what)).collect();
    let mend = "restore a backup (`remit restore`), or stop the orchestrator and accept the loss (`remit verify --accept-loss`); `remit verify` says all of it";
    (!found.is_empty()).then(|| Finding::fail("journal, as it was checked", found.join("; "), mend))
}

/// Peers that took more than a connection may, if any did.
fn cut_off(health: &Health) -> Option<Finding> {
    let peers = usize::try_from(health.cut_off).unwrap_or(usize::MAX);
    let found = format!("{} ended over a bound", count(peers, "connection"));
    let mend = "`remit audit --decision cut-off` names the peers and the bounds";
    (peers > 0).then(|| Finding::warn("connections", found, mend))
}

/// Turns in which the orchestrator served one piece of work for longer than 10 ms.
fn turns(health: &Health) -> Finding {
    let what = "turns";
    let found = match health.long_turns {
        0 => "none took more than 10 ms".to_owned(),
        long => format!(
            "{long} took more than 10 ms, the longest {} ms",
            health.longest_turn_us / 1_000
        ),
    };
    if health.panics > 0 {
        let panics = usize::try_from(health.panics).unwrap_or(usize::MAX);
        let found = format!("{found}; {} ended in a panic", count(panics, "connection"));
        return Finding::warn(what, found, "report what its log says of them: it is a defect");
    }
    if health.longest_turn_us > LONG_TURN_US {
        let mend = "see its log for what took a turn so long";
        return Finding::warn(what, found, mend);
    }
    Finding::ok(what, found)
}

fn journal(health: &Health) -> Finding {
    let what = "journal";
    let took = match health.flush_us {
        0 => "nothing was written since its start".to_owned(),
        1..1_000 => "the last commit took less than 1 ms".to_owned(),
        us => format!("the last commit took {} ms", us / 1_000),
    };
    if health.journal != "ok" {
        let mend =
            "free space on its disk and restart the orchestrator; nothing acknowledged is lost";
        return Finding::fail(what, harmless(&health.journal), mend);
    }
    if health.flush_us > SLOW_FLUSH_US {
        return Finding::warn(what, took, "give the orchestrator's data folder a quicker disk");
    }
    Finding::ok(what, took)
}

async fn nodes_and_tools(client: &Client) -> Result<Vec<Finding>, Fault> {
    let nodes = client.nodes().await?;
    let tools = client.tools().await?;
    let mut findings = Vec::new();
    for (what, role, without) in [
        ("agent nodes", "agent-node", "tasks wait"),
        ("tool nodes", "tool-node", "only tasks that hold nothing can run"),
    ] {
        let names: Vec<String> =
            connected(&nodes, role).map(|node| harmless(&node.identity)).collect();
        findings.push(if names.is_empty() {
            let mend =
                format!("start one with `remit up` or `remit {role}`; see its log if it runs");
            Finding::fail(what, format!("none is connected, so {without}"), mend)
        } else {
            Finding::ok(what, names.join(", "))
        });
    }
    let names: Vec<String> = tools
        .iter()
        .filter(|tool| tool.available)
        .map(|tool| harmless(&tool.manifest.tool))
        .collect();
    findings.push(if names.is_empty() {
        Finding::warn("tools", "none is served", "configure some in remit.tools.toml")
    } else {
        Finding::ok("tools", names.join(", "))
    });
    Ok(findings)
}

fn connected<'a>(nodes: &'a [NodeInfo], role: &str) -> impl Iterator<Item = &'a NodeInfo> {
    nodes.iter().filter(move |node| node.role == role && node.state == "connected")
}

/// Whether there is an agent node and a tool node.
pub(super) fn has_both(nodes: &[NodeInfo]) -> bool {
    ["agent-node", "tool-node"].iter().all(|role| connected(nodes, role).next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::doctor::Grade;

    #[test]
    fn what_is_wrong_with_an_orchestrator_is_found() {
        let well = Health {
            version: "1".into(),
            time_ms: 1_000_000,
            journal: "ok".into(),
            flush_us: 100,
            tasks: 1,
            certificate_ends_ms: 2_000_000,
            webhooks: String::new(),
            long_turns: 0,
            longest_turn_us: 0,
            panics: 0,
            cut_off: 0,
            damage: Vec::new(),
        };
        let worst = |health: Health| {
            let findings = health_of(&health, 1_000_000);
            findings.into_iter().filter(|finding| finding.grade != Grade::Ok).collect::<Vec<_>>()
        };
        assert_eq!(worst(well.clone()), []);
        for (ill, what) in [
            (Health { time_ms: 2_000_000, ..well.clone() }, "clocks, here and there"),
            (Health { certificate_ends_ms: 1, ..well.clone() }, "orchestrator's certificate"),
            (Health { journal: "disk full".into(), ..well.clone() }, "journal"),
            (Health { flush_us: 200_000, ..well.clone() }, "journal"),
            (Health { damage: vec!["gone".into()], ..well }, "journal, as it was checked"),
        ] {
            let found = worst(ill);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].what, what);
            assert!(!found[0].mend.is_empty());
        }
    }
}
