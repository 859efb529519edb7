//! What an operator tells a tool node: which of the built-in tools it serves, and how confined.

use std::collections::HashSet;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::Deserialize;
use toml::Spanned;

use crate::kit::Tool;
use crate::limits;
use crate::tools::confiner::Confiner;
use crate::tools::{Folders, fs, git, http, mcp, shell};

/// The configuration of a tool node, as TOML: labels, and a section for each tool.
///
/// ```toml
/// labels = ["linux"]
///
/// [[fs]]
/// name = "src"
/// root = "."
/// hidden = ["private"]
/// writable = true
///
/// [[git]]
/// root = "."
/// writable = true
/// clone_root = "clones"
/// clone_from = ["https://github.com/example/"]
///
/// [[http]]
/// allow = ["https://api.example.com/v1"]
/// methods = ["POST"]
/// header = [{ name = "Authorization", prefix = "Bearer ", file = "token" }]
///
/// [[shell]]
/// root = "."
/// env = { LANG = "C.UTF-8" }
/// timeout_ms = 60000
/// program = [{ name = "wc", read_only = true }, { name = "make", args = [["test"]] }]
///
/// [[mcp]]
/// name = "time"
/// command = ["mcp-server-time"]
/// ```
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the node has, for people and for placement.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Where credential and ledger are kept.
    pub data: Option<PathBuf>,
    /// The orchestrator, host:port, if it is not where it was when the node joined.
    pub orchestrator: Option<String>,
    /// Where it listens for agent nodes that are introduced to it, host:port; without it, nowhere.
    pub listen: Option<String>,
    /// Where they reach it, host:port, if not where it listens.
    pub advertise: Option<String>,
    /// Whether to refuse to start when this machine lacks a layer of what confines programs.
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    fs: Vec<Spanned<fs::Config>>,
    #[serde(default)]
    git: Vec<Spanned<git::Config>>,
    #[serde(default)]
    http: Vec<Spanned<http::Config>>,
    #[serde(default)]
    shell: Vec<Spanned<shell::Config>>,
    #[serde(default)]
    mcp: Vec<Spanned<mcp::Config>>,
    /// Files of other programs with the MCP servers that they use.
    #[serde(default)]
    pub mcp_config: Vec<PathBuf>,
    /// Below which folder programs that live as long as the node have their homes.
    #[serde(skip)]
    homes: Option<PathBuf>,
    #[serde(skip)]
    source: Source,
}

/// Where a configuration was read, for error messages and relative paths.
#[derive(Debug, Default)]
struct Source {
    path: PathBuf,
    text: String,
}

/// What is wrong with a configuration: the file, the line, what was found and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadConfig(String);

impl Config {
    /// Reads the file at `path`, of at most 1 MiB. Relative paths in it are taken from its own folder.
    ///
    /// # Errors
    /// It cannot be read, or as of [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self, BadConfig> {
        Self::parse(path, read_bounded(path)?)
    }

    /// Reads `text` as if it stood in a file at `path`.
    ///
    /// # Errors
    /// It is no TOML, or has what no tool knows; the message names file and line.
    pub fn parse(path: &Path, text: String) -> Result<Self, BadConfig> {
        let mut config: Self = toml::from_str(&text)
            .map_err(|e| BadConfig(format!("{}: {e}", path.display()).trim_end().to_owned()))?;
        if let Some(data) = config.data.take() {
            config.data = Some(path.parent().unwrap_or(Path::new("")).join(data));
        }
        config.source = Source { path: path.to_owned(), text };
        Ok(config)
    }

    /// Hides a folder or a file of the node, such as that with its keys, from every folder that is
    /// served around it, and from the programs that are run there.
    #[must_use]
    pub fn hiding(mut self, place: &Path) -> Self {
        self.hide(place);
        self
    }

    /// Keeps the homes of MCP servers below the folder `data` of this node.
    #[must_use]
    pub fn keeping(mut self, data: &Path) -> Self {
        self.homes = Some(data.join("mcp"));
        self
    }

    /// Adds an MCP server that was not in the file.
    #[must_use]
    pub fn with_server(mut self, server: mcp::Config) -> Self {
        self.mcp.push(Spanned::new(0..0, server));
        self
    }

    /// Adds the servers in the files of other programs.
    fn import(&mut self) -> Result<(), BadConfig> {
        let base = self.source.path.parent().unwrap_or(Path::new("")).to_owned();
        for file in &self.mcp_config {
            let path = base.join(file);
            let text = read_bounded(&path)?;
            let folder = path.parent().unwrap_or(Path::new(""));
            let servers = mcp::import::others(&text, folder)
                .map_err(|why| BadConfig(format!("{}: {why}", path.display())))?;
            self.mcp.extend(servers.into_iter().map(|server| Spanned::new(0..0, server)));
        }
        Ok(())
    }

    /// The tools, as configured, and the labels. With MCP servers it must be called on a `LocalSet`.
    ///
    /// # Errors
    /// A section asks for what cannot be, for example a root that is not there, or two tools have one
    /// name; the message names file and line.
    pub fn open(mut self) -> Result<(Vec<Tool>, Vec<String>), BadConfig> {
        self.import()?;
        self.hide_own_files();
        self.lend_hidden();
        let mut opening = Opening { source: self.source, names: HashSet::new(), tools: Vec::new() };
        let folders = Rc::new(folders(&opening, &self.fs, &self.git, &self.shell));
        opening.open(self.fs, |config, base| {
            let hold = folders.of(&base.join(&config.root));
            Ok(fs::tool(config, base)?.waiting_for(hold))
        })?;
        let starts_programs = !self.shell.is_empty()
            || self.mcp.iter().any(|section| section.get_ref().starts_programs())
            || self.git.iter().any(|section| section.get_ref().starts_programs());
        let confiner = starts_programs
            .then(|| Confiner::find(self.strict).map(|found| Rc::new(found.in_folders(&folders))))
            .transpose()
            .map_err(|why| opening.source.bad(0, why))?;
        opening.open(self.git, |config, base| {
            let hold = folders.of(&base.join(&config.root));
            Ok(git::tool(config, base, confiner.as_ref())?.waiting_for(hold))
        })?;
        let sections: Vec<http::Config> =
            self.http.iter().map(|section| section.get_ref().clone()).collect();
        opening.open(self.http, http::tool)?;
        if let Some(confiner) = &confiner {
            opening
                .open(self.shell, |config, base| shell::tool(config, base, confiner, &sections))?;
        }
        let homes = self.homes.unwrap_or_else(|| "remit-tool-node/mcp".into());
        opening
            .open(self.mcp, |config, base| mcp::tool(config, base, &homes, confiner.as_ref()))?;
        Ok((opening.tools, self.labels))
    }
}

impl Config {
    fn hide(&mut self, place: &Path) {
        let base = self.source.path.parent().unwrap_or(Path::new("")).to_owned();
        for section in &mut self.fs {
            section.get_mut().hide(place, &base);
        }
        for section in &mut self.git {
            section.get_mut().hide(place, &base);
        }
        for section in &mut self.shell {
            section.get_mut().hide(place);
        }
        for section in &mut self.mcp {
            section.get_mut().hide(place);
        }
    }

    /// Hides this very configuration, which an agent could widen for the next start, and the secrets
    /// that it names.
    fn hide_own_files(&mut self) {
        let base = self.source.path.parent().unwrap_or(Path::new("")).to_owned();
        let of_http = self.http.iter().flat_map(|section| section.get_ref().secrets());
        let of_mcp = self.mcp.iter().flat_map(|section| section.get_ref().secrets());
        let others = self.mcp_config.iter().map(PathBuf::as_path);
        let secrets = of_http.chain(of_mcp).chain(others);
        let own: Vec<PathBuf> =
            secrets.map(|file| base.join(file)).chain([self.source.path.clone()]).collect();
        for file in own {
            self.hide(&file);
        }
    }

    /// Hides from the git and shell tools what the fs tools hide: otherwise a file could be read from a
    /// commit, or by a program.
    fn lend_hidden(&mut self) {
        let base = self.source.path.parent().unwrap_or(Path::new(""));
        for fs in &self.fs {
            let fs = fs.get_ref();
            for place in &fs.hidden {
                let place = base.join(&fs.root).join(place);
                for git in &mut self.git {
                    git.get_mut().hide(&place, base);
                }
                for shell in &mut self.shell {
                    shell.get_mut().hide_with_fs(&place, base);
                }
            }
        }
    }
}

/// A configuration, as text.
fn read_bounded(path: &Path) -> Result<String, BadConfig> {
    let bad = |e: std::io::Error| {
        BadConfig(format!("the configuration {} cannot be read: {e}", path.display()))
    };
    let mut text = String::new();
    let file = File::open(path).map_err(bad)?;
    file.take(limits::CONFIG_BYTES).read_to_string(&mut text).map_err(bad)?;
    Ok(text)
}

/// The value of an environment variable that a section names.
#[expect(clippy::disallowed_methods, reason = "what the environment says is configuration")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The folders in which programs run, and in which other tools work that may change them.
fn folders(
    opening: &Opening,
    fs: &[Spanned<fs::Config>],
    git: &[Spanned<git::Config>],
    shell: &[Spanned<shell::Config>],
) -> Folders {
    if shell.is_empty() {
        return Folders::default();
    }
    let base = opening.source.path.parent().unwrap_or(Path::new(""));
    let fs = fs.iter().map(|section| &section.get_ref().root);
    let git = git.iter().map(|section| &section.get_ref().root);
    let shell = shell.iter().flat_map(|section| {
        let section = section.get_ref();
        section.write.iter().chain([&section.root])
    });
    Folders::new(fs.chain(git).chain(shell).map(|place| base.join(place)))
}

struct Opening {
    source: Source,
    names: HashSet<String>,
    tools: Vec<Tool>,
}

impl Opening {
    fn open<C>(
        &mut self,
        sections: Vec<Spanned<C>>,
        tool: impl Fn(&C, &Path) -> Result<Tool, String>,
    ) -> Result<(), BadConfig> {
        for section in sections {
            let at = section.span().start;
            let base = self.source.path.parent().unwrap_or(Path::new(""));
            let opened = tool(section.get_ref(), base).map_err(|why| self.source.bad(at, why))?;
            if !self.names.insert(opened.name().to_owned()) {
                let why =
                    format!("two tools named `{}`: give one of them another `name`", opened.name());
                return Err(self.source.bad(at, why));
            }
            self.tools.push(opened);
        }
        Ok(())
    }
}

impl Source {
    fn bad(&self, at: usize, why: impl Display) -> BadConfig {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        BadConfig(format!("{}, line {line}: {why}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Result<(Vec<Tool>, Vec<String>), BadConfig> {
        let dir = tempfile::tempdir().unwrap();
        Config::parse(&dir.path().join("tools.toml"), text.into())?.open()
    }

    #[test]
    fn sections_become_tools() {
        let text = "labels = ['x']\n[[fs]]\nname = 'a'\nroot = '.'\n[[fs]]\nroot = '.'\n";
        let (tools, labels) = open(text).unwrap();
        assert_eq!(tools.iter().map(Tool::name).collect::<Vec<_>>(), ["a", "fs"]);
        assert_eq!(labels, ["x"]);
    }

    #[test]
    fn every_kind_of_tool_has_its_section() {
        let text = "[[fs]]\nroot = '.'\n[[http]]\nallow = ['http://example.com']\n\
                    [[shell]]\nroot = '.'\n[[shell.program]]\nname = 'sh'\n";
        let (tools, _) = open(text).unwrap();
        assert_eq!(tools.iter().map(Tool::name).collect::<Vec<_>>(), ["fs", "http", "shell"]);
        for tool in tools {
            tool.open().unwrap();
        }
    }

    #[tokio::test]
    async fn a_repository_that_cannot_be_opened_keeps_no_other_tool_from_being_served() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[[fs]]\nroot = '.'\n[[git]]\nroot = '.'\n".to_owned();
        let config = Config::parse(&dir.path().join("tools.toml"), text).unwrap();
        let (tools, _) = config.open().unwrap();
        let mut handles = tools.into_iter().map(|tool| tool.open().unwrap().handle());
        handles.next().unwrap().call("list", &()).await.unwrap();
        let git = handles.next().unwrap();
        for method in ["log", "status", "branches"] {
            let failure = git.call(method, &serde_json::json!({})).await.err().unwrap();
            assert_eq!(failure.code, crate::kit::Code::Failed);
            assert!(failure.message.contains("git init"), "{failure}");
        }
    }

    #[test]
    fn git_tools_hide_what_fs_tools_hide_and_the_nodes_own_folder() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink("b", dir.path().join("a/link")).unwrap();
        let text = "[[fs]]\nroot = '.'\nhidden = ['a/keys', 'c', 'a']\n\
                    [[fs]]\nname = 'b'\nroot = 'a/b'\nhidden = ['x']\n\
                    [[fs]]\nname = 'l'\nroot = 'a'\nhidden = ['link']\n\
                    [[git]]\nroot = 'a'\nhidden = ['own']\n";
        let config = Config::parse(&dir.path().join("tools.toml"), text.to_owned()).unwrap();
        let mut config = config.hiding(&dir.path().join("a/node"));
        config.lend_hidden();
        let mut hidden = config.git[0].get_ref().hidden.clone();
        hidden.sort();
        hidden.dedup();
        assert_eq!(hidden, ["b", "b/x", "keys", "link", "node", "own"]);
    }

    #[tokio::test]
    async fn the_configuration_and_its_secrets_are_hidden_and_what_fs_hides_is_hidden_from_programs()
     {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("deep/private")).unwrap();
        std::fs::create_dir(dir.path().join("made")).unwrap();
        for file in ["token", "deep/private/file", "deep/.env", "made/file"] {
            std::fs::write(dir.path().join(file), "a secret of some length").unwrap();
        }
        let text = "[[fs]]\nroot = '.'\nhidden = ['deep/private', 'deep/.env', 'made']\nwritable = true\n\
                    [[shell]]\nroot = '.'\nshown = ['made']\n[[shell.program]]\nname = 'sh'\n\
                    [[http]]\nallow = ['http://example.com']\n\
                    header = [{ name = 'x-key', file = 'token' }]\n";
        let path = dir.path().join("tools.toml");
        std::fs::write(&path, text).unwrap();
        let opened = Config::read(&path).unwrap().open();
        if !Confiner::find(false).unwrap().layers().has(remit_confine::Layer::Mounts) {
            assert!(opened.err().unwrap().to_string().contains("cannot be hidden"));
            return;
        }
        let tools = opened.unwrap().0;
        let handles: Vec<_> = tools.into_iter().map(|tool| tool.open().unwrap().handle()).collect();
        let (fs, shell) = (&handles[0], &handles[2]);
        for file in ["tools.toml", "token", "deep/.env"] {
            let refused = fs.call("read", &(file,)).await.map(|_| ()).unwrap_err();
            assert_eq!(refused.code, crate::kit::Code::NotFound, "{file}");
            let written = fs.call("write", &(file, "mine")).await.map(|_| ());
            assert!(written.is_err(), "{file}");
        }
        // A folder above what is hidden cannot be moved, after which it would have another name.
        let script = "for file in tools.toml token deep/.env deep/private/file made/file; do
                          cat $file && echo read $file; done
                      mv deep elsewhere || echo stays; mv tools.toml x || echo stays
                      echo '[[shell]]' >> tools.toml || echo kept";
        let run = serde_json::json!({"program": "sh", "args": ["-c", script]});
        let ran: serde_json::Value = shell.call("run", &run).await.unwrap().decode().unwrap();
        let out = ran["stdout"].as_str().unwrap();
        assert_eq!(out, "a secret of some lengthread made/file\nstays\nstays\nkept\n", "{ran}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[tokio::test]
    async fn no_tool_of_the_node_changes_a_folder_while_a_run_binds_its_content() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("work")).unwrap();
        std::fs::write(dir.path().join("work/test"), "looked at").unwrap();
        let text = "[[fs]]\nroot = '.'\nwritable = true\n\
                    [[shell]]\nroot = 'work'\nbinds_content = true\n[[shell.program]]\nname = 'sh'\n";
        let config = Config::parse(&dir.path().join("tools.toml"), text.to_owned()).unwrap();
        let handles: Vec<_> = config
            .open()
            .unwrap()
            .0
            .into_iter()
            .map(|tool| tool.open().unwrap().handle())
            .collect();
        let (fs, shell) = (&handles[0], &handles[1]);
        let content = shell.call("content", &serde_json::json!({})).await.unwrap();
        let content: serde_json::Value = content.decode().unwrap();
        let script = "cat test; sleep 0.3; cat test";
        let run = serde_json::json!({"program": "sh", "args": ["-c", script], "content": content});
        let write = ("work/test", "another");
        let (ran, written) = tokio::join!(shell.call("run", &run), fs.call("write", &write));
        written.unwrap();
        let ran: serde_json::Value = ran.unwrap().decode().unwrap();
        assert_eq!(ran["stdout"], "looked atlooked at");
        assert_eq!(std::fs::read_to_string(dir.path().join("work/test")).unwrap(), "another");
    }

    #[tokio::test]
    async fn the_nodes_own_folder_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("b")).unwrap();
        let own = dir.path().join("b/node");
        let text = "[[fs]]\nroot = 'a'\n".to_owned();
        let config = Config::parse(&dir.path().join("tools.toml"), text).unwrap().hiding(&own);
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join("key"), "secret").unwrap();
        let (mut tools, _) = config.open().unwrap();
        let handle = tools.remove(0).open().unwrap().handle();
        let refused = handle.call("read", &("node/key",)).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.code, crate::kit::Code::NotFound);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, word) in [
            ("[[fs]]\nroot = '.'\nroom = 1\n", "line 3", "room"),
            ("[[fs]]\nname = 'a'\n", "line 1", "root"),
            ("[[fs]]\nroot = '.'\n\n[[fs]]\nroot = 'none'\n", "line 4", "none"),
            ("[[fs]]\nroot = '.'\n[[fs]]\nroot = '.'\n", "line 3", "two tools"),
            ("[[ftp]]\nroot = '.'\n", "line 1", "ftp"),
        ] {
            let error = open(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("tools.toml"), "{error}");
            assert!(error.contains(line) && error.contains(word), "{text}\n{error}");
        }
    }
}
