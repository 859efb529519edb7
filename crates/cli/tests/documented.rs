//! Every script and command that the documentation shows runs, and what goes in as JSON comes out as it
//! was.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A script of the documentation, and where it stands.
struct Shown {
    place: String,
    text: String,
    /// What the fence says beside the language.
    remark: String,
}

/// The scripts of a page of documentation.
fn shown(page: &Path) -> Vec<Shown> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut scripts = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(remark) = line.trim().strip_prefix("```ts") else { continue };
        let block: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
        let name = page.file_name().unwrap().to_string_lossy();
        scripts.push(Shown {
            place: format!("{name}:{}", at + 1),
            text: block.join("\n"),
            remark: remark.trim().to_owned(),
        });
    }
    scripts
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![project().join("README.md")];
    let docs = std::fs::read_dir(project().join("docs")).unwrap();
    pages.extend(docs.map(|entry| entry.unwrap().path()));
    pages.retain(|page| page.extension().is_some_and(|ending| ending == "md"));
    pages.sort();
    pages
}

/// A folder with what the scripts of the documentation read.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    for below in ["src", "lib", "notes"] {
        std::fs::create_dir(at(below)).unwrap();
        for file in ["a.rs", "b.rs"] {
            std::fs::write(at(below).join(file), "fn a() {}\n").unwrap();
        }
    }
    std::fs::write(at("server.log"), "started\nERROR one\n").unwrap();
    let git = |args: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        let done = Command::new("git").args(who).args(args).current_dir(&folder).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "src"]);
    git(&["commit", "--quiet", "--message", "one"]);
    folder
}

fn run(folder: &Path, args: &[&str]) -> Output {
    remit(folder).arg("run").args(args).output().unwrap()
}

#[test]
fn every_script_of_the_documentation_runs() {
    let folder = folder();
    let (mut ran, mut waiting) = (0, 0);
    for script in pages().iter().flat_map(|page| shown(page)) {
        // One that asks a person is run by the tests of what people decide.
        if script.remark == "asks-a-person" {
            waiting += 1;
            continue;
        }
        // What it shows is that the timer survives, and not that it takes a minute.
        let text = script.text.replace("60_000", "10");
        std::fs::write(folder.path().join("shown.ts"), text).unwrap();
        let grants = ["files=fs", "src=fs", "repo=git", "tasks=tasks"];
        let mut args = vec!["shown.ts"];
        args.extend(grants.iter().flat_map(|grant| ["--grant", grant]));
        let output = run(folder.path(), &args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", script.place);
        ran += 1;
    }
    assert!(ran >= 8 && waiting <= 2, "{ran} ran, {waiting} wait for a person");
}

#[test]
fn json_comes_out_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let script = "import data from './data.json';
        export default (remit, input) => ({ input, data, stored: JSON.stringify(input) });";
    std::fs::write(folder.path().join("a.ts"), script).unwrap();
    let json = r#"{"id":1234567890123456789,"top":18446744073709551615,"least":-9223372036854775808,"zero":-0.0,"none":{"$float":"NaN"},"raw":{"$data":"AP8="},"__proto__":{"x":1}}"#;
    std::fs::write(folder.path().join("data.json"), r#"{"id":9007199254740993}"#).unwrap();
    let output = run(folder.path(), &["a.ts", "--input", json]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let compact: String = printed.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(compact.contains(&format!("\"input\":{json}")), "{printed}");
    assert!(compact.contains(r#""data":{"id":9007199254740993}"#), "{printed}");
    assert!(compact.contains(r#"{\"id\":1234567890123456789,"#), "{printed}");
    let output = run(folder.path(), &["a.ts", "--input", "{\"id\": 18446744073709551616}"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("64 bits"));
}

/// A command that the documentation shows, and where it stands.
struct Typed {
    place: String,
    text: String,
}

/// Commands that serve until they are ended. The test of `deploy/README.md` runs each.
const SERVES: [&str; 2] = ["remit orchestrator", "remit tool-node"];

/// Commands that the machine of this test refuses, and the beginning of the reason: no outcome is
/// unknown here, no tool changed, nobody is at a terminal, and the program of the page is not there.
const REFUSED: [(&str, &str); 4] = [
    ("remit settle", "the task has no call 1 of unknown outcome"),
    ("remit tools accept", "`fs` is accepted as it is"),
    ("remit give", "say which capability to give"),
    ("remit mcp add", "there is no program"),
];

/// The commands in the blocks of a page. A line that ends with a backslash goes on in the next one.
fn typed(page: &Path) -> Vec<Typed> {
    let text = std::fs::read_to_string(page).unwrap().replace("\\\n", "");
    let name = page.file_name().unwrap().to_string_lossy().into_owned();
    let mut inside = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            continue;
        }
        let line = line.trim().trim_start_matches("$ ");
        if inside && line.starts_with("remit ") && !SERVES.iter().any(|one| line.starts_with(one)) {
            commands.push(Typed { place: name.clone(), text: line.to_owned() });
        }
    }
    commands
}

/// Waits for input, holding something.
const WAITS: &str = "export default (remit) => remit.input();";
const ENDS: &str = "export default () => 1;";
const HELD: &str = "export default async (remit) => {
    try { await remit.files.write('held.md', 'text'); } catch (error) { return error.code; }
};";
const ASKS: &str = "export default async (remit) => {
    try { await remit.request({ tool: 'git', reason: 'a look' }); } catch (error) { return error.code; }
};";
/// A folder with a mesh that runs, and what the commands of the documentation name.
struct Machine {
    folder: tempfile::TempDir,
    up: std::process::Child,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let pid = self.up.id().to_string();
        let _told = Command::new("kill").args(["-TERM", &pid]).status();
        let _ended = self.up.wait();
    }
}

impl Machine {
    fn start() -> Self {
        let folder = folder();
        let at = |path: &str| folder.path().join(path);
        std::fs::write(at("waits.ts"), WAITS).unwrap();
        std::fs::write(at("held.ts"), HELD).unwrap();
        std::fs::write(at("asks.ts"), ASKS).unwrap();
        for name in ["ends.ts", "report.ts", "build.ts"] {
            std::fs::write(at(name), ENDS).unwrap();
        }
        std::fs::write(at("token.txt"), "secret").unwrap();
        std::fs::create_dir(at("exports")).unwrap();
        std::fs::create_dir_all(at("secrets/local")).unwrap();
        let secret = at("secrets/local/build");
        std::fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
        std::fs::set_permissions(secret, Permissions::from_mode(0o600)).unwrap();
        let tools = "[[fs]]\nroot = \".\"\nwritable = true\n[[git]]\nroot = \".\"\n";
        std::fs::write(at("remit.tools.toml"), tools).unwrap();
        let mut up = remit(folder.path());
        up.arg("up").env("REMIT_WEBHOOKS", "127.0.0.1:0");
        up.env("REMIT_WEBHOOK_SECRETS", at("secrets"));
        let up = up.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { folder, up }
    }

    fn shell(&self, line: &str) -> Output {
        let mut command = Command::new("bash");
        let program = Path::new(env!("CARGO_BIN_EXE_remit")).parent().unwrap();
        command.args(["-c", &format!("PATH={}:$PATH; {line}", program.display())]);
        surround(&mut command, self.folder.path());
        command.output().unwrap()
    }

    /// What a command prints that has to succeed.
    fn said(&self, line: &str) -> String {
        let output = self.shell(line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The id of a new task of `script`. One that asks something has asked it.
    fn task(&self, script: &str, grants: &str) -> String {
        let task = self.said(&format!("remit run {script}.ts --follow=false {grants}"));
        let task = task.trim().to_owned();
        if script == "ends" {
            self.said(&format!("remit attach {task}"));
        }
        task
    }

    fn json(&self, line: &str) -> Vec<serde_json::Value> {
        self.said(line).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The number of the one call of a task that waits for a person.
    fn call(&self, task: &str) -> String {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while std::time::Instant::now() < deadline {
            let waiting = self.json("remit inbox --json");
            if let Some(question) = waiting.iter().find(|question| question["task"] == *task) {
                return question["operation"].to_string();
            }
        }
        panic!("nothing came to the inbox: {}", self.said(&format!("remit log {task}")));
    }

    /// The command with the names of things that are there in place of its placeholders.
    fn filled(&self, command: &str) -> String {
        let mut line = command.to_owned();
        if line.contains(" TASK") {
            let words: Vec<&str> = line.split(' ').collect();
            let (script, grants) = match words[1] {
                "approve" | "deny" => ("held", "--grant 'files=fs?requiresApproval=write'"),
                "give" => ("asks", ""),
                "attach" => ("ends", "--grant repo=git"),
                _ => ("waits", "--grant repo=git --grant files=fs"),
            };
            let task = self.task(script, grants);
            if words[1] == "settle" {
                line = line.replace(" CALL", " 1");
            } else if line.contains(" CALL") {
                line = line.replace(" CALL", &format!(" {}", self.call(&task)));
            }
            line = line.replace(" TASK", &format!(" {task}"));
        }
        if line.contains("remit:AQRob21l...")
            || line.contains("line.txt")
            || line.contains("@build")
        {
            let script =
                if line.contains("attach") || line.contains("keep") { "ends" } else { "waits" };
            let task = self.task(script, "--grant repo=git --grant files=fs");
            let grant =
                if line.contains("call") || line.contains("narrow") { "--grant files" } else { "" };
            let saved = self.said(&format!("remit save {task} {grant} --label x | tee line.txt"));
            line = line.replace("remit:AQRob21l...", saved.trim());
        }
        if line.contains("revoke ID") {
            let saved = self.json("remit refs list --json");
            line = line.replace("ID", saved[0]["id"].as_str().unwrap());
        }
        line.replace(" TOOL", " fs")
            .replace(" GRANT", if line.contains("give") { " git" } else { " 1" })
    }
}

fn surround(command: &mut Command, folder: &Path) {
    command.current_dir(folder).stdin(Stdio::null()).env("XDG_STATE_HOME", folder.join("state"));
    command.env_remove("REMIT_HOME").env_remove("REMIT_MESH").env_remove("REMIT_LOG");
}

fn remit(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remit"));
    surround(&mut command, folder);
    command
}

#[test]
fn every_command_of_the_documentation_works() {
    let machine = Machine::start();
    std::fs::write(machine.folder.path().join("README.md"), "read").unwrap();
    let mut failed = Vec::new();
    let mut ran = 0;
    for command in pages().iter().flat_map(|page| typed(page)) {
        let line = machine.filled(&command.text);
        let output = machine.shell(&line);
        ran += 1;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let refused =
            REFUSED.iter().any(|(begin, why)| line.starts_with(begin) && said.contains(why));
        if !output.status.success() && !refused {
            failed.push(format!("{}: {}\n    as {line}\n    {said}", command.place, command.text));
        }
    }
    assert!(ran >= 50, "{ran} ran");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The words of the commands between backticks, up to the first that is a name or an option; and the
/// options.
fn named(page: &Path) -> Vec<(Vec<String>, Vec<String>)> {
    let text = std::fs::read_to_string(page).unwrap();
    let spans = text.split('`').filter(|span| span.starts_with("remit ") && !span.contains('\n'));
    let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let commands = spans.map(|span| {
        let words: Vec<&str> = span.split_whitespace().skip(1).collect();
        let begin = words.iter().take_while(|word| is_word(word) && !word.starts_with('-'));
        let options = words.iter().take_while(|word| **word != "--");
        let options = options.filter(|word| word.starts_with("--"));
        let name = |option: &&str| option.split('=').next().unwrap().to_owned();
        (begin.map(|word| (*word).to_owned()).collect(), options.map(name).collect())
    });
    commands.collect()
}

#[test]
fn every_command_that_the_text_names_exists() {
    let mut failed = Vec::new();
    let more = ["deploy/README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"];
    // The protocol's page has labels of keys that look like commands.
    let pages = pages().into_iter().filter(|page| !page.ends_with("protocol.md"));
    let pages = pages.chain(more.map(|page| project().join(page)));
    let mut commands: Vec<_> = pages.flat_map(|page| named(&page)).collect();
    commands.sort();
    commands.dedup();
    let folder = tempfile::tempdir().unwrap();
    for (words, options) in &commands {
        let output = remit(folder.path()).args(words).arg("--help").output().unwrap();
        let help = String::from_utf8_lossy(&output.stdout);
        let unknown = options.iter().find(|option| !help.contains(option.as_str()));
        if !output.status.success() || unknown.is_some() {
            failed.push(format!("remit {} {options:?}", words.join(" ")));
        }
    }
    assert!(commands.len() >= 60, "{}", commands.len());
    assert!(failed.is_empty(), "{failed:#?}");
}
