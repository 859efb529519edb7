//! Sections from elsewhere: a word of a command line, or the `mcpServers` of other programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use remit_confine::Network;
use serde::Deserialize;

use super::{Config, SpelledOut};
use crate::config::variable;
use crate::tools::web;

/// The file in which other programs name their servers. What else stands in it is passed over.
#[derive(Deserialize)]
struct Others {
    #[serde(rename = "mcpServers", alias = "servers")]
    servers: BTreeMap<String, Other>,
}

/// A server as other programs name it.
#[derive(Deserialize)]
struct Other {
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    cwd: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    disabled: bool,
}

/// Reads `NAME=COMMAND` or `NAME=URL`: a server that reaches the network and the folders that its
/// command names. A command is split at spaces as a shell does, with quotes, and nothing else of a
/// shell.
///
/// # Errors
/// It is neither, in words.
pub fn word(word: &str, base: &Path) -> Result<Config, String> {
    let named = word.split_once('=').filter(|(name, _)| is_name(name));
    let (name, what) = named.ok_or_else(|| {
        format!("`{word}` is no server: write NAME=COMMAND or NAME=URL, with a name of letters and digits")
    })?;
    match what.contains("://") && !what.contains(' ') {
        true => remote(name, what),
        false => program(name, split(what)?, base),
    }
}

/// A server that is reached at `url`.
///
/// # Errors
/// The name or the address is none, in words.
pub fn remote(name: &str, url: &str) -> Result<Config, String> {
    check_name(name)?;
    web::parse(url)?;
    Ok(Config { url: Some(url.to_owned()), ..Config::named(name) })
}

/// A program that reaches the network and the folders that its command names.
///
/// # Errors
/// The name is none, in words.
pub fn program(name: &str, command: Vec<String>, base: &Path) -> Result<Config, String> {
    check_name(name)?;
    let folder = |arg: &&String| arg.contains(['/', '.']) && base.join(arg).is_dir();
    let folders = command.iter().skip(1).filter(folder);
    // A program of a virtual environment has its parts there. No other folder is opened for where the
    // program lies: two levels up from a script in a home folder is that folder.
    let own = command.first().map(PathBuf::from).filter(|program| program.is_absolute());
    let own = own.and_then(|program| Some(program.parent()?.parent()?.to_owned()));
    let own = own.filter(|own| own.join("pyvenv.cfg").is_file());
    Ok(Config {
        write: folders
            .map(|folder| std::path::absolute(base.join(folder)).unwrap_or_default())
            .collect(),
        read: own.into_iter().collect(),
        // Many are fetched when they start, and few of them work without the network.
        network: Network::Host,
        // Named as seen from another folder, it is another one.
        root: None,
        command: command.iter().map(|arg| absolute(arg, base)).collect(),
        ..Config::named(name)
    })
}

/// A folder that an argument names, with its whole path: the program starts in another one.
fn absolute(arg: &str, base: &Path) -> String {
    let path = base.join(arg);
    if arg.contains(['/', '.']) && path.is_dir() {
        let whole = std::path::absolute(&path).unwrap_or(path);
        return whole.to_string_lossy().into_owned();
    }
    arg.to_owned()
}

/// Reads the servers in a file of `mcpServers`, as other programs have it, with `${NAME}` for
/// variables of the environment.
///
/// # Errors
/// It is none, in words that hold no value of it.
pub fn others(text: &str, base: &Path) -> Result<Vec<Config>, String> {
    let others: Others = serde_json::from_str(text).map_err(|error| {
        format!("no `mcpServers` at line {}, column {}", error.line(), error.column())
    })?;
    let live = others.servers.into_iter().filter(|(_, other)| !other.disabled);
    live.map(|(name, other)| other.section(&name, base)).collect()
}

impl Other {
    fn section(self, name: &str, base: &Path) -> Result<Config, String> {
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let of = |why: String| format!("{name}: {why}");
        let mut variables = Vec::new();
        let mut value = |text: &str| expanded(text, &mut variables).map_err(of);
        let mut values = |map: BTreeMap<String, String>| {
            let pair = |(name, text): (String, String)| Ok((name, value(&text)?));
            map.into_iter().map(pair).collect::<Result<Vec<_>, String>>()
        };
        let (env, headers) = (values(self.env)?, values(self.headers)?);
        let url = self.url.as_deref().map(&mut value).transpose()?;
        let command = self.command.iter().chain(&self.args).map(|word| value(word));
        let command = command.collect::<Result<Vec<_>, _>>()?;
        let spelled_out = SpelledOut { env, headers, variables };
        match self.command {
            Some(_) => Ok(Config { root: self.cwd, spelled_out, ..program(&name, command, base)? }),
            None => Ok(Config { url, spelled_out, ..Config::named(&name) }),
        }
    }
}

/// A text with `${NAME}`, `${env:NAME}` and `${NAME:-DEFAULT}` replaced. The variables that it holds are
/// added to `variables`.
fn expanded(text: &str, variables: &mut Vec<(String, String)>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, after) = after.split_once('}').ok_or("a `${` without its `}`")?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (inside.strip_prefix("env:").unwrap_or(inside), None),
        };
        let of_environment = variable(name);
        variables.extend(of_environment.clone().map(|value| (name.to_owned(), value)));
        let value = of_environment.or(default);
        let value = value.ok_or_else(|| format!("the environment has no variable `{name}`"))?;
        out = out + before + &value;
        rest = after;
    }
    Ok(out + rest)
}

fn check_name(name: &str) -> Result<(), String> {
    match is_name(name) {
        true => Ok(()),
        false => Err(format!("`{name}` is no name of a tool: use letters, digits, `-` and `_`")),
    }
}

/// Whether a server can have this name.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The words of a command.
fn split(command: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match (quote, c) {
            (None, '\'' | '"') => (quote, word) = (Some(c), Some(word.unwrap_or_default())),
            (Some(open), _) if open == c => quote = None,
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match (quote, words.is_empty()) {
        (Some(_), _) => Err(format!("`{command}`: a quote is not closed")),
        (None, true) => Err("the command is empty".into()),
        (None, false) => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_command_line_is_a_server() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a b")).unwrap();
        let server = word("files=npx -y server './a b' --flag", dir.path()).unwrap();
        let folder = std::path::absolute(dir.path().join("./a b")).unwrap();
        assert_eq!(server.command, ["npx", "-y", "server", folder.to_str().unwrap(), "--flag"]);
        assert_eq!((server.name.as_str(), server.write), ("files", vec![folder]));
        let remote = word("x=http://127.0.0.1:9/mcp?a=b", dir.path()).unwrap();
        assert_eq!(remote.url.as_deref(), Some("http://127.0.0.1:9/mcp?a=b"));
        for wrong in ["npx", "=npx", "a b=npx", "x=", "x='npx", "x=ftp://a.example"] {
            assert!(word(wrong, dir.path()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_the_folders_around_a_program_only_a_virtual_environment_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let command = || vec![dir.path().join("bin/server").to_string_lossy().into_owned()];
        assert_eq!(program("x", command(), dir.path()).unwrap().read, Vec::<PathBuf>::new());
        std::fs::write(dir.path().join("pyvenv.cfg"), "").unwrap();
        assert_eq!(program("x", command(), dir.path()).unwrap().read, [dir.path()]);
    }

    #[test]
    fn the_file_of_another_program_is_read_as_it_is() {
        let text = r#"{"theme": "dark", "mcpServers": {
            "git hub": {"command": "npx", "args": ["-y", "x"], "env": {"TOKEN": "${NO_SUCH:-abc}"}},
            "far": {"type": "http", "url": "https://a.example/mcp", "headers": {"Authorization": "Bearer x"}},
            "off": {"command": "x", "disabled": true}}}"#;
        let servers = others(text, Path::new("/")).unwrap();
        assert_eq!(servers.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["far", "git-hub"]);
        assert_eq!(servers[1].spelled_out.env, [("TOKEN".to_owned(), "abc".to_owned())]);
        assert!(!format!("{servers:?}").contains("Bearer"));
        let missing = others(&text.replace(":-abc", ""), Path::new("/")).unwrap_err();
        assert!(missing.contains("NO_SUCH"), "{missing}");
    }
}
