//! The content of a shell's folder as a digest, so that an approval can bind what a program will find.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, MetadataExt as _, OpenOptions};
use remit_core::audit::hex;
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
        let digest = format!("sha256:{}", hex(&hash.finalize()));
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

    async fn read(&self) -> Result<Files, Failure> {
        let left_out = self.left_out.clone();
        let dir = self.dir.try_clone().map_err(|error| failed(Path::new("."), &error))?;
        let read = offload(move || {
            let mut walk = Walk { left_out, files: Files::new(), bytes: 0 };
            walk.folder(&dir, Path::new("")).map(|()| walk.files)
        });
        read.await.map_err(|error| fail::failed(format!("the content: {error}")))?
    }
}

/// How many changed files an error names.
const SHOWN: usize = 10;

struct Walk {
    left_out: Vec<PathBuf>,
    files: Files,
    bytes: u64,
}

impl Walk {
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
            let mut hash = Sha256::new();
            hash.update(metadata.mode().to_be_bytes());
            if metadata.is_symlink() {
                let target = dir.read_link_contents(&name).map_err(|e| failed(&path, &e))?;
                hash.update(target.as_os_str().as_bytes());
            } else if metadata.is_file() {
                self.file(dir, &name, &path, &mut hash)?;
            }
            self.files.insert(path.as_os_str().as_bytes().to_vec(), hash.finalize().into());
            if self.files.len() > limits::CONTENT_FILES {
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
