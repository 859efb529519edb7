//! A root folder that contains what a program may reach, and nothing else.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::layers::{Layer, Layers};
use crate::limits;
use crate::policy::{Access, Place, Policy};
use crate::sys::{self, NO_DEVICES, NO_EXECUTE, NO_SETUID, READ_ONLY};

/// A folder that every machine has. The new root is built over it.
const BASE: &str = "/tmp";

/// Links that programs expect.
const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/var/tmp", "/tmp"),
];

/// A mount in the new root.
struct Part {
    at: PathBuf,
    source: Source,
}

enum Source {
    /// A copy of a tree of mounts of the old root, which is a folder or a file.
    Tree { tree: OwnedFd, folder: bool },
    /// An empty folder in memory.
    Memory { bytes: u64, attributes: u64 },
}

/// Gives this process a mount namespace and a root folder for `program`.
pub(crate) fn make(policy: &Policy, program: &Path, layers: &Layers) -> io::Result<()> {
    sys::unshare(libc::CLONE_NEWNS)?;
    // Private, so that no mount here shows in the namespace of the node.
    sys::mount("none", Path::new("/"), libc::MS_REC | libc::MS_PRIVATE, "")?;
    let mut places = policy.places();
    let real = program.canonicalize().map_err(|error| at(program, error))?;
    places.push(Place { path: program.to_owned(), real, access: Access::Read });
    // A folder comes before the places below it. At one place the wider access comes last.
    places.sort_by(|a, b| (&a.real, a.access).cmp(&(&b.real, b.access)));
    let mut parts = copies(&places)?;
    let memory = |path: &Path, bytes, attributes| Part {
        at: path.to_owned(),
        source: Source::Memory { bytes, attributes },
    };
    let given = |path: &str| places.iter().any(|place| place.real == Path::new(path));
    for path in ["/tmp", "/dev/shm"].into_iter().filter(|path| !given(path)) {
        parts.push(memory(Path::new(path), policy.bounds.temp_bytes, NO_SETUID | NO_DEVICES));
    }
    for hidden in outermost(&policy.hidden) {
        let above = places.iter().rev().find(|place| hidden.starts_with(&place.real));
        if let Some(above) = above {
            parts.extend(held(&hidden, above)?);
            parts.push(if hidden.is_dir() {
                memory(&hidden, 4096, READ_ONLY)
            } else {
                covered(&hidden)?
            });
        }
    }
    parts.sort_by(|a, b| a.at.cmp(&b.at));
    sys::mount("tmpfs", Path::new(BASE), libc::MS_NOSUID | libc::MS_NODEV, "mode=0755,size=1m")?;
    for part in &parts {
        put(part).map_err(|error| at(&part.at, error))?;
    }
    for place in places.iter().filter(|place| place.path != place.real) {
        link(&place.path, &place.real)?;
    }
    for (path, to) in LINKS {
        link(Path::new(path), Path::new(to))?;
    }
    processes(policy, layers)?;
    sys::change_root(Path::new(BASE))?;
    sys::restrict_mount(File::open("/")?.as_fd(), READ_ONLY, false)
}

/// Whether this process, in a new mount namespace, may do what [`make`] does on this machine.
pub(crate) fn try_out() -> io::Result<()> {
    sys::mount("none", Path::new("/"), libc::MS_REC | libc::MS_PRIVATE, "")?;
    let tree = sys::clone_tree(Path::new("/usr"))?;
    sys::restrict_mount(tree.as_fd(), READ_ONLY, true)?;
    sys::mount("tmpfs", Path::new(BASE), libc::MS_NOSUID | libc::MS_NODEV, "mode=0755,size=1m")?;
    fs::create_dir(inside(Path::new("/usr")))?;
    sys::move_mount(tree.as_fd(), &inside(Path::new("/usr")))?;
    sys::change_root(Path::new(BASE))
}

/// The folders that exist, without those below another one: hiding the upper one hides them too,
/// and nothing can be mounted below it.
fn outermost(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut real: Vec<PathBuf> =
        folders.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
    real.sort();
    real.dedup_by(|below, above| below.starts_with(above));
    real
}

fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn inside(path: &Path) -> PathBuf {
    Path::new(BASE).join(path.strip_prefix("/").unwrap_or(path))
}

/// Copies the mounts of all places, without places that another one already shows with the same
/// access.
fn copies(places: &[Place]) -> io::Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut seen: Vec<&Place> = Vec::new();
    for place in places {
        let above = seen.iter().rev().find(|above| place.real.starts_with(&above.real));
        if above.is_some_and(|above| above.access >= place.access) {
            continue;
        }
        seen.push(place);
        let tree = copy(&place.real, attributes(place.access))?;
        let folder = place.real.is_dir();
        parts.push(Part { at: place.real.clone(), source: Source::Tree { tree, folder } });
    }
    Ok(parts)
}

/// The restrictions of a mount for this access.
const fn attributes(access: Access) -> u64 {
    match access {
        Access::Read => READ_ONLY | NO_SETUID | NO_DEVICES,
        Access::Write => NO_SETUID | NO_DEVICES,
        Access::Device => NO_SETUID | NO_EXECUTE,
    }
}

/// A copy of the mounts at `path`, restricted by `attributes`.
fn copy(path: &Path, attributes: u64) -> io::Result<OwnedFd> {
    let tree = sys::clone_tree(path).map_err(|error| at(path, error))?;
    sys::restrict_mount(tree.as_fd(), attributes, true).map_err(|error| at(path, error))?;
    Ok(tree)
}

/// The folders between a hidden place and the place that shows it, as mounts of their own. The
/// kernel refuses to rename a mount, and renaming such a folder would give the hidden place another
/// name for the next program.
fn held(hidden: &Path, above: &Place) -> io::Result<Vec<Part>> {
    let between = hidden.ancestors().skip(1).take_while(|folder| *folder != above.real);
    between
        .filter(|folder| folder.starts_with(&above.real))
        .map(|folder| {
            let tree = copy(folder, attributes(above.access))?;
            Ok(Part { at: folder.to_owned(), source: Source::Tree { tree, folder: true } })
        })
        .collect()
}

/// A device that cannot be opened, for covering a hidden file.
fn covered(file: &Path) -> io::Result<Part> {
    let tree = copy(Path::new("/dev/null"), READ_ONLY | NO_DEVICES | NO_EXECUTE | NO_SETUID)?;
    Ok(Part { at: file.to_owned(), source: Source::Tree { tree, folder: false } })
}

/// Mounts a part at its place, and creates the place if it does not exist.
fn put(part: &Part) -> io::Result<()> {
    let to = inside(&part.at);
    if fs::symlink_metadata(&to).is_err() {
        let above = to.parent().unwrap_or(Path::new(BASE));
        DirBuilder::new().recursive(true).mode(0o755).create(above)?;
        match &part.source {
            Source::Tree { folder: false, .. } => drop(File::create(&to)?),
            _ => fs::create_dir(&to)?,
        }
    }
    match &part.source {
        Source::Tree { tree, .. } => sys::move_mount(tree.as_fd(), &to),
        Source::Memory { bytes, attributes } => {
            let mode = if attributes & READ_ONLY == 0 { "1777" } else { "0555" };
            let options = format!("mode={mode},size={bytes},nr_inodes={}", limits::TEMP_FILES);
            sys::mount("tmpfs", &to, libc::MS_NOSUID | libc::MS_NODEV, &options)?;
            sys::restrict_mount(File::open(&to)?.as_fd(), *attributes, false)
        }
    }
}

/// Makes a link in the new root, unless the path exists already.
fn link(path: &Path, to: &Path) -> io::Result<()> {
    let link = inside(path);
    if fs::symlink_metadata(&link).is_ok() {
        return Ok(());
    }
    let made = || {
        let above = link.parent().unwrap_or(Path::new(BASE));
        DirBuilder::new().recursive(true).mode(0o755).create(above)?;
        symlink(to, &link)
    };
    made().map_err(|error| at(path, error))
}

/// Mounts a `/proc` of the program's own processes, and bounds their number.
fn processes(policy: &Policy, layers: &Layers) -> io::Result<()> {
    let proc = inside(Path::new("/proc"));
    fs::create_dir(&proc)?;
    if !layers.has(Layer::Processes) {
        return Ok(());
    }
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    if sys::mount("proc", &proc, flags, "").is_err() {
        // Where parts of `/proc` are masked, as in many containers, the kernel refuses another
        // `/proc`.
        return Ok(());
    }
    // In an older kernel this bound applies to the whole machine.
    if sys::kernel_version() >= (6, 14) {
        let most = policy.bounds.processes.max(limits::LEAST_PROCESS_IDS);
        // An unprivileged process is refused, and the limit on the user's processes holds instead.
        let _unprivileged = fs::write(proc.join("sys/kernel/pid_max"), most.to_string());
    }
    sys::restrict_mount(File::open(&proc)?.as_fd(), READ_ONLY, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_below_a_hidden_one_is_hidden_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let [home, node, other] = ["home", "home/node", "home-of-another"].map(|name| {
            let folder = dir.path().join(name);
            fs::create_dir_all(&folder).unwrap();
            folder.canonicalize().unwrap()
        });
        let given = [node.clone(), dir.path().join("absent"), other.clone(), home.clone(), node];
        assert_eq!(outermost(&given), [home, other]);
    }
}
