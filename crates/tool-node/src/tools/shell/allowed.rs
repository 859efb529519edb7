//! Which programs may be run, and with which first arguments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kit::{Failure, fail};

/// A `[[shell.program]]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramConfig {
    /// What it is called.
    pub name: String,
    /// Where it is; without it, it is looked for under its name.
    pub path: Option<PathBuf>,
    /// The first arguments of a call must be one of these lists; without any, all may be given.
    #[serde(default)]
    pub prefixes: Vec<Vec<String>>,
    /// Whether it changes nothing, whatever it is told.
    #[serde(default)]
    pub read_only: bool,
}

/// The programs that may be run, by name.
pub(super) struct Allowed(BTreeMap<String, Entry>);

struct Entry {
    path: PathBuf,
    prefixes: Vec<Vec<String>>,
    read_only: bool,
}

/// A program that may be run.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    /// What it is called.
    name: String,
    /// The first arguments must be one of these lists; without any, all may be given.
    prefixes: Vec<Vec<String>>,
    /// Whether `query` runs it as well.
    read_only: bool,
}

impl Allowed {
    /// The programs of `configs`, found now so that none of them can be exchanged by a later
    /// change of the directories that are searched.
    pub(super) fn new(
        configs: &[ProgramConfig],
        search: &[PathBuf],
        base: &Path,
    ) -> Result<Self, String> {
        let mut entries = BTreeMap::new();
        for config in configs {
            let ProgramConfig { name, prefixes, read_only, .. } = config.clone();
            let path = find(config, search, base)?;
            if entries.insert(name.clone(), Entry { path, prefixes, read_only }).is_some() {
                return Err(format!("the program `{name}` is configured twice"));
            }
        }
        Ok(Self(entries))
    }

    /// Where the program is, if it may be run so.
    pub(super) fn check(
        &self,
        name: &str,
        args: &[String],
        must_be_read_only: bool,
    ) -> Result<&Path, Failure> {
        let shown: String = name.chars().take(80).collect();
        let Some(entry) = self.0.get(name) else {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let all = if names.is_empty() { "none is".into() } else { names.join(", ") };
            let why = format!("the program `{shown}` is not on the operator's list: {all}");
            return Err(fail::denied(why, "program"));
        };
        if must_be_read_only && !entry.read_only {
            let why = format!(
                "the operator does not say that `{shown}` changes nothing: use `run` instead of `query`"
            );
            return Err(fail::denied(why, "read_only"));
        }
        let begins = |prefix: &Vec<String>| args.starts_with(prefix);
        if entry.prefixes.is_empty() || entry.prefixes.iter().any(begins) {
            return Ok(&entry.path);
        }
        let may: Vec<String> = entry.prefixes.iter().map(|prefix| prefix.join(" ")).collect();
        let why = format!("the arguments of `{shown}` must begin with {}", may.join(", or "));
        Err(fail::denied(why, "prefixes"))
    }

    pub(super) fn list(&self) -> Vec<Listed> {
        let listed = |(name, entry): (&String, &Entry)| Listed {
            name: name.clone(),
            prefixes: entry.prefixes.clone(),
            read_only: entry.read_only,
        };
        self.0.iter().map(listed).collect()
    }
}

fn find(config: &ProgramConfig, search: &[PathBuf], base: &Path) -> Result<PathBuf, String> {
    let name = &config.name;
    let runs = |path: &PathBuf| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    if let Some(path) = &config.path {
        let path = base.join(path);
        let found = path.canonicalize().ok().filter(runs);
        return found
            .map(|_| path.clone())
            .ok_or_else(|| format!("`{}` of the program `{name}` is no program", path.display()));
    }
    if name.is_empty() || name.contains('/') {
        return Err(format!("`{name}` is no name for a program: say where it is with `path`"));
    }
    search.iter().map(|folder| base.join(folder).join(name)).find(runs).ok_or_else(|| {
        let folders: Vec<String> = search.iter().map(|p| p.display().to_string()).collect();
        format!(
            "the program `{name}` is not in {}: install it, say where it is with `path`, or take it off the list",
            folders.join(", ")
        )
    })
}
