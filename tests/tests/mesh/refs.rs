//! A sturdy reference on a mesh of real processes: saved, lost sight of, restored, taken back.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::io::{BufRead as _, BufReader};

use remit_client::{
    Client, Code, Error, EventNumber, Fact, RefSpec, Reference, Restored, TaskHandle, Value,
    value_to_json,
};
use remit_tests::following::{AT_MOST, until};
use remit_tests::mesh::Mesh;
use remit_tests::typed::Typed;
use serde_json::json;

/// Waits for input, then ends with it.
const WAITS: &str = "export default async (remit) => {
    console.log('waiting');
    return await remit.input();
}";

async fn until_it_waits(task: &TaskHandle) {
    until(task, |fact| matches!(fact, Fact::InputRequested { .. })).await;
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn args(one: &str) -> Value {
    Value::List(vec![text(one)])
}

fn none() -> Value {
    Value::List(Vec::new())
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> Code {
    let Err(Error::Failed(failure)) = result else { panic!("it was not refused: {result:?}") };
    failure.code
}

#[tokio::test(flavor = "multi_thread")]
async fn tomorrow_a_fresh_client_goes_on_with_what_it_kept_as_a_line_of_text() {
    let mut mesh = Mesh::start(1).await;
    let task = mesh.task(WAITS, "").await;
    let grant = task.grants().await.unwrap()[0].grant;
    let lines = [
        task.save(RefSpec::new("the task")).await.unwrap().to_line(),
        task.save_grant(grant, RefSpec::new("its probe")).await.unwrap().to_line(),
    ];
    until_it_waits(&task).await;
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    let client = Client::connect(mesh.address(), mesh.dir().join("client")).await.unwrap();
    let [task_line, probe_line] = lines.map(|line| line.parse::<Reference>().unwrap());
    let restored = client.restore(&task_line).await.unwrap();
    assert!(matches!(restored, Restored::Task(_)));
    let again = restored.into_task().unwrap();
    assert_eq!(again.id(), task.id());
    let probe = client.restore(&probe_line).await.unwrap();
    assert!(probe.clone().into_task().is_err());
    let probe = probe.into_object().unwrap();
    mesh.until_nodes_are_there().await;
    assert_eq!(probe.call("echo", args("hello")).await, Ok(text("hello")));
    assert_eq!(probe.describe().await.unwrap().0.tool, "probe");
    again.send(Value::Integer(7)).await.unwrap();
    assert_eq!(value_to_json(&again.result().await.unwrap()), json!(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_holds_is_restored_once_for_each_connection_and_nothing_is_done_twice() {
    let mut mesh = Mesh::start(1).await;
    let task = mesh.task(WAITS, "").await;
    let grant = task.grants().await.unwrap()[0].grant;
    let of_task = task.save(RefSpec::new("the task")).await.unwrap();
    let of_grant = task.save_grant(grant, RefSpec::new("its probe")).await.unwrap();
    let held = mesh.client.restore(&of_task).await.unwrap().into_task().unwrap();
    let probe = mesh.client.restore(&of_grant).await.unwrap().into_object().unwrap();
    let deeper = probe.open("next", none()).open("next", none());
    probe.call_with_key("one", "append", args("one")).await.unwrap();
    deeper.call("append", args("two")).await.unwrap();
    assert_eq!(held.info().await.unwrap().id, task.id());
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    mesh.until_nodes_are_there().await;
    probe.call_with_key("one", "append", args("one")).await.unwrap();
    // What a method returned that is not read-only is not made anew unasked.
    assert_eq!(code(deeper.call("append", args("never")).await), Code::ObjectLost);
    probe.open("next", none()).call("append", args("three")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(held.info().await.unwrap().id, task.id());
    }
    assert_eq!(mesh.appended(), ["one", "two", "three"]);
    let refs = mesh.client.refs().await.unwrap();
    let uses: Vec<(&str, u64)> = refs.iter().map(|it| (it.label.as_str(), it.uses)).collect();
    assert_eq!(uses, [("the task", 2), ("its probe", 2)]);
    // What waits when it is taken back is told so.
    let waiting = held.clone();
    let result = tokio::spawn(async move { waiting.result().await });
    mesh.client.revoke_ref(&of_task.id().to_string(), "done").await.unwrap();
    mesh.client.revoke_ref(&of_grant.id().to_string(), "done").await.unwrap();
    assert_eq!(code(tokio::time::timeout(AT_MOST, result).await.unwrap().unwrap()), Code::Revoked);
    assert_eq!(code(held.info().await), Code::Revoked);
    assert_eq!(code(probe.call("look", none()).await), Code::Revoked);
    assert_eq!(code(deeper.call("look", none()).await), Code::Revoked);
    assert!(task.info().await.is_ok(), "the task itself goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_saves_lists_attaches_and_revokes_by_command() {
    let mut mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(WAITS, "").await;
    let id = task.id().to_string();
    until_it_waits(&task).await;
    assert!(typed.fail(&["save", &id]).await.contains("--label"));
    let (line, _) = typed.run(&["save", &id, "--label", "for tomorrow", "--until", "1d"]).await;
    assert!(line.starts_with("remit:") && !line.contains('\n'), "{line}");
    let (listed, _) = typed.run(&["refs"]).await;
    assert!(listed.contains("for tomorrow") && listed.contains("good"), "{listed}");
    let mut attached = typed.start(&["attach", &line]);
    let mut said = BufReader::new(attached.stderr.take().unwrap());
    let mut shown = String::new();
    while !shown.contains("waiting") {
        assert_ne!(said.read_line(&mut shown).unwrap(), 0, "it ended: {shown}");
    }
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    typed.run(&["send", &line, "\"on we go\""]).await;
    let output = tokio::task::spawn_blocking(move || {
        // Read to its end, so that what is shown never fills the pipe.
        std::io::copy(&mut said, &mut std::io::sink()).unwrap();
        attached.wait_with_output().unwrap()
    });
    let output = tokio::time::timeout(AT_MOST, output).await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "\"on we go\"");
    let reference: Reference = line.parse().unwrap();
    typed.run(&["refs", "revoke", &reference.id().to_string()]).await;
    assert!(typed.fail(&["log", &line]).await.contains("revoked"));
    let (listed, _) = typed.run(&["refs"]).await;
    assert!(listed.contains("revoked"), "{listed}");
    assert!(!listed.contains(&line), "the bits are told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_is_shared_by_command_and_shows_without_letting_do() {
    let mesh = Mesh::start(1).await;
    let (typed, watcher) = (Typed::new(&mesh).await, Typed::named(&mesh, "watcher").await);
    let task = mesh.task(WAITS, "").await;
    let id = task.id().to_string();
    until_it_waits(&task).await;
    let save = ["save", &id, "--label", "look", "--viewer", "--for", &watcher.identity()];
    let (line, _) = typed.run(&save).await;
    let (log, _) = watcher.run(&["log", &line]).await;
    assert!(log.contains("waiting"), "{log}");
    for refused in [
        watcher.fail(&["send", &line, "1"]).await,
        watcher.fail(&["cancel", &line]).await,
        watcher.fail(&["pause", &line]).await,
        watcher.fail(&["save", &line, "--label", "more"]).await,
    ] {
        assert!(refused.contains("only for looking"), "{refused}");
    }
    let refused = typed.fail(&["log", &line]).await;
    assert!(refused.contains("no such reference for you"), "{refused}");
    let (audit, _) = typed.run(&["audit", "--json"]).await;
    for decision in ["saved", "restored", "denied"] {
        let record = audit.lines().find(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            record["decision"] == decision && line.contains("viewer of task")
        });
        assert!(record.is_some(), "{decision}: {audit}");
    }
    let secret = line.strip_prefix("remit:").unwrap();
    assert!(!audit.contains(secret) && !log.contains(secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_reference_is_narrowed_and_called_by_its_name() {
    let mut mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(WAITS, "").await;
    let id = task.id().to_string();
    let save = ["save", &id, "--grant", "probe", "--label", "p", "--for", &typed.identity()];
    let (line, _) = typed.run(&save).await;
    let (narrow, _) = typed.run(&["refs", "narrow", &line, "methods=append,echo&calls=2"]).await;
    typed.run(&["refs", "keep", "probe", &line]).await;
    typed.run(&["refs", "keep", "narrow", &narrow]).await;
    let (listed, _) = typed.run(&["refs"]).await;
    assert!(listed.contains('@') && !listed.contains(&line), "{listed}");
    let append = ["call", "@narrow", "append", "[\"one\"]", "--key", "mine"];
    typed.run(&append).await;
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    mesh.until_nodes_are_there().await;
    typed.run(&append).await;
    assert_eq!(mesh.appended(), ["one"], "the same key does it once");
    let (said, _) = typed.run(&["call", "@narrow", "echo", "{\"text\": \"hello\"}"]).await;
    assert_eq!(said, "\"hello\"");
    let refused = typed.fail(&["call", "@narrow", "echo", "[\"more\"]"]).await;
    assert!(refused.contains("calls=2"), "{refused}");
    let refused = typed.fail(&["call", "@narrow", "look"]).await;
    assert!(refused.contains("methods=append,echo"), "{refused}");
    assert!(typed.run(&["call", "@probe", "look"]).await.0.parse::<u32>().is_ok());
    let (again, _) = typed.run(&["refs", "narrow", "@narrow", "calls=1"]).await;
    assert!(again.len() > narrow.len());
    typed.run(&["refs", "forget", "narrow"]).await;
    assert!(typed.fail(&["call", "@narrow", "look"]).await.contains("remit refs keep"));
    assert!(typed.fail(&["attach", "@probe"]).await.contains("not to a task"));
}

/// The parts of a reference that are its power, each as bytes and as its line has it.
fn secrets(reference: &Reference) -> Vec<Vec<u8>> {
    let (bytes, home) = (reference.to_bytes(), reference.home());
    let head = 4 + home.mesh.len() + home.tenant.len() + home.address.len();
    let (secret, tag) = (head, bytes.len() - 32);
    let line = reference.to_line();
    let coded = |at: usize| line.as_bytes()["remit:".len() + at.div_ceil(3) * 4..][..36].to_vec();
    vec![bytes[secret..][..32].to_vec(), bytes[tag..].to_vec(), coded(secret), coded(tag)]
}

/// Every file below the folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bits_are_in_no_file_of_the_mesh_and_in_nothing_that_a_script_sees() {
    let mut mesh = Mesh::start(1).await;
    let script = "export default async (remit) => {
        const told = await remit.input();
        return { told, held: Object.keys(remit), all: JSON.stringify(remit),
            said: await remit.probe.echo('x') };
    }";
    let task = mesh.task(script, "").await;
    let grant = task.grants().await.unwrap()[0].grant;
    let of_task = task.save(RefSpec::new("the task")).await.unwrap();
    let of_grant = task.save_grant(grant, RefSpec::new("its probe")).await.unwrap();
    let caveat = remit_core::grant::text::parse_caveat("calls=3", 0).unwrap();
    let narrow = of_grant.attenuate(&[caveat]).unwrap();
    let held = mesh.client.restore(&of_task).await.unwrap().into_task().unwrap();
    let probe = mesh.client.restore(&narrow).await.unwrap().into_object().unwrap();
    probe.call("append", args("seen")).await.unwrap();
    held.send(text("go on")).await.unwrap();
    let result = value_to_json(&task.result().await.unwrap()).to_string();
    let (log, mut events) = (mesh.client.refs().await.unwrap(), Vec::new());
    let mut followed = task.events(EventNumber(0)).await.unwrap();
    while let Some(event) = followed.next().await {
        events.push(format!("{:?}", event.unwrap()));
    }
    let shown = format!("{result} {log:?} {events:?} {held:?} {probe:?}");
    mesh.orchestrator.terminate().await;
    let secrets: Vec<_> = [&of_task, &of_grant, &narrow].into_iter().flat_map(secrets).collect();
    let hex = |secret: &Vec<u8>| -> String {
        secret.iter().map(|byte| format!(r"\x{byte:02x}")).collect()
    };
    let any: Vec<String> = secrets.iter().map(hex).collect();
    let any = regex::bytes::Regex::new(&format!("(?-u){}", any.join("|"))).unwrap();
    let holds = |text: &[u8]| any.is_match(text);
    assert!(holds(narrow.to_line().as_bytes()) && holds(&of_task.to_bytes()), "it would be found");
    assert!(!holds(shown.as_bytes()), "{shown}");
    let kept = files(mesh.dir());
    assert!(kept.iter().any(|file| file.ends_with("orchestrator.log")), "{kept:?}");
    for file in kept {
        assert!(!holds(&std::fs::read(&file).unwrap()), "{}", file.display());
    }
}
