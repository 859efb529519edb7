//! The folder in which a mesh for one machine lives, and where things are in it.
//!
//! It holds the person's key and those of all nodes. Unless it is named, it is in the user's state
//! directory, one for each folder that is worked in: what runs in a folder finds no key there.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, doing};
use crate::limits;

/// Where earlier versions had the mesh of a folder.
const EARLIER: &str = ".remit";

/// The folder of one mesh.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    dir: PathBuf,
    /// Whether it is the one that is used when none is named.
    usual: bool,
    /// The folder of all meshes of this user.
    meshes: Option<PathBuf>,
    /// Why it cannot be used, in words.
    problem: Option<String>,
}

/// What `mesh.toml` says: where the mesh of this folder was last seen.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The orchestrator's address, host:port.
    pub(crate) address: String,
}

impl Home {
    /// The folder that was named, or else that of the folder `here`, in the state directory `state` of
    /// this user.
    pub(crate) fn find(named: Option<&Path>, here: &Path, state: Option<&Path>) -> Self {
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let here = here.canonicalize().unwrap_or_else(|_| whole(here));
        let meshes = state.map(|state| whole(state).join("remit"));
        let own = meshes.as_deref().map(|meshes| meshes.join(flat(&here)));
        let mut home = Self { dir: PathBuf::new(), usual: false, meshes, problem: None };
        match (named, own) {
            (Some(named), own) => {
                home.dir = whole(named);
                home.usual = own.is_some_and(|own| own == home.dir);
            }
            (None, Some(own)) => {
                home.problem = problem(&own, &here);
                (home.dir, home.usual) = (own, true);
            }
            (None, None) => {
                home.dir = here.join(EARLIER);
                home.problem = Some(
                    "neither XDG_STATE_HOME nor HOME says where the mesh of this folder is kept: name \
                     a folder with --home, not below one that agents work in"
                        .to_owned(),
                );
            }
        }
        home
    }

    /// Fails if the folder cannot be used, with what to do.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.problem.as_ref().map_or(Ok(()), |problem| Err(Fault::Failed(problem.clone())))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of all meshes of this user, which holds the keys of all of them.
    pub(crate) fn meshes(&self) -> Option<&Path> {
        self.meshes.as_deref()
    }

    /// Whether it is the one that is used when none is named.
    pub(crate) const fn is_usual(&self) -> bool {
        self.usual
    }

    /// Makes the folder, for its owner alone, and keeps it out of version control.
    pub(crate) fn make(&self) -> Result<(), Fault> {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = || {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(&self.dir)?;
            builder.create(self.dir.join("log"))?;
            let ignore = self.dir.join(".gitignore");
            if ignore.exists() { Ok(()) } else { fs::write(ignore, "*\n") }
        };
        made().map_err(doing::<io::Error>(format_args!(
            "the folder {} cannot be made (choose another with --home)",
            self.dir.display()
        )))
    }

    /// The credential with which commands reach the mesh of this folder.
    pub(crate) fn client(&self) -> PathBuf {
        self.dir.join("client")
    }

    /// The credential with which commands reach a mesh elsewhere, got by `remit join`.
    pub(crate) fn joined(&self, address: &str) -> PathBuf {
        let safe = |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' };
        self.dir.join("joined").join(address.chars().map(safe).collect::<String>())
    }

    /// What a node of the embedded mesh keeps: `orchestrator`, `agent-node` or `tool-node`.
    pub(crate) fn node(&self, role: &str) -> PathBuf {
        self.dir.join(role)
    }

    /// The log of a node of the embedded mesh.
    pub(crate) fn log(&self, role: &str) -> PathBuf {
        self.dir.join("log").join(format!("{role}.log"))
    }

    /// A node's log, open at its end. What an earlier run left is set aside when it is long.
    pub(crate) fn open_log(&self, role: &str) -> io::Result<File> {
        let path = self.log(role);
        if fs::metadata(&path).is_ok_and(|log| log.len() > limits::LOG_BYTES) {
            fs::rename(&path, path.with_extension("log.old"))?;
        }
        File::options().create(true).append(true).open(path)
    }

    /// Where the mesh was last seen, if anywhere.
    pub(crate) fn seen(&self) -> Option<Seen> {
        toml::from_str(&fs::read_to_string(self.dir.join("mesh.toml")).ok()?).ok()
    }

    /// Writes down where the mesh is now, all of it or nothing.
    pub(crate) fn see(&self, seen: &Seen) -> Result<(), Fault> {
        let text = toml::to_string(seen).map_err(doing("mesh.toml cannot be written"))?;
        let (path, part) = (self.dir.join("mesh.toml"), self.dir.join("mesh.toml.part"));
        fs::write(&part, text)
            .and_then(|()| fs::rename(&part, &path))
            .map_err(doing(format_args!("{} cannot be written", path.display())))
    }

    /// The right to run this folder's mesh. `None`: another process has it. It ends with the file.
    pub(crate) fn claim(&self) -> Result<Option<File>, Fault> {
        let path = self.dir.join("lock");
        let refused = || doing(format!("the lock {} cannot be taken", path.display()));
        let file = lockable(&path).map_err(refused())?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(refused()(error)),
        }
    }

    /// Lets other processes join the mesh of this folder, until the file is dropped or the process
    /// ends.
    pub(crate) fn open_door(&self) -> Result<File, Fault> {
        let path = self.dir.join("open");
        // Who looks whether it is open holds it for a moment.
        lockable(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(doing(format!("the lock {} cannot be taken", path.display())))
    }

    /// Whether the process that runs the mesh of this folder lets others join it: one that begins or
    /// ends does not.
    pub(crate) fn is_open(&self) -> bool {
        let file = File::options().write(true).open(self.dir.join("open"));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    /// Whether a process still works on the folders of the nodes, though nothing runs the mesh: they
    /// are ending.
    pub(crate) fn is_ending(&self) -> bool {
        let is_held = |lock: &str| {
            let file = File::options().write(true).open(self.dir.join(lock));
            file.is_ok_and(|file| {
                matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
            })
        };
        NODE_LOCKS.iter().any(|lock| is_held(lock))
    }
}

/// What the nodes hold for as long as they run.
const NODE_LOCKS: [&str; 2] = ["orchestrator/journal/lock", "tool-node/ledger/lock"];

fn lockable(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}

/// One name for a whole path, another for each.
fn flat(path: &Path) -> String {
    let mut name = String::new();
    for byte in path.as_os_str().as_bytes().iter().skip(1) {
        match byte {
            b'/' => name.push('+'),
            b'.' | b'_' | b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                name.push(char::from(*byte));
            }
            // Writing to a text does not fail.
            byte => drop(write!(name, "%{byte:02X}")),
        }
    }
    if name.is_empty() { "+".to_owned() } else { name }
}

/// Why the folder `own` cannot be that of `here`.
fn problem(own: &Path, here: &Path) -> Option<String> {
    let name = own.file_name().map_or(0, std::ffi::OsStr::len);
    if name > limits::HOME_NAME {
        return Some(format!(
            "the path {} is too long for a mesh of its own: name a folder for it with --home, not \
             below one that agents work in",
            here.display()
        ));
    }
    let earlier = here.join(EARLIER);
    // Not taken over by itself: what works in the folder may have put it there, with tasks and tools of
    // its own.
    (!own.exists() && earlier.join("orchestrator").is_dir()).then(|| {
        format!(
            "{0} holds a mesh, as earlier versions made it, with keys that what runs here could read. \
             If you made it, move it once: mkdir -p {2} && mv {0} {1}. If not, remove it. `--home {0}` \
             uses it where it is",
            earlier.display(),
            own.display(),
            own.parent().unwrap_or(own).display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Home {
        pub(crate) fn new(dir: &Path) -> Self {
            Self::find(Some(dir), Path::new("/"), None)
        }
    }

    #[test]
    fn folder_of_a_mesh_is_outside_of_the_one_that_is_worked_in() {
        let dir = tempfile::tempdir().unwrap();
        let [state, work] = ["state", "my work+"].map(|name| dir.path().join(name));
        fs::create_dir(&work).unwrap();
        let work = work.canonicalize().unwrap();
        let home = Home::find(None, &work, Some(&state));
        assert!(home.dir().starts_with(state.join("remit")) && home.is_usual());
        assert!(home.dir().to_string_lossy().ends_with("+my%20work%2B"), "{home:?}");
        home.check().unwrap();
        // A child is told where it is, and it is the same.
        let told = Home::find(Some(home.dir()), &work, Some(&state));
        assert!(told.is_usual());
        assert!(!Home::find(Some(&work), &work, Some(&state)).is_usual());
        let other = Home::find(None, &work.join(".."), Some(&state));
        assert_ne!(other.dir(), home.dir());
        assert!(Home::find(None, &work, None).check().is_err());
    }

    #[test]
    fn mesh_that_lies_in_the_folder_is_not_taken_over_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (state, work) = (dir.path().join("state"), dir.path().canonicalize().unwrap());
        fs::create_dir_all(work.join(".remit/orchestrator")).unwrap();
        let home = Home::find(None, &work, Some(&state));
        let said = home.check().unwrap_err().message().unwrap_or_default();
        assert!(said.contains("mv ") && said.contains("--home"), "{said}");
        // One that it has of its own is used, whatever is put there.
        home.make().unwrap();
        Home::find(None, &work, Some(&state)).check().unwrap();
        Home::find(Some(&work.join(".remit")), &work, Some(&state)).check().unwrap();
    }

    #[test]
    fn only_one_process_may_run_a_folders_mesh() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let claim = home.claim().unwrap();
        assert!(claim.is_some());
        assert!(home.claim().unwrap().is_none());
        drop(claim);
        assert!(home.claim().unwrap().is_some());
    }

    #[test]
    fn only_a_mesh_whose_door_is_open_is_joined() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        assert!(!home.is_open() && !home.is_ending());
        let door = home.open_door().unwrap();
        assert!(home.is_open());
        drop(door);
        assert!(!home.is_open());
        let journal = dir.path().join("orchestrator/journal");
        fs::create_dir_all(&journal).unwrap();
        let held = lockable(&journal.join("lock")).unwrap();
        held.lock().unwrap();
        assert!(home.is_ending());
        drop(held);
        assert!(!home.is_ending());
    }

    #[test]
    fn what_was_seen_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(&dir.path().join("new"));
        home.make().unwrap();
        assert_eq!(home.seen(), None);
        let seen = Seen { address: "127.0.0.1:4000".into() };
        home.see(&seen).unwrap();
        assert_eq!(home.seen(), Some(seen));
    }
}
