//! The content of a shell's folder as a digest, so that an approval can bind what a program will find.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, MetadataExt as _, OpenOptions};
use remit_vat::vat::offload;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::kit::{Failure, fail};
use crate::limits;

/// What an approval of a run binds beside its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    /// Of the names, kinds and content of all files in the shell's folder, without those that are
    /// hidden or `unbound`.
    pub(super) digest: String,
    /// What differs from when the last run whose content was bound began, for example `~ test.js`: `+`
    /// is new, `-` is gone, `~` has changed. Null: no such run was since the node started.
    pub(super) changed: Option<Vec<String>>,
    /// How many more have changed than `changed` names.
    pub(super) more: u64,
}

/// Each file with the hash of its kind and content.
type Files = BTreeMap<Vec<u8>, [u8; 32]>;

/// The folder whose content is bound, as the last bound run found it.
pub(super) struct Bound {
    dir: Dir,
    /// Places that are not looked at, seen from the folder.
    left_out: Vec<PathBuf>,
    last: RefCell<Option<Files>>,
    /// Whether a run must name the content.
    pub(super) required: bool,
}

impl Bound {
    /// The content of `dir`, without the places `left_out`, which are seen from there.
    pub(super) const fn new(dir: Dir, left_out: Vec<PathBuf>, required: bool) -> Self {
        Self { dir, left_out, last: RefCell::new(None), required }
    }

    /// The content as it is.
    pub(super) async fn look(&self) -> Result<Content, Failure> {
        self.read().await.map(|files| self.content(&files))
    }

    /// Fails unless the content is `approved`, what has changed included; then it counts as that of the
    /// last run.
    pub(super) async fn check(&self, approved: Option<&Content>) -> Result<(), Failure> {
        let Some(approved) = approved else {
            return match self.required {
                false => Ok(()),
                true => Err(fail::invalid(
                    "content",
                    "the operator has each run name the content of the folder: pass what `content()` gives",
                )),
            };
        };
        let files = self.read().await?;
        let now = self.content(&files);
        if now != *approved {
            return Err(fail::denied(differs(&now), "content"));
        }
        self.last.replace(Some(files));
        Ok(())
    }

    fn content(&self, files: &Files) -> Content {
        let mut hash = Sha256::new();
        for (name, file) in files {
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name);
            hash.update(file);
        }
        let digest = format!("sha256:{}", hex::encode(hash.finalize()));
        let last = self.last.borrow();
        let Some(last) = &*last else { return Content { digest, changed: None, more: 0 } };
        let gone = last.keys().filter(|name| !files.contains_key(*name)).map(|name| ('-', name));
        let differs = files.iter().filter_map(|(name, file)| match last.get(name) {
            None => Some(('+', name)),
            Some(before) if before != file => Some(('~', name)),
            Some(_) => None,
        });
        let mut changed: Vec<_> = gone.chain(differs).collect();
        changed.sort_by_key(|(_, name)| *name);
        let more = changed.len().saturating_sub(limits::CONTENT_CHANGED) as u64;
        changed.truncate(limits::CONTENT_CHANGED);
        let shown =
            |(how, name): (char, &Vec<u8>)| format!("{how} {}", String::from_utf8_lossy(name));
        let changed = changed.into_iter().map(shown).collect();
        Content { digest, changed: Some(changed), more }
    }

    /// Reads all files, again if any of them changed meanwhile: the hashes are then of one moment.
    async fn read(&self) -> Result<Files, Failure> {
        for _ in 0..limits::CONTENT_TRIES {
            let left_out = self.left_out.clone();
            let dir = self.dir.try_clone().map_err(|error| failed(Path::new("."), &error))?;
            let read = offload(move || read_at_rest(&dir, &left_out)).await;
            let read = read.map_err(|error| fail::failed(format!("the content: {error}")))?;
            if let Some(files) = read? {
                return Ok(files);
            }
            tokio::time::sleep(limits::CONTENT_TICK).await;
        }
        Err(fail::failed(
            "the folder changes while its content is read: ask again when no other program works in it",
        ))
    }
}

/// How many changed files an error names.
const SHOWN: usize = 10;

/// Reads all files. `None`: some changed meanwhile, or so shortly before that it cannot be told.
fn read_at_rest(dir: &Dir, left_out: &[PathBuf]) -> Result<Option<Files>, Failure> {
    let begun = SystemTime::now();
    let read = Walk::over(dir, left_out, Depth::Content)?;
    let after = Walk::over(dir, left_out, Depth::Stamps)?;
    let is_at_rest =
        read.stamps == after.stamps && !read.stamps.values().any(|s| s.is_fresh(begun));
    Ok(is_at_rest.then_some(read.files))
}

/// What changes when a file is written to or replaced. Only the kernel sets the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    mode: u32,
    place: (u64, u64),
    /// The size and the time of the last change, in nanoseconds since 1970; of a folder neither, since
    /// its entries are compared.
    file: Option<(u64, i128)>,
}

impl Stamp {
    fn of(metadata: &cap_std::fs::Metadata) -> Self {
        let changed_ns =
            i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
        Self {
            mode: metadata.mode(),
            place: (metadata.dev(), metadata.ino()),
            file: (!metadata.is_dir()).then_some((metadata.size(), changed_ns)),
        }
    }

    /// Whether the file was changed so shortly before `begun` that another change could have the same
    /// time: the kernel's clock for files goes by ticks.
    fn is_fresh(&self, begun: SystemTime) -> bool {
        let since = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        let begun_ns = begun.duration_since(SystemTime::UNIX_EPOCH).map_or(0, since);
        let tick_ns = since(limits::CONTENT_TICK);
        // A time far ahead is of another clock, and says nothing.
        self.file.is_some_and(|(_, changed)| (changed - begun_ns).abs() <= tick_ns)
    }
}

/// How much of each file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Content,
    Stamps,
}

struct Walk<'a> {
    left_out: &'a [PathBuf],
    depth: Depth,
    files: Files,
    stamps: BTreeMap<Vec<u8>, Stamp>,
    bytes: u64,
}

impl<'a> Walk<'a> {
    fn over(dir: &Dir, left_out: &'a [PathBuf], depth: Depth) -> Result<Self, Failure> {
        let (files, stamps) = (Files::new(), BTreeMap::new());
        let mut walk = Self { left_out, depth, files, stamps, bytes: 0 };
        walk.folder(dir, Path::new("")).map(|()| walk)
    }

    fn folder(&mut self, dir: &Dir, at: &Path) -> Result<(), Failure> {
        if at.components().count() > limits::CONTENT_DEPTH {
            let most = limits::CONTENT_DEPTH;
            return Err(fail::limit(format!(
                "`{}` is more than {most} folders deep",
                at.display()
            )));
        }
        let failed_here = |error: io::Error| failed(at, &error);
        for entry in dir.entries().map_err(failed_here)? {
            let entry = entry.map_err(failed_here)?;
            let (name, path) = (entry.file_name(), at.join(entry.file_name()));
            if self.left_out.contains(&path) {
                continue;
            }
            let metadata = dir.symlink_metadata(&name).map_err(|error| failed(&path, &error))?;
            let key = path.as_os_str().as_bytes().to_vec();
            self.stamps.insert(key.clone(), Stamp::of(&metadata));
            if self.depth == Depth::Content {
                let mut hash = Sha256::new();
                hash.update(metadata.mode().to_be_bytes());
                if metadata.is_symlink() {
                    let target = dir.read_link_contents(&name).map_err(|e| failed(&path, &e))?;
                    hash.update(target.as_os_str().as_bytes());
                } else if metadata.is_file() {
                    self.file(dir, &name, &path, &mut hash)?;
                }
                self.files.insert(key, hash.finalize().into());
            }
            if self.stamps.len() > limits::CONTENT_FILES {
                let most = limits::CONTENT_FILES;
                return Err(too_much(&format!("more than {most} files")));
            }
            if metadata.is_dir() {
                let below = dir.open_dir_nofollow(&name).map_err(|e| failed(&path, &e))?;
                self.folder(&below, &path)?;
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        dir: &Dir,
        name: &std::ffi::OsStr,
        path: &Path,
        hash: &mut Sha256,
    ) -> Result<(), Failure> {
        let failed = |error: io::Error| failed(path, &error);
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No).nonblock(true);
        let mut file = dir.open_with(name, &options).map_err(failed)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                return Ok(());
            }
            self.bytes += read as u64;
            if self.bytes > limits::CONTENT_BYTES {
                let most = limits::CONTENT_BYTES;
                return Err(too_much(&format!("more than {most} bytes")));
            }
            hash.update(&buffer[..read]);
        }
    }
}

/// That the folder is another one than was looked at, with what has changed since the last run.
fn differs(now: &Content) -> String {
    let names = now.changed.as_deref().unwrap_or_default();
    let listed = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let since = match (names.is_empty(), names.len() > SHOWN) {
        (true, _) => String::new(),
        (false, false) => format!(" Since the last run: {listed}."),
        (false, true) => format!(" Since the last run: {listed}, and more."),
    };
    format!(
        "the folder is not as it was when its content was looked at.{since} Look with `content()` and ask \
         again"
    )
}

fn too_much(what: &str) -> Failure {
    fail::limit(format!(
        "the folder has {what}: its content cannot be bound. Have the operator name what is not to be with \
         `unbound`"
    ))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    fail::failed(format!("the content of `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use cap_std::ambient_authority;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_folder_that_changes_while_it_is_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        std::fs::write(&file, "0").unwrap();
        let open = Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap();
        let bound = Bound::new(open, Vec::new(), false);
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, written) = (Arc::clone(&stop), file.clone());
        let writer = std::thread::spawn(move || {
            for n in 1.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                std::fs::write(&written, format!("{n}")).unwrap();
            }
        });
        let refused = bound.look().await.unwrap_err();
        assert!(refused.message.contains("changes"), "{refused}");
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        bound.look().await.unwrap();
    }

    #[test]
    fn a_file_that_was_written_a_moment_ago_is_looked_at_again() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "a").unwrap();
        let open = Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap();
        let stamp = Stamp::of(&open.symlink_metadata("a").unwrap());
        let (_, changed_ns) = stamp.file.unwrap();
        let changed = Duration::from_nanos(u64::try_from(changed_ns).unwrap());
        let after = |time: Duration| SystemTime::UNIX_EPOCH + changed + time;
        assert!(stamp.is_fresh(after(Duration::ZERO)));
        assert!(stamp.is_fresh(after(limits::CONTENT_TICK / 2)));
        assert!(!stamp.is_fresh(after(limits::CONTENT_TICK * 2)));
        std::fs::write(dir.path().join("a"), "b").unwrap();
        let other = Stamp::of(&open.symlink_metadata("a").unwrap());
        assert!(stamp != other || other.is_fresh(SystemTime::now()));
    }
}
