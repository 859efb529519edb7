//! What the shell tool must do, and what must not get through it.

use std::future::Future;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

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
    tool(&toml::from_str(&text).unwrap(), Path::new("/"))
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

/// Waits until the process of this id has ended.
async fn gone(pid: &str) {
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
    // SAFETY: an `OwnedFd` is the same file for as long as it lives.
    let process = unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }.unwrap();
    let _ = process.readable().await.unwrap();
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
            assert_eq!(failure.code, Code::Denied, "{name}");
            assert!(failure.message.contains("cat, env"), "{failure}");
        }
    });
}

#[test]
fn a_program_with_effects_is_no_query() {
    check(|dir| async move {
        let shell = shell(&dir, "");
        let failure = shell.call("query", &json!({"program": "sh"})).await.err().unwrap();
        assert_eq!((failure.code, failure.detail.as_str()), (Code::Denied, "read_only"));
        shell.call("query", &json!({"program": "pwd"})).await.unwrap();
    });
}

#[test]
fn arguments_must_begin_as_configured() {
    check(|dir| async move {
        let more = "[[program]]\nname = 'echo'\nprefixes = [['log'], ['show', '-s']]";
        let shell = shell(&dir, more);
        let echo = |args: &[&str]| json!({"program": "echo", "args": args});
        for allowed in [&["log"][..], &["log", "x"], &["show", "-s", "x"]] {
            run(&shell, echo(allowed)).await.unwrap();
        }
        for denied in [&[][..], &["logs"], &["show", "x"]] {
            assert_eq!(run(&shell, echo(denied)).await.unwrap_err().code, Code::Denied);
        }
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
fn the_whole_group_is_killed_at_the_time_limit() {
    check(|dir| async move {
        let shell = shell(&dir, "timeout_ms = 300");
        let failure = script(&shell, "sleep 600 & echo $! > grandchild; echo hello; wait");
        let failure = failure.await.unwrap_err();
        assert_eq!(failure.code, Code::Unknown, "what it did until then is done");
        assert!(failure.message.contains("hello"), "{failure}");
        gone(&std::fs::read_to_string(dir.path().join("grandchild")).unwrap()).await;
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
        let ran = script(&shell(&dir, ""), "sleep 600 & echo $!").await.unwrap();
        assert_eq!(ran.status, Some(0));
        gone(text(&ran.stdout)).await;
    });
}

/// A program that a test runs itself, to see its output while it runs.
fn program(dir: &TempDir, script: &str) -> Program {
    Program {
        path: "/bin/sh".into(),
        args: ["-c", script].map(OsString::from).into(),
        dir: std::fs::File::open(dir.path()).unwrap().into(),
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
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
        let pid = tokio::select! {
            ended = process::run(program(&dir, "sleep 600 & echo $!; wait"), &call) => {
                panic!("{ended:?}")
            }
            piece = shown.recv() => piece.unwrap().text,
        };
        gone(&pid).await;
    });
}

#[test]
fn a_cancelled_call_ends_and_output_is_shown_as_it_comes() {
    check(|dir| async move {
        let cancel = CancellationToken::new();
        let (output, mut shown) = Shown::channel();
        let call = CallContext::new(b"k", cancel.clone(), output);
        let program = program(&dir, "sleep 600 & echo $!; wait");
        let cancels = async {
            let pid = shown.recv().await.unwrap().text;
            cancel.cancel();
            pid
        };
        let (ended, pid) = tokio::join!(process::run(program, &call), cancels);
        assert_eq!(ended.unwrap_err().code, Code::Cancelled);
        gone(&pid).await;
    });
}

#[test]
fn a_program_does_not_outlive_the_thread_of_its_node() {
    check(|dir| async move {
        // The thread ends as a node that is killed does: nothing is dropped, nobody tidies up.
        let node = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (output, mut shown) = Shown::channel();
            let call =
                Box::leak(Box::new(CallContext::new(b"k", CancellationToken::new(), output)));
            let mut run = Box::pin(process::run(program(&dir, "echo $$; exec sleep 600"), call));
            let pid = runtime.block_on(async {
                tokio::select! {
                    ended = &mut run => panic!("{ended:?}"),
                    piece = shown.recv() => piece.unwrap().text,
                }
            });
            std::mem::forget((run, runtime));
            pid
        });
        gone(&node.join().unwrap()).await;
    });
}

#[test]
fn a_section_that_cannot_work_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    for (more, word) in [
        ("[[program]]\nname = 'no-such-program'", "install it"),
        ("[[program]]\nname = 'x'\npath = '/etc/passwd'", "/etc/passwd"),
        ("[[program]]\nname = 'sh'", "twice"),
        ("output_bytes = 100000000", "output_bytes"),
    ] {
        let why = configured(&dir, more).err().unwrap();
        assert!(why.contains(word), "{why}");
    }
    let config = toml::from_str("root = '/no/such/place'").unwrap();
    assert!(tool(&config, Path::new("/")).err().unwrap().contains("/no/such/place"));
}
