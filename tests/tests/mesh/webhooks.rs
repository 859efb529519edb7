//! Webhooks whose posts are signed, as GitHub signs them, and what of a post a task is given.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use remit_client::{TaskFilter, TaskHandle};
use remit_tests::following::result;
use remit_tests::looking::look_for;
use remit_tests::mesh::{Mesh, Via};
use remit_tests::typed::Typed;
use serde_json::json;

/// The secret of the example in GitHub's documentation.
const SECRET: &str = "It's a Secret to Everybody";

const BODY: &str = r#"{"ref":"main"}"#;

/// What `openssl dgst -sha256 -hmac` makes of that body and that secret.
const SIGNATURE: &str = "sha256=9e43299a601a4fecf1d621c86c0321b9a33c0bb89b80c1a36337e38860420fab";

/// Posts the body with these headers; the status line of the answer.
fn post(address: &str, name: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut head = format!("POST /hooks/{name} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

async fn named(mesh: &Mesh, name: &str) -> TaskHandle {
    look_for(name, async || {
        let tasks = mesh.client.tasks(TaskFilter::default()).await.unwrap();
        tasks.iter().find(|task| task.name == name).map(|task| mesh.client.task(task.id))
    })
    .await
}

/// Whether any file below a folder holds these bytes.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        let text = std::fs::read(&path).unwrap_or_default();
        text.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_post_creates_a_task_and_one_that_is_not_creates_none() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hooks = free.local_addr().unwrap().to_string();
    drop(free);
    let secrets = tempfile::tempdir().unwrap();
    let config =
        format!("webhooks = \"{hooks}\"\nwebhook_secrets = '{}'", secrets.path().display());
    let mesh = Mesh::start_with(1, Via::default(), &config).await;
    let typed = Typed::new(&mesh).await;
    let file = mesh.dir().join("build.ts");
    std::fs::write(&file, "export default (remit, input) => input").unwrap();
    let file = file.to_str().unwrap();
    let put = ["trigger", "put", "build", "--webhook", "--signed", file];
    let put = [&put[..], &["--header", "X-GitHub-Event", "--header", "x-missing"]].concat();
    let refused = typed.fail(&put).await;
    // No other client can claim the name: the file is the client's own.
    let own = secrets.path().join("typist");
    let secret = own.join("build");
    assert!(refused.contains(secret.to_str().unwrap()), "{refused}");
    std::fs::create_dir(&own).unwrap();
    remit_identity::credential::write_private(&secret, format!("{SECRET}\n").as_bytes()).unwrap();
    let (told, note) = typed.run(&put).await;
    assert!(told.is_empty() && note.contains("X-Hub-Signature-256"), "{told} {note}");

    let event = ("X-GitHub-Event", "push");
    let signed = ("X-Hub-Signature-256", SIGNATURE);
    let bearer = ("Authorization", "Bearer guess");
    for (headers, body) in [
        (&[event][..], BODY),
        (&[event, ("X-Hub-Signature-256", "sha256=00")], BODY),
        (&[event, signed], r#"{"ref":"mine"}"#),
        (&[event, bearer], BODY),
    ] {
        let answer = post(&hooks, "build", headers, body);
        assert!(answer.contains(" 401 "), "{headers:?}: {answer}");
    }
    assert!(post(&hooks, "no-such", &[signed], BODY).contains(" 401 "));
    let answer = post(&hooks, "build", &[event, signed, ("Cookie", "private")], BODY);
    assert!(answer.contains(" 202 "), "{answer}");
    let input = result(&named(&mesh, "build").await).await;
    let headers = json!({ "x-github-event": "push" });
    assert_eq!(input, json!({ "headers": headers, "body": { "ref": "main" } }));

    let (listed, _) = typed.run(&["trigger", "list", "--json"]).await;
    assert!(listed.contains("\"signed\":true") && !listed.contains(SECRET), "{listed}");
    assert!(
        !holds(mesh.dir(), SECRET.as_bytes()),
        "the secret is kept where it was and nowhere else"
    );
    let refused = typed.fail(&[&put[..], &["--header", "Authorization"]].concat()).await;
    assert!(refused.contains("journal"), "{refused}");
}
