//! What the shell tool must do, and what must not get through it.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use remit_confine::Layer;
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

mod proxied;
mod toolchains;

use super::*;
use crate::kit::{Code, Handle, Output as Shown, Value};

fn configured(directory: &TempDir, more: &str) -> Result<Tool, String> {
    let text = format!(
        "root = {:?}\n{more}\n{}",
        directory.path(),
        [("sh", "false"), ("cat", "true"), ("env", "true"), ("printf", "true"), ("pwd", "true")]
            .map(|(name, pure)| format!("[[program]]\nname = {name:?}\nread_only = {pure}\n"))
            .concat()
    );
    tool(&toml::from_str(&text).unwrap(), Path::new("/"), &confiner(), &[])
}

fn confiner() -> Rc<Confiner> {
    Rc::new(Confiner::find(false).unwrap())
}

fn shell(directory: &TempDir, more: &str) -> Handle {
    configured(directory, more).unwrap().open().unwrap().handle()
}

fn check<F: Future<Output = ()>>(test: impl FnOnce(TempDir) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(tempfile::tempdir().unwrap()));
}

async fn run(shell: &Handle, args: serde_json::Value) -> Result<Ran, Failure> {
    let ran: serde_json::Value = shell.call("run", &args).await?.decode()?;
    let content = |name: &str| Content::Text(ran[name].as_str().unwrap_or_default().into());
    Ok(Ran {
        status: ran["status"].as_i64().map(|n| n.try_into().unwrap()),
        signal: ran["signal"].as_i64().map(|n| n.try_into().unwrap()),
        stdout: content("stdout"),
        stderr: content("stderr"),
        replaced: ran["replaced"].as_u64().unwrap(),
        truncated: ran["truncated"].as_bool().unwrap(),
        duration_ms: ran["durationMs"].as_u64().unwrap(),
    })
}

async fn script(shell: &Handle, script: &str) -> Result<Ran, Failure> {
    run(shell, json!({"program": "sh", "args": ["-c", script]})).await
}

fn text(content: &Content) -> &str {
    std::str::from_utf8(content.as_bytes()).unwrap()
}

/// Holds a lock in its folder for as long as it lives, and says so when it has it.
const HOLDER: &str = "exec 9> lock; flock 9; echo locked; exec sleep 600";

/// Waits until no process holds the lock of [`HOLDER`].
async fn gone(dir: &TempDir) {
    let lock = std::fs::File::open(dir.path().join("lock")).unwrap();
    tokio::task::spawn_blocking(move || lock.lock()).await.unwrap().unwrap();
}

#[test]
fn a_program_gets_its_arguments_and_input_and_gives_its_output_and_status() {
    check(|dir| async move {
        let shell = shell(&dir, "");
        let args = json!({"program": "cat", "args": ["-"], "stdin": "über"});
        let ran = run(&shell, args).await.unwrap();
        assert_eq!((text(&ran.stdout), ran.status, ran.signal), ("über", Some(0), None));
        let ran = script(&shell, "echo no >&2; exit 3").await.unwrap();
        assert_eq!((text(&ran.stderr), ran.status), ("no\n", Some(3)));
        let ran = script(&shell, "kill -9 $$").await.unwrap();
        assert_eq!((ran.status, ran.signal), (None, Some(9)));
    });
}

#[test]
fn arguments_are_not_interpreted() {
    check(|dir| async move {
        let odd = ["$(id)", "`id`", "; id", "a b", "*", "$HOME", "\n", "-x", ""];
        let mut args = vec!["[%s]"];
        args.extend(odd);
        let ran = run(&shell(&dir, ""), json!({"program": "printf", "args": args})).await.unwrap();
        let whole: String = odd.map(|arg| format!("[{arg}]")).concat();
        assert_eq!(text(&ran.stdout), whole);
    });
}

#[test]
fn the_environment_is_the_configured_one_alone() {
    check(|dir| async move {
        let shell = shell(&dir, "path = ['/usr/bin', '/bin']\nenv = { GREETING = 'hi' }");
        let ran = run(&shell, json!({"program": "env"})).await.unwrap();
        let mut lines: Vec<&str> = text(&ran.stdout).lines().collect();
        // Where a program cannot have a `/tmp` of its own it is told of another folder.
        lines.retain(|line| !line.starts_with("TMPDIR="));
        lines.sort_unstable();
        assert_eq!(lines, ["GREETING=hi", "PATH=/usr/bin:/bin"]);
    });
}

#[test]
fn what_is_not_on_the_list_is_denied() {
    check(|dir| async move {
        let shell = shell(&dir, "");
        for name in ["id", "/bin/sh", "../bin/sh", "sh -c", ""] {
            let failure = run(&shell, json!({"program": name})).await.unwrap_err();
            // By the schema already, before a person would be asked about it.
            let refused = (failure.code, failure.detail.as_str());
            assert_eq!(refused, (Code::InvalidArgument, "program"), "{name}");
        }
    });
}

#[test]
fn a_program_with_effects_is_no_query() {
    check(|dir| async move {
        let shell = shell(&dir, "");
        let failure = shell.call("query", &json!({"program": "sh"})).await.err().unwrap();
        assert_eq!((failure.code, failure.detail.as_str()), (Code::InvalidArgument, "program"));
        shell.call("query", &json!({"program": "pwd"})).await.unwrap();
    });
}

#[test]
fn a_program_runs_below_the_directory_and_nowhere_else() {
    check(|dir| async move {
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("out")).unwrap();
        let shell = shell(&dir, "");
        let pwd = |at: &str| json!({"program": "pwd", "dir": at});
        let whole = dir.path().canonicalize().unwrap();
        let ran = run(&shell, pwd("a/b")).await.unwrap();
        assert_eq!(Path::new(text(&ran.stdout).trim()), whole.join("a/b"));
        for outside in ["out", "..", "a/../..", "/etc", "missing"] {
            run(&shell, pwd(outside)).await.unwrap_err();
        }
        let below = shell.call("dir", &("a",)).await.unwrap().object().unwrap();
        let ran = run(&below, pwd("b")).await.unwrap();
        assert_eq!(Path::new(text(&ran.stdout).trim()), whole.join("a/b"));
    });
}

#[test]
fn all_that_a_program_started_is_killed_at_the_time_limit() {
    check(|dir| async move {
        let shell = shell(&dir, "timeout_ms = 2000");
        let failure = script(&shell, &format!("({HOLDER}) & wait")).await.unwrap_err();
        assert_eq!(failure.code, Code::Unknown, "what it did until then is done");
        assert!(failure.message.contains("locked"), "{failure}");
        gone(&dir).await;
    });
}

#[test]
fn a_program_that_is_killed_at_a_bound_may_have_done_a_part_of_its_work() {
    check(|dir| async move {
        let more =
            "limits = { written_bytes = 1048576 }\n[[program]]\nname = 'dd'\nread_only = true";
        let shell = shell(&dir, more);
        let args = ["if=/dev/zero", "of=large", "bs=1M", "count=200000"];
        for (method, code) in [("run", Code::Unknown), ("query", Code::Limit)] {
            let args = json!({"program": "dd", "args": args});
            let failure = shell.call(method, &args).await.map(|_| ()).unwrap_err();
            assert_eq!(failure.code, code, "{failure}");
            assert!(failure.message.contains("bytes written"), "{failure}");
        }
    });
}

#[test]
fn a_call_may_ask_for_less_time_than_allowed_but_not_for_more() {
    check(|dir| async move {
        let shell = shell(&dir, "timeout_ms = 200");
        for ms in [50, 60_000] {
            let args = json!({"program": "sh", "args": ["-c", "sleep 600"], "timeoutMs": ms});
            assert_eq!(run(&shell, args).await.unwrap_err().code, Code::Unknown);
        }
    });
}

#[test]
fn output_is_text_or_bytes_as_was_asked_and_is_cut_between_characters() {
    check(|dir| async move {
        let shell = shell(&dir, "output_bytes = 10");
        let odd = run(&shell, json!({"program": "printf", "args": ["caf\\351 ä"]})).await.unwrap();
        assert_eq!((text(&odd.stdout), odd.replaced), ("caf\u{fffd} ä", 1));
        let args = json!({"program": "printf", "args": ["ok"], "encoding": "data"});
        let data = shell.call("run", &args).await.unwrap();
        assert_eq!(data.value().field("stdout"), Some(&Value::Data(b"ok".to_vec())));
        assert_eq!(data.value().field("stderr"), Some(&Value::Data(vec![])));
        let cut = run(&shell, json!({"program": "printf", "args": ["茶は€ä"]})).await.unwrap();
        assert_eq!((text(&cut.stdout), cut.truncated, cut.replaced), ("茶は€", true, 0));
    });
}

#[test]
fn the_group_is_killed_at_the_output_limit() {
    check(|dir| async move {
        let shell = shell(&dir, "output_bytes = 1000");
        let ran =
            script(&shell, "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaa; done").await.unwrap();
        assert!(ran.truncated);
        assert_eq!(ran.stdout.as_bytes().len() + ran.stderr.as_bytes().len(), 1000);
        assert!(ran.signal.is_some());
    });
}

#[test]
fn what_a_program_leaves_running_is_killed_when_it_exits() {
    check(|dir| async move {
        let leaves =
            format!("mkfifo ready; (setsid sh -c '{HOLDER}' > ready &) ; read line < ready");
        let ran = script(&shell(&dir, ""), &leaves).await.unwrap();
        assert_eq!(ran.status, Some(0));
        gone(&dir).await;
    });
}

/// A program that a test runs itself, to see its output while it runs.
fn program(dir: &TempDir, script: &str) -> Program {
    Program {
        path: "/bin/sh".into(),
        args: ["-c", script].map(str::to_owned).into(),
        policy: Policy::in_folder(dir.path()),
        dir: std::fs::File::open(dir.path()).unwrap().into(),
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        proxy: None,
        stdin: Vec::new(),
        timeout: Duration::from_secs(60),
        output_bytes: 1000,
    }
}

#[test]
fn a_call_that_is_dropped_takes_its_group_along() {
    check(|dir| async move {
        let (output, mut shown) = Shown::channel();
        let call = CallContext::new(b"k", CancellationToken::new(), output);
        let confiner = confiner();
        tokio::select! {
            ended = process::run(program(&dir, HOLDER), &confiner, &call) => panic!("{ended:?}"),
            piece = shown.recv() => assert_eq!(piece.unwrap().text, "locked\n"),
        }
        gone(&dir).await;
    });
}

#[test]
fn a_cancelled_call_ends_and_output_is_shown_as_it_comes() {
    check(|dir| async move {
        let cancel = CancellationToken::new();
        let (output, mut shown) = Shown::channel();
        let call = CallContext::new(b"k", cancel.clone(), output);
        let (program, confiner) = (program(&dir, HOLDER), confiner());
        let cancels = async {
            shown.recv().await.unwrap();
            cancel.cancel();
        };
        let (ended, ()) = tokio::join!(process::run(program, &confiner, &call), cancels);
        assert_eq!(ended.unwrap_err().code, Code::Cancelled);
        gone(&dir).await;
    });
}

#[test]
fn a_program_reaches_its_folder_and_what_the_operator_opens() {
    check(|dir| async move {
        let root = dir.path().join("root");
        for folder in ["root/keys", "opened", "written", "other"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join("file"), folder).unwrap();
        }
        let section = format!(
            "root = {root:?}\nread = [{:?}]\nwrite = [{:?}]\nhidden = ['keys']\n\
             [[program]]\nname = 'sh'\n",
            dir.path().join("opened"),
            dir.path().join("written"),
        );
        let confiner = confiner();
        let config = toml::from_str(&section).unwrap();
        if !confiner.layers().has(Layer::Mounts) {
            let why = tool(&config, Path::new("/"), &confiner, &[]).err().unwrap();
            assert!(why.contains("cannot be hidden"), "{why}");
            return;
        }
        let shell = tool(&config, Path::new("/"), &confiner, &[]).unwrap().open().unwrap().handle();
        let ran = script(
            &shell,
            "cat ../opened/file; echo new > ../written/new; echo mine > mine
             echo x > ../opened/new; cat ../other/file; ls keys; cat /etc/shadow",
        );
        let ran = ran.await.unwrap();
        assert_eq!((text(&ran.stdout), ran.status), ("opened", Some(1)), "{ran:?}");
        assert!(dir.path().join("written/new").exists() && root.join("mine").exists());
        assert!(!dir.path().join("opened/new").exists());
    });
}

#[test]
fn arguments_are_whole_and_stand_in_the_schema() {
    check(|dir| async move {
        let more = "[[program]]\nname = 'echo'\n\
                    args = [['log'], ['show', { matches = '[a-z]+' }], ['all', { each = '-[a-z]' }]]";
        let tool = configured(&dir, more).unwrap();
        let shell = tool.open().unwrap().handle();
        let echo = |args: &[&str]| json!({"program": "echo", "args": args});
        for allowed in [&["log"][..], &["show", "abc"], &["all"], &["all", "-x", "-y"]] {
            run(&shell, echo(allowed)).await.unwrap();
        }
        for denied in [
            &[][..],
            &["log", "--output=../outside"],
            &["show"],
            &["show", "abc\n"],
            &["show", "a", "b"],
            &["all", "-x", "--output=../outside"],
        ] {
            let failure = run(&shell, echo(denied)).await.unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument);
            assert!(failure.detail.starts_with("args"), "{failure}");
        }
        let programs = shell.call("programs", &json!({})).await.unwrap();
        let programs: serde_json::Value = programs.decode().unwrap();
        assert!(programs.to_string().contains(r#"["all","/-[a-z]/..."]"#), "{programs}");
    });
}

#[test]
fn what_gets_past_a_schema_is_refused_by_the_list() {
    let config = |text: &str| -> Vec<ProgramConfig> { vec![toml::from_str(text).unwrap()] };
    let echo = config("name = 'echo'\nargs = [['log'], ['show', { each = '[a-z]+' }]]");
    let allowed = Allowed::new(&echo, &default_path(), Path::new("/")).unwrap();
    let check = |name: &str, args: &[&str], needs| {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        allowed.check(name, &args, needs).map(drop).map_err(|failure| failure.detail)
    };
    assert_eq!(check("echo", &["log"], Needs::Any), Ok(()));
    assert_eq!(check("echo", &["show", "a", "b"], Needs::Any), Ok(()));
    assert_eq!(check("echo", &["log"], Needs::ReadOnly), Err("read_only".into()));
    assert_eq!(check("cat", &[], Needs::Any), Err("program".into()));
    for args in [&["log", "--output=../x"][..], &[], &["show", "a\n"], &["show", "-x"]] {
        assert_eq!(check("echo", args, Needs::Any), Err("args".into()), "{args:?}");
    }
}

#[test]
fn the_schema_says_which_programs_there_are_and_how_they_are_called() {
    let dir = tempfile::tempdir().unwrap();
    let more = "[[program]]\nname = 'echo'\nargs = [['show', { matches = '[a-z]+' }]]";
    let tool = configured(&dir, more).unwrap().open().unwrap();
    let manifest = tool.manifest();
    let shell = manifest.interfaces.iter().find(|interface| interface.name == "Shell").unwrap();
    let schema = |name: &str| -> serde_json::Value {
        let method = shell.methods.iter().find(|method| method.name == name).unwrap();
        serde_json::from_str(&method.args_schema).unwrap()
    };
    let names = |name: &str| schema(name)["properties"]["program"]["enum"].clone();
    assert_eq!(names("run"), json!(["cat", "echo", "env", "printf", "pwd", "sh"]));
    assert_eq!(names("query"), json!(["cat", "env", "printf", "pwd"]));
    let bound = &schema("run")["allOf"][0];
    assert_eq!(bound["if"]["properties"]["program"]["const"], "echo");
    let form = &bound["then"]["properties"]["args"]["anyOf"][0];
    assert_eq!(form["prefixItems"], json!([{"const": "show"}, {"pattern": "^(?:[a-z]+)$"}]));
    assert_eq!((&form["items"], &form["minItems"]), (&json!(false), &json!(2)));
}

#[test]
fn a_section_that_cannot_work_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    for (more, word) in [
        ("[[program]]\nname = 'no-such-program'", "install it"),
        ("[[program]]\nname = 'x'\npath = '/etc/passwd'", "/etc/passwd"),
        ("[[program]]\nname = 'sh'", "twice"),
        ("output_bytes = 100000000", "output_bytes"),
        ("read = ['/no/such/place']", "/no/such/place"),
        ("write = ['/']", "name folders below"),
        ("[[program]]\nname = 'echo'\nprefixes = [['a']]", "whole arguments"),
        ("[[program]]\nname = 'echo'\nargs = [[{ each = 'a' }, 'b']]", "last"),
        ("[[program]]\nname = 'echo'\nargs = [[{ matches = 'a)|(b' }]]", "no expression"),
    ] {
        let why = configured(&dir, more).err().unwrap();
        assert!(why.contains(word), "{why}");
    }
    let config = toml::from_str("root = '/no/such/place'").unwrap();
    assert!(
        tool(&config, Path::new("/"), &confiner(), &[]).err().unwrap().contains("/no/such/place")
    );
}

#[test]
fn an_approved_content_is_the_one_that_runs() {
    check(|dir| async move {
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("made")).unwrap();
        std::fs::write(at("test.sh"), "echo one").unwrap();
        let shell = shell(&dir, "binds_content = true\nunbound = ['made']\nhidden = ['keys']");
        let look = async || -> serde_json::Value {
            shell.call("content", &json!({})).await.unwrap().decode().unwrap()
        };
        let with = |content: &serde_json::Value| json!({"program": "sh", "args": ["test.sh"], "content": content});
        let unnamed = run(&shell, json!({"program": "sh", "args": ["test.sh"]})).await.unwrap_err();
        assert_eq!(unnamed.code, Code::InvalidArgument, "{unnamed}");
        let first = look().await;
        assert_eq!(first["changed"], json!(null), "nothing was run before");
        assert_eq!(text(&run(&shell, with(&first)).await.unwrap().stdout), "one\n");
        // What is left out may change; what runs may not, nor its mode, nor a link, nor a name.
        std::fs::write(at("made/x"), "x").unwrap();
        let second = look().await;
        assert_eq!((&second["digest"], &second["changed"]), (&first["digest"], &json!([])));
        std::fs::write(at("test.sh"), "echo two").unwrap();
        std::os::unix::fs::symlink("/etc", at("link")).unwrap();
        let denied = run(&shell, with(&second)).await.unwrap_err();
        assert_eq!((denied.code, denied.detail.as_str()), (Code::Denied, "content"));
        assert!(
            denied.message.contains("~ test.sh") && denied.message.contains("+ link"),
            "{denied}"
        );
        // An agent cannot leave out of the list what a person should see.
        let mut third = look().await;
        assert_eq!(third["changed"], json!(["+ link", "~ test.sh"]));
        let listed = third["changed"].take();
        third["changed"] = json!([]);
        assert_eq!(run(&shell, with(&third)).await.unwrap_err().code, Code::Denied);
        third["changed"] = listed;
        assert_eq!(text(&run(&shell, with(&third)).await.unwrap().stdout), "two\n");
        assert_eq!(run(&shell, with(&third)).await.unwrap_err().code, Code::Denied, "asked again");
    });
}

#[test]
fn of_two_runs_of_one_content_the_second_is_refused_if_the_first_changes_it() {
    check(|dir| async move {
        std::fs::write(dir.path().join("test.sh"), "echo once; echo 'echo changed' >> test.sh")
            .unwrap();
        let shell = shell(&dir, "binds_content = true");
        let content: serde_json::Value =
            shell.call("content", &json!({})).await.unwrap().decode().unwrap();
        let args = json!({"program": "sh", "args": ["test.sh"], "content": content});
        let (one, two) = tokio::join!(run(&shell, args.clone()), run(&shell, args));
        let (ran, refused) = if one.is_ok() { (one, two) } else { (two, one) };
        assert!(text(&ran.unwrap().stdout).starts_with("once\n"));
        let refused = refused.unwrap_err();
        assert_eq!((refused.code, refused.detail.as_str()), (Code::Denied, "content"), "{refused}");
    });
}
