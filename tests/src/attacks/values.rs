//! Scripts that return, nest or print extreme values.

use std::process::{Command, Stdio};

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use remit_client::{TaskSpec, Value};

use super::{Backends, Stage};
use crate::binary;

/// Returns the smallest integer, -2^63.
pub fn least_number(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let client = backends.client().await;
        let spec = TaskSpec::script("least", "export default (remit, input) => input")
            .input(Value::Integer(i64::MIN));
        let given = client.create_task(spec).await.unwrap().result().await;
        let met = matches!(given, Ok(Value::Integer(i64::MIN)));
        stage.hold(format!("{given:?}"), met).await;
    }
    .boxed_local()
}

/// Runs programs that nest deeper than any parser can go.
pub fn nesting(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    async move {
        let client = backends.client().await;
        let programs = ["(".repeat(300_000), "if (1) {".repeat(10_000) + &"}".repeat(10_000)];
        let mut said = Vec::new();
        for program in programs {
            let task = client.create_task(TaskSpec::script("nested", program)).await.unwrap();
            let ended = task.result().await;
            said.push(ended.err().map_or_else(|| "it ran".to_owned(), |why| why.to_string()));
        }
        let met = said.iter().all(|why| why.contains("nests too deep"));
        let shown: String = said.concat().chars().take(120).collect();
        stage.hold(shown, met).await;
    }
    .boxed_local()
}

/// Logs characters that control a terminal or reverse the direction of text.
pub fn log(backends: Backends, stage: Stage) -> LocalBoxFuture<'static, ()> {
    const LOGS: &str = "export default () => { console.log('a\\u009b31mb\\u202ec'); return 1; }";
    async move {
        let client = backends.client().await;
        let task = client.create_task(TaskSpec::script("logs", LOGS)).await.unwrap();
        task.result().await.unwrap();
        let home = backends.dir.join("log-home");
        let joined = home.join("joined").join(backends.address.replace(':', "_"));
        std::fs::create_dir_all(&joined).unwrap();
        for file in std::fs::read_dir(&backends.attacker).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), joined.join(file.file_name())).unwrap();
        }
        let mut met = true;
        for form in [&[][..], &["--json"]] {
            let shown = Command::new(binary::remit())
                .args(["--home", home.to_str().unwrap(), "--mesh", &backends.address, "log"])
                .arg(task.id().to_string())
                .args(form)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let text = String::from_utf8(shown.stdout).unwrap();
            met &= text.contains("31mb") && !text.contains(['\u{9b}', '\u{202e}']);
        }
        stage.hold("neither form shows them raw", met).await;
    }
    .boxed_local()
}
