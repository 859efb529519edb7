//! `remit mcp add`: writes the section of an MCP server into a tool node's configuration.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use remit_confine::Network;
use remit_tool_node::config::Config;
use remit_tool_node::tools::mcp::{self, SecretConfig, import};
use serde::Serialize;

use crate::command::tool_node::here;
use crate::fault::{Fault, doing};
use crate::show::out;

/// Add an MCP server to the tools of this folder
///
/// It may change the folders that its command names, its home and what --write names; it reads the
/// system and what --read names.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The tool's name
    name: String,

    /// Where a remote server is reached
    #[arg(long, conflicts_with = "command")]
    url: Option<String>,

    /// The program with its arguments
    #[arg(last = true, value_name = "COMMAND", required_unless_present = "url")]
    command: Vec<String>,

    /// The configuration that is added to; if it is not there, it is made, and serves this folder too
    #[arg(long, value_name = "FILE", default_value = "remit.tools.toml")]
    config: PathBuf,

    /// Whom the program may talk to
    #[arg(long, value_enum, default_value_t = Reach::Host)]
    network: Reach,

    /// A folder that the program may read; may be repeated
    #[arg(long, value_name = "DIR")]
    read: Vec<PathBuf>,

    /// A folder that the program may change; may be repeated
    #[arg(long, value_name = "DIR")]
    write: Vec<PathBuf>,

    /// A variable of its environment whose value a file holds; may be repeated
    #[arg(long, value_name = "NAME=FILE")]
    secret: Vec<String>,

    /// A header for a remote server whose value a file holds, with what stands before it:
    /// `Authorization=Bearer FILE`; may be repeated
    #[arg(long, value_name = "NAME=FILE")]
    header: Vec<String>,
}

/// Whom a program may talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reach {
    /// Its own processes
    None,
    /// Everyone whom this machine reaches
    Host,
}

/// What is added to a file.
#[derive(Serialize)]
struct Added {
    mcp: [mcp::Config; 1],
}

impl Add {
    pub(super) fn execute(self) -> Result<(), Fault> {
        let file = std::path::absolute(&self.config).map_err(doing("the configuration"))?;
        let before = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                here(file.parent().unwrap_or(Path::new("")))
            }
            Err(error) => return Err(doing(file.display())(error)),
        };
        let section = self.section()?;
        section.check_program(file.parent().unwrap_or(Path::new(""))).map_err(Fault::Usage)?;
        let added = toml::to_string(&Added { mcp: [section] });
        let added = added.map_err(doing("the section"))?;
        let text = format!("{}\n\n{added}", before.trim_end());
        check(&file, &text, &self.name)?;
        // Beside it first: a configuration that is half written would serve less, or more.
        let part = file.with_extension("toml.part");
        std::fs::File::create(&part)
            .and_then(|mut to| to.write_all(text.as_bytes()).and_then(|()| to.sync_all()))
            .and_then(|()| std::fs::rename(&part, &file))
            .map_err(doing(file.display()))?;
        out::line(added.trim_end())?;
        out::note(&format!(
            "remit: added to {}; a tool node that runs takes it when it is started again",
            file.display()
        ));
        Ok(())
    }

    fn section(&self) -> Result<mcp::Config, Fault> {
        let folder = std::path::absolute(".").map_err(doing("the current folder"))?;
        let mut section = match &self.url {
            Some(url) => import::remote(&self.name, url),
            None => import::program(&self.name, self.command.clone(), &folder),
        }
        .map_err(Fault::Usage)?;
        if self.url.is_none() && self.network == Reach::None {
            section.network = Network::None;
        }
        let whole = |path: &PathBuf| folder.join(path);
        section.read.extend(self.read.iter().map(whole));
        section.write.extend(self.write.iter().map(whole));
        let secret = |word: &String| secret(word, &folder);
        section.secret = self.secret.iter().map(secret).collect::<Result<_, _>>()?;
        section.header = self.header.iter().map(secret).collect::<Result<_, _>>()?;
        Ok(section)
    }
}

/// `NAME=FILE`, or `NAME=PREFIX FILE`.
fn secret(word: &str, folder: &Path) -> Result<SecretConfig, Fault> {
    let usage = || Fault::Usage(format!("`{word}` is no secret: write NAME=FILE"));
    let (name, value) = word.split_once('=').ok_or_else(usage)?;
    let (prefix, file) = match value.rsplit_once(' ') {
        Some((prefix, file)) => (format!("{prefix} "), file),
        None => (String::new(), value),
    };
    let file = Some(folder.join(file));
    Ok(SecretConfig { name: name.to_owned(), prefix, file, env: None })
}

/// Whether the text is a configuration in which only one tool has this name.
fn check(file: &Path, text: &str, name: &str) -> Result<(), Fault> {
    Config::parse(file, text.to_owned()).map_err(|error| Fault::Failed(error.to_string()))?;
    let table: toml::Table = toml::from_str(text).map_err(doing("the configuration"))?;
    let sections = table.iter().filter_map(|(kind, sections)| Some((kind, sections.as_array()?)));
    let names = sections.flat_map(|(kind, sections)| {
        let named = |section: &toml::Value| {
            let name = section.as_table()?.get("name").and_then(toml::Value::as_str);
            Some(name.unwrap_or(kind).to_owned())
        };
        sections.iter().filter_map(named)
    });
    match names.filter(|taken| taken == name).count() {
        0 | 1 => Ok(()),
        _ => Err(Fault::Usage(format!("{} has a tool `{name}` already", file.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(dir: &Path, name: &str, program: &str) -> Result<(), Fault> {
        let command = [program, "--repository", dir.to_str().unwrap()];
        Add {
            name: name.into(),
            url: None,
            command: command.map(str::to_owned).into(),
            config: dir.join("remit.tools.toml"),
            network: Reach::None,
            read: Vec::new(),
            write: Vec::new(),
            secret: vec!["TOKEN=token".into()],
            header: Vec::new(),
        }
        .execute()
    }

    #[test]
    fn a_section_is_added_once_and_the_folder_is_served_as_before() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), "git-server", "sh").unwrap();
        let text = std::fs::read_to_string(dir.path().join("remit.tools.toml")).unwrap();
        assert!(text.contains("[[fs]]") && text.contains("network = \"none\""), "{text}");
        assert!(matches!(add(dir.path(), "git-server", "sh"), Err(Fault::Usage(_))));
        assert!(matches!(add(dir.path(), "fs", "sh"), Err(Fault::Usage(_))));
        let missing = add(dir.path(), "other", "no-such-program");
        assert!(matches!(missing, Err(Fault::Usage(why)) if why.contains("no-such-program")));
        assert_eq!(std::fs::read_to_string(dir.path().join("remit.tools.toml")).unwrap(), text);
    }
}
