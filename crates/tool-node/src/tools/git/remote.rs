//! Clones over https: by the `git` program, told to trust and to run nothing.

use std::collections::BTreeMap;
use std::path::Path;

use remit_confine::{Network, Policy};

use crate::kit::{CallContext, Failure, fail};
use crate::limits;
use crate::tools::confiner::Confiner;
use crate::tools::process::{self, Program};

/// Settings that take away what a server, or a file on this machine, could make the program do.
const SETTINGS: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "protocol.allow=never",
    "protocol.https.allow=always",
    "http.followRedirects=false",
    "submodule.recurse=false",
];

/// Clones `url` into the empty directory `into`, without files: those are made without filters. The
/// program reaches that directory and the network.
pub(super) async fn fetch(
    git: &Path,
    url: &str,
    into: &Path,
    confiner: &Confiner,
    call: &CallContext,
) -> Result<(), Failure> {
    if !git.is_file() {
        return Err(fail::unavailable(format!(
            "there is no program `{}` to clone over https with: its operator must install git",
            git.display()
        )));
    }
    let dir = std::fs::File::open(into)
        .map_err(|error| fail::failed(format!("the directory for the clone: {error}")))?;
    let program = Program {
        path: git.to_owned(),
        args: args(url, into)?,
        policy: Policy { network: Network::Host, ..Policy::in_folder(into) },
        dir: dir.into(),
        env: environment(),
        proxy: None,
        stdin: Vec::new(),
        timeout: limits::CLONE_TIME,
        output_bytes: limits::CLONE_OUTPUT,
    };
    let ended = process::run(program, confiner, call).await?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    Err(fail::failed(format!("the clone of `{url}` failed ({}): {said}", ended.status)))
}

fn args(url: &str, into: &Path) -> Result<Vec<String>, Failure> {
    let Some(into) = into.to_str() else {
        return Err(fail::failed(format!("the directory `{}` is no text", into.display())));
    };
    let settings = SETTINGS.iter().flat_map(|setting| ["-c", setting]);
    let clone =
        ["clone", "--no-checkout", "--no-recurse-submodules", "--template=", "--quiet", "--"];
    Ok(settings.chain(clone).chain([url, into]).map(str::to_owned).collect())
}

fn environment() -> BTreeMap<String, String> {
    let settings = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", "/nonexistent"),
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_LFS_SKIP_SMUDGE", "1"),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
