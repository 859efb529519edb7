//! People decide: calls are held until they are approved, capabilities are asked for and given, and
//! calls of unknown outcome are settled.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Command;

use remit_client::{
    Approval, Asks, Code, Decision, Error, Fact, Question, Remember, Settlement, TaskHandle,
};
use remit_tests::binary;
use remit_tests::following::{result, until};
use remit_tests::mesh::Mesh;
use remit_tests::typed::Typed;
use serde_json::json;

const APPENDS: &str = "export default async (remit) => {
    await remit.probe.append('one');
    return await remit.probe.lines();
}";

/// Says with which code, and why, an effect was not to be.
const TRIES: &str = "export default async (remit) => {
    try { await remit.probe.append('one'); } catch (e) { return [e.code, e.message]; }
    return 'done';
}";

const fn is_held(fact: &Fact) -> bool {
    matches!(fact, Fact::ApprovalRequested(_))
}

const fn capability_is_requested(fact: &Fact) -> bool {
    matches!(fact, Fact::CapabilityRequested(_))
}

const fn settlement_is_asked(fact: &Fact) -> bool {
    matches!(fact, Fact::SettlementRequested(_))
}

/// The one question of a task, and the digest if it is about approval.
async fn question(task: &TaskHandle) -> (Question, [u8; 32]) {
    let mut questions = task.questions().await.unwrap();
    assert_eq!(questions.len(), 1, "{questions:?}");
    let question = questions.remove(0);
    let digest = match question.asks {
        Asks::Approval { digest, .. } => digest,
        _ => [0; 32],
    };
    (question, digest)
}

#[tokio::test]
async fn a_held_call_is_in_the_inbox_and_runs_once_it_is_approved() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(APPENDS, "?requiresApproval=append").await;
    let id = task.id().to_string();
    until(&task, is_held).await;
    assert!(mesh.appended().is_empty());
    let (shown, _) = typed.run(&["inbox"]).await;
    for part in ["append", "one", "the task's agent", "has an effect", &format!("approve {id} 1")] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    let (shown, _) = typed.run(&["inbox", "--json"]).await;
    let item: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(item["args"], json!({ "text": "one" }));
    assert_eq!((&item["asks"], &item["operation"]), (&json!("approval"), &json!(1)));
    assert_eq!(item["digest"], json!(hex::encode(question(&task).await.1)));
    let (_, said) = typed.run(&["approve", &id, "1"]).await;
    assert!(said.contains("approved"), "{said}");
    assert_eq!(result(&task).await, json!(["one"]));
    typed.run(&["approve", &id, "1"]).await;
    let refused = typed.fail(&["deny", &id, "1"]).await;
    assert!(refused.contains("approved already"), "{refused}");
    assert_eq!(mesh.appended(), ["one"]);
    let (shown, said) = typed.run(&["inbox"]).await;
    assert!(shown.is_empty() && said.contains("nothing waits"), "{shown} {said}");
}

#[tokio::test]
async fn a_denied_call_fails_with_the_reason_and_nothing_happens() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(TRIES, "?requiresApproval=append").await;
    let id = task.id().to_string();
    until(&task, is_held).await;
    typed.run(&["deny", &id, "1", "--reason", "not on a Friday"]).await;
    let said = result(&task).await;
    assert_eq!(said[0], json!("denied"));
    assert!(said[1].as_str().unwrap().contains("not on a Friday"), "{said}");
    typed.run(&["deny", &id, "1"]).await;
    assert!(mesh.appended().is_empty());
}

#[tokio::test]
async fn approval_for_other_arguments_is_refused() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(APPENDS, "?requiresApproval=append&arg.text?=prefix:o").await;
    let id = task.id().to_string();
    until(&task, is_held).await;
    let (asked, digest) = question(&task).await;
    let mut other = digest;
    other[0] ^= 1;
    let Err(Error::Failed(refused)) = task.approve(asked.operation, other).await else { panic!() };
    assert_eq!(refused.code, Code::InvalidArgument);
    let refused = typed.fail(&["approve", &id, "1", "--digest", &hex::encode(other)]).await;
    assert!(refused.contains("look at it again"), "{refused}");
    let refused = typed.fail(&["approve", &id, "1", "--with", "{\"text\": \"two\"}"]).await;
    assert!(refused.contains("arg.text"), "a person's arguments are checked too: {refused}");
    assert_eq!(question(&task).await.1, digest, "it waits as before");
    assert!(mesh.appended().is_empty());
    typed.run(&["approve", &id, "1", "--digest", &hex::encode(digest)[..12]]).await;
    assert_eq!(result(&task).await, json!(["one"]));
}

#[tokio::test]
async fn questions_and_decisions_outlive_the_death_of_everything() {
    let mut mesh = Mesh::start(1).await;
    let task = mesh.task(APPENDS, "?requiresApproval=append").await;
    until(&task, is_held).await;
    let asked = question(&task).await;
    mesh.orchestrator.kill();
    mesh.agents[0].kill();
    mesh.restart_orchestrator();
    assert_eq!(question(&task).await, asked);
    // Neither agent nor tool runs: what was decided is on disk and nowhere else.
    mesh.tools.kill();
    task.approve(asked.0.operation, asked.1).await.unwrap();
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    mesh.restart_tools().await;
    mesh.restart_agent(0).await;
    assert_eq!(result(&task).await, json!(["one"]));
    assert_eq!(mesh.appended(), ["one"]);
}

#[tokio::test]
async fn what_is_remembered_lets_the_next_call_through_and_no_other() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let script = "export default async (remit) => {
        for (const line of ['a', 'a', 'b', 'c']) await remit.probe.append(line);
    }";
    let task = mesh.task(script, "?requiresApproval=append").await;
    let id = task.id().to_string();
    until(&task, is_held).await;
    let refused = typed.fail(&["approve", &id, "1", "--remember", "method"]).await;
    assert!(refused.contains("--for"), "{refused}");
    typed.run(&["approve", &id, "1", "--remember", "arguments"]).await;
    until(
        &task,
        |fact| matches!(fact, Fact::ApprovalRequested(asked) if asked.request.call.0 == 3),
    )
    .await;
    assert_eq!(mesh.appended(), ["a", "a"]);
    let for_a_while = ["approve", &id, "3", "--remember", "method", "--for", "10m"];
    typed.run(&for_a_while).await;
    result(&task).await;
    assert_eq!(mesh.appended(), ["a", "a", "b", "c"]);
    typed.run(&for_a_while).await;
    let refused = typed.fail(&["approve", &id, "3"]).await;
    assert!(refused.contains("that stands"), "{refused}");
}

#[tokio::test]
async fn a_call_is_made_with_the_arguments_that_a_person_put_in_place() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(APPENDS, "?requiresApproval=append").await;
    let id = task.id().to_string();
    until(&task, is_held).await;
    typed.run(&["approve", &id, "1", "--with", "{\"text\": \"two\"}"]).await;
    assert_eq!(result(&task).await, json!(["two"]));
    let (asked, digest) = (1, question_digest(&task).await);
    let change = |text: &str| Decision {
        call: remit_client::CallNumber(asked),
        digest,
        approval: Approval::Change(remit_client::value_from_json(json!({ "text": text }))),
        reason: String::new(),
        remember: Remember::Nothing,
    };
    task.decide(change("two")).await.unwrap();
    assert!(task.decide(change("three")).await.is_err());
    assert_eq!(mesh.appended(), ["two"]);
}

/// The digest of the call that was held.
async fn question_digest(task: &TaskHandle) -> [u8; 32] {
    let events = until(task, is_held).await;
    match &events.last().unwrap().fact {
        Fact::ApprovalRequested(asked) => asked.request.digest,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_capability_is_asked_for_picked_and_used_within_what_was_given() {
    let mut mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let script = "export default async (remit) => {
        const probe = await remit.request({ tool: 'probe', reason: 'to write it down' });
        await probe.append('given');
        try { await probe.count(); } catch (e) { return [e.code, await probe.lines()]; }
    }";
    let spec = remit_client::TaskSpec::script("asks", script);
    let task = mesh.client.create_task(spec).await.unwrap();
    let id = task.id().to_string();
    until(&task, capability_is_requested).await;
    mesh.orchestrator.kill();
    mesh.agents[0].kill();
    mesh.restart_orchestrator();
    mesh.restart_agent(0).await;
    mesh.until_nodes_are_there().await;
    let choices = typed.output(&["give", &id, "1"]).await;
    assert_eq!(choices.status.code(), Some(2), "nobody is there to pick: {choices:?}");
    let (shown, _) = typed.run(&["inbox"]).await;
    for shown in [String::from_utf8(choices.stdout).unwrap(), shown] {
        for part in ["give", "probe@1.0.0", &format!("deny {id} 1")] {
            assert!(shown.contains(part), "no {part} in {shown}");
        }
    }
    let refused = typed.fail(&["give", &id, "1", "tasks"]).await;
    assert!(refused.contains("is for probe"), "{refused}");
    let refused = typed.fail(&["approve", &id, "1"]).await;
    assert!(refused.contains("remit give"), "{refused}");
    let given = ["give", &id, "1", "probe?methods=append,lines"];
    typed.run(&given).await;
    assert_eq!(result(&task).await, json!(["denied", ["given"]]));
    typed.run(&given).await;
    let refused = typed.fail(&["give", &id, "1", "probe"]).await;
    assert!(refused.contains("that stands"), "{refused}");
    assert_eq!(mesh.appended(), ["given"]);
}

#[tokio::test]
async fn a_refused_request_is_an_error_that_the_script_can_read() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let script = "export default async (remit) => {
        try { await remit.request({ tool: 'probe', reason: 'x' }); }
        catch (e) { return [e.code, e.message]; }
    }";
    let spec = remit_client::TaskSpec::script("asks", script);
    let task = mesh.client.create_task(spec).await.unwrap();
    let id = task.id().to_string();
    until(&task, capability_is_requested).await;
    typed.run(&["deny", &id, "1", "--reason", "no need"]).await;
    let said = result(&task).await;
    assert_eq!(said[0], json!("denied"));
    assert!(said[1].as_str().unwrap().contains("no need"), "{said}");
    let refused = typed.fail(&["give", &id, "1", "probe"]).await;
    assert!(refused.contains("refused already"), "{refused}");
}

/// A task whose one effect was under way when its tool node died at this step.
async fn lost(mesh: &mut Mesh, step: &str) -> TaskHandle {
    mesh.tools.kill();
    mesh.restart_tools_armed(Some(&format!("{step}:effect:1"))).await;
    mesh.until_nodes_are_there().await;
    let task = mesh.task(TRIES, "").await;
    mesh.tools.ended().await;
    mesh.restart_tools().await;
    until(&task, settlement_is_asked).await;
    task
}

#[tokio::test]
async fn an_effect_that_happened_is_settled_by_its_outcome() {
    let mut mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = lost(&mut mesh, "done").await;
    let id = task.id().to_string();
    assert_eq!(mesh.appended(), ["one"]);
    let (shown, _) = typed.run(&["inbox"]).await;
    assert!(shown.contains(&format!("settle {id} 1 retry")), "{shown}");
    let refused = typed.fail(&["approve", &id, "1"]).await;
    assert!(refused.contains("remit settle"), "{refused}");
    mesh.orchestrator.kill();
    mesh.restart_orchestrator();
    typed.run(&["settle", &id, "1", "outcome=null"]).await;
    assert_eq!(result(&task).await, json!("done"));
    typed.run(&["settle", &id, "1", "outcome=null"]).await;
    let refused = typed.fail(&["settle", &id, "1", "retry"]).await;
    assert!(refused.contains("given an outcome already"), "{refused}");
    assert_eq!(mesh.appended(), ["one"], "it was not sent again");
}

#[tokio::test]
async fn an_effect_that_did_not_happen_is_sent_again_when_a_person_says_so() {
    let mut mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = lost(&mut mesh, "begun").await;
    let id = task.id().to_string();
    assert!(mesh.appended().is_empty());
    let retry = ["settle", &id, "1", "retry"];
    typed.run(&retry).await;
    assert_eq!(result(&task).await, json!("done"));
    assert_eq!(mesh.appended(), ["one"]);
    typed.run(&retry).await;
    assert_eq!(mesh.appended(), ["one"]);
}

#[tokio::test]
async fn a_call_that_is_given_up_fails_with_unknown() {
    let mut mesh = Mesh::start(1).await;
    let task = lost(&mut mesh, "begun").await;
    let asked = question(&task).await.0;
    let before = remit_client::EventNumber(asked.event.0 - 1);
    let settle = |event| task.settle(asked.operation, event, Settlement::Abandon);
    assert!(settle(before).await.is_err(), "an answer to another question");
    settle(asked.event).await.unwrap();
    assert_eq!(result(&task).await[0], json!("unknown"));
    assert!(mesh.appended().is_empty());
}

#[tokio::test]
async fn nobody_is_asked_about_a_call_that_died_before_its_point_of_no_return() {
    let mut mesh = Mesh::start(1).await;
    for (step, asked) in [("begun", 0), ("done", 1)] {
        mesh.tools.kill();
        mesh.restart_tools_armed(Some(&format!("{step}:effect:1"))).await;
        mesh.until_nodes_are_there().await;
        let script = format!("export default (remit) => remit.probe.careful('{step}')");
        let task = mesh.task(&script, "").await;
        mesh.tools.ended().await;
        mesh.restart_tools().await;
        if asked == 1 {
            until(&task, settlement_is_asked).await;
            let call = question(&task).await.0.operation;
            let outcome = Settlement::Outcome(remit_client::Value::Null);
            task.settle(call, remit_client::EventNumber(0), outcome).await.unwrap();
        }
        assert_eq!(result(&task).await, json!(null));
        let events = until(&task, |fact| matches!(fact, Fact::TaskCompleted(_))).await;
        let questions = events.iter().filter(|event| settlement_is_asked(&event.fact));
        assert_eq!(questions.count(), asked, "{step}");
    }
    assert_eq!(mesh.appended(), ["begun", "done"], "each once");
}

#[tokio::test]
async fn who_follows_a_task_is_shown_the_command_that_answers_it() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let file = mesh.dir().join("appends.ts");
    std::fs::write(&file, APPENDS).unwrap();
    let grant = "probe=probe?requiresApproval=append";
    let mut child = typed.start(&["run", file.to_str().unwrap(), "--grant", grant]);
    let ended = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let shown = lines.find_map(|line| {
            let line = line.unwrap();
            let at = line.find("remit --home")?;
            line.contains(" approve ").then(|| line[at..].to_owned())
        });
        let shown = shown.expect("the command is shown");
        let typed = shown.replacen("remit", binary::remit().to_str().unwrap(), 1);
        assert!(Command::new("sh").args(["-c", &typed]).status().unwrap().success(), "{typed}");
        lines.for_each(drop);
        let mut result = String::new();
        child.stdout.take().unwrap().read_to_string(&mut result).unwrap();
        assert!(child.wait().unwrap().success());
        result
    });
    assert!(ended.await.unwrap().contains("one"));
    assert_eq!(mesh.appended(), ["one"]);
}

#[tokio::test]
async fn an_answer_that_fits_nothing_says_what_there_is() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(APPENDS, "?requiresApproval=append").await;
    let id = task.id().to_string();
    until(&task, is_held).await;
    for (args, said) in [
        (vec!["approve", &id, "9"], "those of that task that wait: 1"),
        (vec!["deny", &id, "9"], "those of that task that wait: 1"),
        (vec!["give", &id, "9", "probe"], "those of that task that wait: 1"),
        (vec!["give", &id, "1", "probe"], "remit approve"),
        (vec!["settle", &id, "1", "abandon"], "remit approve"),
        (vec!["settle", &id, "9", "abandon"], "no call 9"),
        (vec!["settle", &id, "1", "again"], "retry, abandon or outcome=JSON"),
        (vec!["approve", &id, "1", "--with", "[1]"], "by name"),
    ] {
        let refused = typed.fail(&args).await;
        assert!(refused.contains(said), "{args:?}: {refused}");
    }
    question(&task).await;
}
