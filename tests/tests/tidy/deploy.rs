//! The nodes can read the configuration files that operators copy.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expected")]

use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy")
}

#[test]
fn the_orchestrators_configuration_is_read() {
    let file = folder().join("orchestrator.toml");
    let config = remit_orchestrator::config::Config::read(&file).unwrap();
    assert_eq!(config.listen, "0.0.0.0:7474");
}

#[test]
fn the_agent_nodes_configuration_is_the_default() {
    let config = remit_agent_node::config::Config::read(&folder().join("agent-node.toml")).unwrap();
    let default = remit_agent_node::config::Config::default();
    assert_eq!(format!("{config:?}"), format!("{default:?}"));
}

#[test]
fn the_tool_nodes_configuration_is_read() {
    let file = folder().join("tool-node.toml");
    let config = remit_tool_node::config::Config::read(&file).unwrap();
    assert_eq!(config.labels, ["linux"]);
}

#[test]
fn every_unit_has_its_account_and_its_folder() {
    let accounts = fs::read_to_string(folder().join("sysusers.d/remit.conf")).unwrap();
    for node in ["orchestrator", "agent-node", "tool-node"] {
        let unit = folder().join(format!("systemd/remit-{node}.service"));
        let text = fs::read_to_string(unit).unwrap();
        for line in [
            format!("User=remit-{node}"),
            format!("StateDirectory=remit/{node}"),
            format!("ExecStart=/usr/local/bin/remit {node} "),
            // Without this line systemd gives up after five quick failures.
            "StartLimitIntervalSec=0".to_owned(),
        ] {
            assert!(text.contains(&line), "remit-{node}.service has no line with {line}");
        }
        assert!(accounts.contains(&format!("u remit-{node} ")), "no account for remit-{node}");
    }
}
