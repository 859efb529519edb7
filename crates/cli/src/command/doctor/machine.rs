//! What can be looked at without a mesh: folders, file modes, space, sandbox, clock.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use remit_confine::{Launcher, Layer};

use super::Finding;
use crate::clock::now_ms;
use crate::home::Home;

/// Bytes below which the disk is nearly full, and below which it is full for a journal.
const LITTLE: u64 = 1 << 30;
const TOO_LITTLE: u64 = 64 << 20;

/// A moment that has passed for sure: the beginning of 2026, in milliseconds since 1970.
const PAST_MS: u64 = 1_767_225_600_000;

/// Files that are looked at in the search for keys; a home has a few dozen.
const MOST_FILES: usize = 10_000;

/// The first version of landlock that holds signals and abstract sockets.
const SIGNALS_ABI: i32 = 6;

pub(super) fn check(home: &Home) -> Vec<Finding> {
    let mut findings = vec![modes(home), space(home)];
    findings.extend(sandbox());
    findings.extend([user(), clock(now_ms())]);
    findings
}

/// Whether keys can be read by their owner alone.
fn modes(home: &Home) -> Finding {
    let what = "file modes";
    let dir = home.dir();
    if !dir.exists() {
        return Finding::ok(what, format!("{} is not there yet", dir.display()));
    }
    let mut left = MOST_FILES;
    let open = open_to_others(dir, &mut left);
    match open.first() {
        None => Finding::ok(what, format!("only you can read the keys in {}", dir.display())),
        Some(first) => Finding::fail(
            what,
            format!("others can read {} of the keys, {} among them", open.len(), first.display()),
            format!(
                "chmod -R go= {}; and invite those anew whose keys others may have",
                dir.display()
            ),
        ),
    }
}

fn open_to_others(dir: &Path, left: &mut usize) -> Vec<PathBuf> {
    let mut open = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        *left = left.saturating_sub(1);
        let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
        if *left == 0 {
            break;
        }
        if metadata.is_dir() {
            open.extend(open_to_others(&path, left));
        } else if is_key(&path) && metadata.mode() & 0o077 != 0 {
            open.push(path);
        }
    }
    open
}

fn is_key(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.contains("key") || name == "credential.pem" || name.ends_with(".invite")
}

fn space(home: &Home) -> Finding {
    let what = "disk space";
    let place = home.dir().ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let free = match rustix::fs::statvfs(place) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            return Finding::warn(what, error.to_string(), "see that the disk is mounted");
        }
    };
    let found = format!("{} MiB free for {}", free >> 20, home.dir().display());
    let mend = "free some space: when the disk is full no new work is accepted";
    match free {
        TOO_LITTLE.. if free >= LITTLE => Finding::ok(what, found),
        TOO_LITTLE.. => Finding::warn(what, found, mend),
        _ => Finding::fail(what, found, mend),
    }
}

/// The layers that confine agents and the programs that tools start.
fn sandbox() -> Vec<Finding> {
    let layers = match Launcher::own().probe() {
        Ok(layers) => layers,
        Err(error) => {
            let mend = "end processes or raise the limit on them: nodes cannot start programs";
            return vec![Finding::fail("sandbox", error.to_string(), mend)];
        }
    };
    let finding = |layer: Layer| {
        let what = layer.name();
        match layer {
            _ if !layers.has(layer) => Finding::warn(what, "not available", layer.lack()),
            Layer::Landlock if layers.landlock_abi < SIGNALS_ABI => Finding::warn(
                what,
                format!("version {}, without signals and abstract sockets", layers.landlock_abi),
                "use Linux 6.12 or later",
            ),
            Layer::Landlock => {
                Finding::ok(what, format!("available, version {}", layers.landlock_abi))
            }
            _ => Finding::ok(what, "available"),
        }
    };
    Layer::ALL.map(finding).into()
}

fn user() -> Finding {
    let what = "user";
    if rustix::process::geteuid().is_root() {
        return Finding::warn(
            what,
            "this is root",
            "run nodes as a user of their own, who may do less",
        );
    }
    Finding::ok(what, "not root")
}

fn clock(now_ms: u64) -> Finding {
    let (what, found) = ("clock", remit_core::grant::text::moment(now_ms));
    if now_ms < PAST_MS {
        let mend = "set the clock: certificates and expiries go by it";
        return Finding::fail(what, format!("it says {found}, which has long passed"), mend);
    }
    Finding::ok(what, found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::command::doctor::Grade;

    #[test]
    fn a_key_that_others_can_read_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        fs::create_dir(dir.path().join("client")).unwrap();
        let key = dir.path().join("client/credential.pem");
        fs::write(&key, "secret").unwrap();
        for (mode, grade) in [(0o600, Grade::Ok), (0o640, Grade::Fail)] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(modes(&home).grade, grade, "{mode:o}");
        }
    }

    #[test]
    fn a_clock_that_stands_in_the_past_is_found() {
        assert_eq!(clock(0).grade, Grade::Fail);
        assert_eq!(clock(PAST_MS).grade, Grade::Ok);
    }
}
