//! Canaries: secrets are planted in many places, and must appear in no output, log or journal.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use remit_client::{
    Does, GrantSpec, Missed, RefSpec, Role, TaskHandle, TaskSpec, Trigger, Webhook, When,
};
use remit_tests::binary;
use remit_tests::looking::look_until;
use remit_tests::mesh::{Mesh, now_ms};
use remit_tests::process::{self, Process};
use remit_tests::typed::Typed;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A public marker that must be found, which shows that the search works.
const PUBLIC: &str = "public-marker-4711";

const IN_ENVIRONMENT: &str = "canary-environment-81d3";
const IN_HEADER_FILE: &str = "canary-header-file-22f0";
const IN_HEADER_ENV: &str = "canary-header-env-9c41";
const OUTSIDE: &str = "canary-outside-of-the-grant-5e77";
const HIDDEN: &str = "canary-hidden-by-the-operator-b066";

/// Tries every way in which a script could read data outside its grants.
const SCRIPT: &str = r#"export default async (remit) => {
    const seen = [];
    const tell = async (what, get) => {
        try { seen.push([what, await get()]); }
        catch (e) {
            const all = {};
            for (const name of Object.getOwnPropertyNames(e)) all[name] = String(e[name]);
            seen.push([what, String(e), all]);
        }
    };
    await tell("open", () => remit.files.read("open.txt"));
    for (const path of ["../outside.txt", "link.txt", "linked/outside.txt", "private/key.txt",
        "private", "/proc/self/environ", "./../outside.txt", "a/../../outside.txt"]) {
        await tell(path, () => remit.files.read(path));
        await tell(path, () => remit.files.list(path));
        await tell(path, () => remit.files.dir(path).file("outside.txt").read());
    }
    await tell("glob", () => remit.files.glob("**"));
    await tell("search", () => remit.files.search({ pattern: "canary" }));
    await tell("env", () => remit.programs.run("env", []));
    await tell("environ", () => remit.programs.run("cat", ["/proc/self/environ"]));
    await tell("unknown program", () => remit.programs.run("printenv", []));
    await tell("get", () => remit.web.get(remit.input_url ?? ""));
    const url = await remit.input();
    await tell("echoed", () => remit.web.get(url + "/echo"));
    await tell("redirected", () => remit.web.get(url + "/redirect"));
    await tell("elsewhere", () => remit.web.get("http://127.0.0.1:1/"));
    await tell("own header", () => remit.web.get(url + "/echo", { headers: { Authorization: "x" } }));
    await tell("probe fails", () => remit.probe.append({ wrong: 1 }));
    for (let n = 0; n < 20; n++) {
        await tell("directly", async () => (await remit.probe.large(100000)).length);
        await remit.sleep(5);
    }
    for (const name of ["process", "Deno", "require", "std", "os", "env", "module"]) {
        await tell(name, () => String(globalThis[name]));
    }
    for (const name of ["fs", "node:fs", "std", "os", "/proc/self/environ"]) {
        await tell("import " + name, () => import(name).then((all) => Object.keys(all)));
    }
    const names = (of) => Object.getOwnPropertyNames(of).map((name) => {
        try { return [name, String(of[name])]; } catch (e) { return [name, String(e)]; }
    });
    seen.push(names(globalThis), names(remit), new Error("where").stack);
    const all = JSON.stringify(seen);
    console.log(all.slice(0, 10000));
    console.error(all.slice(10000, 20000));
    return all;
}"#;

/// A server that echoes each request.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let own = address.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 16 << 10];
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            let asked = String::from_utf8_lossy(&bytes[..read]).into_owned();
            let answer = if asked.contains(" /redirect ") {
                format!(
                    "HTTP/1.1 302 Found\r\nLocation: {own}/echo\r\nX-Back: {asked:?}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
            } else {
                let body = format!("you said: {asked}");
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                )
            };
            let _sent = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// Writes files and a configuration with secrets inside and outside the reach of the tools.
fn plant(dir: &Path, web: &str) -> PathBuf {
    let root = dir.join("root");
    std::fs::create_dir_all(root.join("private")).unwrap();
    std::fs::write(root.join("open.txt"), PUBLIC).unwrap();
    std::fs::write(root.join("private/key.txt"), HIDDEN).unwrap();
    std::fs::write(dir.join("outside.txt"), OUTSIDE).unwrap();
    symlink(dir.join("outside.txt"), root.join("link.txt")).unwrap();
    symlink(dir, root.join("linked")).unwrap();
    let token = dir.join("token");
    std::fs::write(&token, IN_HEADER_FILE).unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = dir.join("remit.tools.toml");
    let text = format!(
        "[[fs]]\nname = \"files\"\nroot = \"root\"\nhidden = [\"private\"]\nwritable = true\n\
         [[shell]]\nname = \"programs\"\nroot = \"root\"\nenv = {{ LANG = \"C.UTF-8\" }}\n\
         [[shell.program]]\nname = \"env\"\n[[shell.program]]\nname = \"cat\"\n\
         [[http]]\nname = \"web\"\nallow = [\"{web}/\"]\nprivate_addresses = true\n\
         [[http.header]]\nname = \"Authorization\"\nprefix = \"Bearer \"\nfile = \"token\"\n\
         [[http.header]]\nname = \"X-Key\"\nenv = \"CANARY_KEY\"\n"
    );
    std::fs::write(&config, text).unwrap();
    config
}

/// Starts the tool node that serves them, with secrets in its environment.
async fn serve(mesh: &Mesh, config: &Path) -> Process {
    let line = mesh.client.invite(Role::ToolNode, "work", Duration::from_secs(60)).await.unwrap();
    let (data, log) = (mesh.dir().join("work"), mesh.dir().join("work.log"));
    let environment = [("CANARY", IN_ENVIRONMENT), ("CANARY_KEY", IN_HEADER_ENV)];
    let environment = environment.map(|(name, value)| format!("{name}={value}"));
    let program = binary::remit();
    let mut args: Vec<&str> = environment.iter().map(String::as_str).collect();
    args.extend([program.to_str().unwrap(), "tool-node", "--data", data.to_str().unwrap()]);
    args.extend(["--orchestrator", mesh.address(), "--config", config.to_str().unwrap()]);
    args.extend(["--join", &line]);
    let node = Process::start(Path::new("/usr/bin/env"), &args, &log);
    look_until("the tools are there", async || {
        let tools = mesh.client.tools().await.unwrap();
        tools.iter().any(|tool| tool.manifest.tool == "files" && tool.available)
    })
    .await;
    node
}

/// Every secret with its name, raw and in hexadecimal.
struct Secrets(Vec<(String, Vec<u8>)>);

impl Secrets {
    fn add(&mut self, what: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        assert!(bytes.len() >= 16, "{what} is too short to be looked for");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.push((format!("{what}, in hexadecimal"), hex.into_bytes()));
        self.0.push((what.to_owned(), bytes));
    }

    /// Adds the keys of all members and of the authority. Returns their number.
    fn add_keys(&mut self, dir: &Path) -> usize {
        let mut keys = 0;
        for file in files(dir) {
            let bytes = std::fs::read(&file).unwrap();
            let what = format!("the key in {}", file.display());
            let text = String::from_utf8_lossy(&bytes);
            if file.ends_with("authority-key.der") {
                // The private number alone: the bytes around it are the same in all keys.
                self.add(&what, &bytes[36..68]);
            } else if let Some((_, key)) = text.split_once("BEGIN PRIVATE KEY-----") {
                self.add(&what, key.lines().nth(2).unwrap());
            } else {
                continue;
            }
            keys += 1;
        }
        keys
    }

    /// Fails if `bytes` contains a secret, and names it.
    fn check(&self, place: &str, bytes: &[u8]) {
        let escaped = |secret: &[u8]| -> String {
            secret.iter().map(|byte| format!("\\x{byte:02x}")).collect()
        };
        let any: Vec<String> = self.0.iter().map(|(_, secret)| escaped(secret)).collect();
        let any = regex::bytes::Regex::new(&format!("(?-u){}", any.join("|"))).unwrap();
        if let Some(found) = any.find(bytes) {
            let what = self.0.iter().find(|(_, secret)| secret == found.as_bytes());
            let from = found.start().saturating_sub(80);
            let around = String::from_utf8_lossy(&bytes[from..found.end()]);
            panic!("{} is in {place}: {around}", what.unwrap().0);
        }
    }
}

fn files(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let mut all = Vec::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => left.push(entry.path()),
                kind if kind.is_file() => all.push(entry.path()),
                _ => {}
            }
        }
    }
    all.into_iter()
}

/// Makes the other kinds of secrets: an invite, a webhook's secret, and references.
async fn hand_out(mesh: &Mesh, task: &TaskHandle, secrets: &mut Secrets) {
    let invite = mesh.client.invite(Role::Client, "later", Duration::from_secs(600)).await.unwrap();
    secrets.add("an invite", secret_part(&invite));
    let does = Does::Create(Box::new(TaskSpec::script("hooked", "export default () => 1")));
    let (name, missed) = ("hook".to_owned(), Missed::Skip);
    let hook = Trigger { name, when: When::Webhook(Webhook::default()), missed, does };
    secrets.add("a webhook's secret", mesh.client.put_trigger(hook).await.unwrap());
    let grant = task.grants().await.unwrap()[0].grant;
    for reference in [
        task.save(RefSpec::new("the task")).await.unwrap(),
        task.save_grant(grant, RefSpec::new("a grant")).await.unwrap(),
    ] {
        let _live = mesh.client.restore(&reference).await.unwrap();
        let (line, bytes) = (reference.to_line(), reference.to_bytes());
        secrets.add("the end of a reference", &line[line.len() - 40..]);
        // Without appended links the bytes end in 32 secret bytes, the count 0, and a tag of 32
        // bytes.
        let (secret, tag) = bytes[bytes.len() - 65..].split_at(33);
        secrets.add("the bits of a reference", &secret[..32]);
        secrets.add("the tag of a reference", tag);
    }
}

/// The longest word of an invite, which is its secret.
fn secret_part(line: &str) -> &str {
    let parts = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    parts.max_by_key(|part| part.len()).unwrap()
}

/// The output of every command that shows data.
async fn shown(typed: &Typed, id: &str) -> Vec<(String, Vec<u8>)> {
    let mut shown = Vec::new();
    for args in [
        &["log", id][..],
        &["log", "--json", id],
        &["audit"],
        &["audit", "--json"],
        &["audit", "verify"],
        &["who", "files"],
        &["grants", id],
        &["ps"],
        &["tools"],
        &["nodes"],
        &["inbox"],
        &["refs"],
        &["trigger", "ls"],
        &["doctor"],
        &["verify"],
    ] {
        let output = typed.output(args).await;
        shown.push((format!("remit {args:?}"), [output.stdout, output.stderr].concat()));
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_turns_up_where_it_does_not_belong() {
    process::log_everything();
    let mesh = Mesh::start(1).await;
    let web = echo().await;
    let place = tempfile::tempdir().unwrap();
    let config = plant(place.path(), &web);
    let _node = serve(&mesh, &config).await;
    let typed = Typed::new(&mesh).await;
    let mut secrets = Secrets(Vec::new());
    for secret in [IN_ENVIRONMENT, IN_HEADER_FILE, IN_HEADER_ENV, OUTSIDE, HIDDEN] {
        secrets.add(secret, secret);
    }
    let grants = ["files", "programs", "web", "probe"];
    // A direct path, so that tickets and tokens are in use.
    let text =
        |name: &str| if name == "probe" { "probe?route=direct".into() } else { name.to_owned() };
    let spec = grants.iter().fold(TaskSpec::script("canary", SCRIPT), |spec, name| {
        spec.grant(GrantSpec::parse(name, &text(name), now_ms()).unwrap())
    });
    let task = mesh.client.create_task(spec).await.unwrap();
    hand_out(&mesh, &task, &mut secrets).await;
    assert!(secrets.add_keys(mesh.dir()) >= 5, "of the authority, nodes, and people");
    task.send(remit_client::Value::Text(web)).await.unwrap();
    let result = task.result().await.unwrap();
    let told = format!("{result:?}").into_bytes();
    assert!(String::from_utf8_lossy(&told).contains(PUBLIC), "what is open is read");
    assert!(String::from_utf8_lossy(&told).contains("you said"), "the server was reached");
    secrets.check("what the script was told", &told);
    let shown = shown(&typed, &task.id().to_string()).await;
    for (how, bytes) in &shown {
        secrets.check(how, bytes);
    }
    let log = String::from_utf8_lossy(&shown[1].1);
    assert!(log.contains(PUBLIC), "what is looked through is the whole log");
    assert!(log.contains("introduced"), "the nodes were brought together");
    let mut searched = 0;
    let mut stored = false;
    let public = regex::bytes::Regex::new(PUBLIC).unwrap();
    for file in files(mesh.dir()) {
        let name = file.to_string_lossy().into_owned();
        if name.ends_with(".log") || name.contains("/journal/") || name.contains("/ledger/") {
            let bytes = std::fs::read(&file).unwrap();
            stored |= public.is_match(&bytes);
            secrets.check(&name, &bytes);
            searched += bytes.len();
        }
    }
    assert!(
        stored && searched > 50_000,
        "the journal is among the {searched} bytes looked through"
    );
}
