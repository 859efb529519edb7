//! Operators are told when something waits for a person and when a task ends, whatever dies.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, mpsc};

use remit_client::Value;
use remit_tests::following::{AT_MOST, result};
use remit_tests::looking::look_until;
use remit_tests::mesh::{Mesh, Via};
use remit_tests::typed::Typed;
use serde_json::{Value as Json, json};

/// A receiver of posts that answers with a status of the test's choice.
struct Receiver {
    address: String,
    status: Arc<AtomicU16>,
    posts: mpsc::Receiver<(String, String)>,
}

impl Receiver {
    fn start(status: u16) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap().to_string();
        let (status, (got, posts)) = (Arc::new(AtomicU16::new(status)), mpsc::channel());
        let answer = Arc::clone(&status);
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let head: Vec<String> = reader
                    .by_ref()
                    .lines()
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .map(|line| line.to_ascii_lowercase())
                    .collect();
                let header = |name: &str| {
                    let found = head.iter().find_map(|line| line.strip_prefix(name));
                    found.unwrap_or_default().trim().to_owned()
                };
                let mut body = vec![0; header("content-length:").parse().unwrap_or(0)];
                if reader.read_exact(&mut body).is_err() {
                    continue;
                }
                let status = answer.load(Ordering::SeqCst);
                let _gone = write!(
                    stream,
                    "HTTP/1.1 {status} so\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let signature = header("x-remit-signature-256:");
                if got.send((String::from_utf8(body).unwrap(), signature)).is_err() {
                    return;
                }
            }
        });
        Self { address, status, posts }
    }

    fn next(&self) -> (Json, String, String) {
        let next = tokio::task::block_in_place(|| self.posts.recv_timeout(AT_MOST));
        let (body, signature) = next.unwrap();
        (serde_json::from_str(&body).unwrap(), body, signature)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_is_told_of_questions_and_ends_without_what_the_task_holds() {
    let receiver = Receiver::start(200);
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    remit_identity::credential::write_private(&secret, b"the secret of this sink").unwrap();
    let config = format!(
        "[[notify]]\nname = \"pager\"\nurl = \"http://{}/told\"\nsecret_file = '{}'",
        receiver.address,
        secret.display()
    );
    let mesh = Mesh::start_with(1, Via::default(), &config).await;
    let typed = Typed::new(&mesh).await;
    let script = "export default async (remit) => await remit.probe.append('a private line')";
    let task = mesh.task(script, "?requiresApproval=append").await;
    let id = task.id().to_string();
    let (asked, body, signature) = receiver.next();
    assert_eq!(
        (&asked["event"], &asked["kind"], &asked["name"], &asked["task"]),
        (&json!("question"), &json!("approval"), &json!("test"), &json!(id))
    );
    assert!(!body.contains("private") && !body.contains("append"), "{body}");
    let given = remit_orchestrator::services::secrets::signature(&signature).unwrap();
    let key = b"the secret of this sink";
    assert!(remit_orchestrator::services::secrets::is_signed(key, body.as_bytes(), &given));
    typed.run(&["approve", &id, "1"]).await;
    result(&task).await;
    let (ended, ..) = receiver.next();
    assert_eq!((&ended["event"], &ended["kind"]), (&json!("ended"), &json!("completed")));
    assert!(ended["notification"].as_u64() > asked["notification"].as_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn notification_outlives_the_orchestrator_that_owed_it() {
    let receiver = Receiver::start(503);
    let config = format!("[[notify]]\nname = \"pager\"\nurl = \"http://{}\"", receiver.address);
    let mut mesh = Mesh::start_with(1, Via::default(), &config).await;
    let task = mesh.task("export default (remit) => remit.input()", "").await;
    task.send(Value::Integer(1)).await.unwrap();
    result(&task).await;
    let (refused, ..) = receiver.next();
    mesh.orchestrator.kill();
    receiver.status.store(200, Ordering::SeqCst);
    mesh.restart_orchestrator();
    let (told, ..) = receiver.next();
    assert_eq!(told["task"], task.id().to_string());
    assert_eq!(told["notification"], refused["notification"], "the same, once more");
    let next = mesh.task("export default () => 2", "").await;
    result(&next).await;
    // Those that were on their way when it was killed may come once more.
    while receiver.next().0["task"] != next.id().to_string() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn command_is_started_with_the_message_and_only_for_what_it_wants() {
    let dir = tempfile::tempdir().unwrap();
    let told = dir.path().join("told");
    let config = format!(
        "[[notify]]\nname = \"note\"\ncommand = [\"sh\", \"-c\", \"cat >> '{}'\"]\non = [\"ended\"]",
        told.display()
    );
    let mesh = Mesh::start_with(1, Via::default(), &config).await;
    let typed = Typed::new(&mesh).await;
    let task = mesh.task(
        "export default async (remit) => { await remit.probe.append('x'); throw new Error('a private reason'); }",
        "?requiresApproval=append",
    );
    let task = task.await;
    let id = task.id().to_string();
    look_until("it asks", async || typed.output(&["approve", &id, "1"]).await.status.success())
        .await;
    look_until("it is told", async || {
        std::fs::read_to_string(&told).is_ok_and(|text| text.ends_with('\n'))
    })
    .await;
    let text = std::fs::read_to_string(&told).unwrap();
    let said: Json = serde_json::from_str(&text).unwrap();
    assert_eq!((&said["kind"], &said["task"]), (&json!("failed"), &json!(id)));
    assert!(!text.contains("private"), "{text}");
}
