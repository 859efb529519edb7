//! What a repository's own configuration says, read as data: nothing that it names is run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use git2::{Config, ConfigLevel};

use super::commit::Identity;

/// The settings that decide how files and the repository correspond.
#[derive(Debug)]
pub(super) struct Settings {
    /// Of `core`, `extensions` and `remote`, by name in lower case; the last one counts.
    values: BTreeMap<String, String>,
}

impl Settings {
    /// Reads the configuration of the repository and of this working directory of it.
    pub(super) fn read(git_dir: &Path, common_dir: &Path) -> Result<Self, git2::Error> {
        let mut config = Config::open(&common_dir.join("config"))?;
        let own = git_dir.join("config.worktree");
        if config.get_bool("extensions.worktreeconfig").unwrap_or(false) && own.is_file() {
            config.add_file(&own, ConfigLevel::Worktree, false)?;
        }
        let mut values = BTreeMap::new();
        // Entries come level by level, the most specific one last.
        config.entries(None)?.for_each(|entry| {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            if ["core.", "extensions.", "remote."].iter().any(|part| name.starts_with(part)) {
                // A name without a value means `true`.
                let value = if entry.has_value() {
                    String::from_utf8_lossy(entry.value_bytes()).into_owned()
                } else {
                    "true".to_owned()
                };
                values.insert(name, value);
            }
        })?;
        Ok(Self { values })
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        self.value(name).and_then(|value| Config::parse_bool(value).ok()).unwrap_or(default)
    }

    /// Whether it has no working directory of its own.
    pub(super) fn bare(&self) -> bool {
        self.flag("core.bare", false)
    }

    /// Whether files outside of configured folders are left out of the working directory.
    pub(super) fn sparse(&self) -> bool {
        self.flag("core.sparsecheckout", false)
    }

    /// Whether the working directory tells which files may be executed.
    pub(super) fn file_mode(&self) -> bool {
        self.flag("core.filemode", true)
    }

    /// The names of the repositories that this one was cloned from or fetches from.
    pub(super) fn remotes(&self) -> BTreeSet<&str> {
        self.values
            .keys()
            .filter(|key| key.ends_with(".url") || key.ends_with(".fetch"))
            .filter_map(|key| key.strip_prefix("remote.")?.rsplit_once('.'))
            .map(|(remote, _)| remote)
            .collect()
    }

    /// Why the repository cannot be opened, if it is of a kind that libgit2 does not know.
    pub(super) fn unsupported(&self) -> Option<String> {
        let other = |name: &str, known: &str| {
            self.value(name).filter(|value| !value.eq_ignore_ascii_case(known))
        };
        if let Some(format) = other("extensions.objectformat", "sha1") {
            return Some(format!("its object ids are {format}, and this tool reads sha1 only"));
        }
        if let Some(format) = other("extensions.refstorage", "files") {
            let how = "`git refs migrate --ref-format=files` converts them";
            return Some(format!(
                "its branches are stored as {format}, which cannot be read: {how}"
            ));
        }
        let lazy = self.values.iter().find_map(|(key, value)| {
            let (remote, name) = key.strip_prefix("remote.")?.rsplit_once('.')?;
            let set = Config::parse_bool(value.as_str()).unwrap_or(true);
            (set && ["promisor", "partialclonefilter"].contains(&name)).then_some(remote)
        });
        let remote = self.value("extensions.partialclone").or(lazy)?;
        let how = "a clone without --filter holds all of it";
        Some(format!("it is a partial clone, a part of it is at `{remote}` alone: {how}"))
    }

    /// Why nothing may be changed, if files and repository correspond in a way that is not done
    /// here.
    pub(super) fn refuses_changes(&self, workdir: Option<&Path>, git_dir: &Path) -> Option<String> {
        if self.flag("core.ignorecase", false) {
            return Some("its core.ignoreCase is set".into());
        }
        if !self.flag("core.symlinks", true) {
            return Some("its core.symlinks is off".into());
        }
        let elsewhere = self.value("core.worktree")?;
        let named = git_dir.join(elsewhere).canonicalize().ok();
        let ours = workdir.and_then(|path| path.canonicalize().ok());
        (named.is_none() || named != ours)
            .then(|| "its core.worktree names another working directory".into())
    }

    /// The configuration that libgit2 gets in place of the repository's own: values of closed
    /// sets, and who changes it.
    pub(super) fn safe_config(&self, who: &Identity) -> std::io::Result<(Config, Option<File>)> {
        let one_of = |name: &str, known: &[&str]| {
            let value = self.value(name).map(str::to_ascii_lowercase)?;
            known.contains(&value.as_str()).then_some(value)
        };
        let mut text = String::from("[core]\n\tfsyncObjectFiles = true\n");
        text += &format!("\tfileMode = {}\n", self.file_mode());
        if let Some(value) = one_of("core.autocrlf", &["true", "false", "input"]) {
            text += &format!("\tautocrlf = {value}\n");
        }
        if let Some(value) = one_of("core.eol", &["lf", "crlf", "native"]) {
            text += &format!("\teol = {value}\n");
        }
        text += &format!("[user]\n\tname = {}\n", quoted(who.name()));
        text += &format!("\temail = {}\n", quoted(who.address()));
        in_memory(&text)
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A configuration that reads `text`, for as long as the file is open: libgit2 takes a
/// configuration from a path alone.
#[cfg(target_os = "linux")]
fn in_memory(text: &str) -> std::io::Result<(Config, Option<File>)> {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    let memory = rustix::fs::memfd_create("git-settings", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(text.as_bytes())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    Ok((Config::open(&path).map_err(std::io::Error::other)?, Some(file)))
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_text: &str) -> std::io::Result<(Config, Option<File>)> {
    Ok((Config::new().map_err(std::io::Error::other)?, None))
}
