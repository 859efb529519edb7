//! A node against servers of all kinds: one that behaves, and ones that do not.

mod fake;
mod hostile;
mod remote;

use std::rc::Rc;

use remit_core::{Code, Failure, Value};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::*;
use crate::kit::{Handle, OpenTool, Source};
use crate::limits;

/// A node's side of one server.
struct Lab {
    dir: TempDir,
    tool: Source,
}

impl Lab {
    /// A server, once it has said what it offers.
    async fn start(config: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut section = Config::named("fake");
        let program = std::env::current_exe().unwrap();
        section.command = vec![program.to_str().unwrap().into(), fake::ASKED.into()];
        section.timeout_ms = 20_000;
        config(&mut section);
        let confiner = Rc::new(Confiner::find(false).unwrap());
        let homes = dir.path().join("homes");
        let tool = tool(&section, dir.path(), &homes, Some(&confiner)).unwrap();
        let mut tool = tool.into_source().unwrap();
        tool.there().await;
        Self { dir, tool }
    }

    fn open(&mut self) -> Rc<OpenTool> {
        self.tool.now().unwrap()
    }

    fn root(&mut self) -> Handle {
        self.open().handle()
    }

    async fn call(&mut self, method: &str, args: Json) -> Result<Value<u32>, Failure> {
        Ok(self.root().call(method, &args).await?.value().clone())
    }

    async fn fails(&mut self, method: &str) -> Failure {
        self.call(method, json!({})).await.unwrap_err()
    }

    /// How often the server did what must not be done twice.
    fn effects(&self) -> usize {
        let file = self.dir.path().join("homes/fake/effects");
        std::fs::read_to_string(file).map_or(0, |text| text.len())
    }
}

/// Runs a test as a node runs: on one thread.
async fn on_a_vat(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

fn text(text: &str) -> Value<u32> {
    Value::Text(text.into())
}

#[tokio::test]
async fn tools_become_methods_with_their_schemas_and_annotations() {
    on_a_vat(async {
        let mut lab = Lab::start(|_| {}).await;
        let open = lab.open();
        let of = |name: &str| open.manifest().method("Server", name).unwrap().clone();
        let (add, write) = (of("add"), of("write"));
        assert!(add.read_only && add.idempotent && !add.destructive, "{add:?}");
        assert!(!write.read_only && !write.idempotent && write.destructive, "{write:?}");
        assert!(!of("append").destructive);
        // Its schema cannot be checked here, so that it is none of the methods.
        assert!(open.manifest().method("Server", "unchecked").is_none());
        let sum = lab.call("add", json!({ "left": 2, "right": 3 })).await.unwrap();
        assert_eq!(sum.field("sum"), Some(&Value::Integer(5)));
        for wrong in [json!({ "left": 2 }), json!({ "left": 2, "right": "3" })] {
            let failure = lab.call("add", wrong).await.unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument);
        }
    })
    .await;
}

#[tokio::test]
async fn operator_decides_over_the_hints_of_a_server() {
    on_a_vat(async {
        let mut lab = Lab::start(|config| {
            let ours = Annotations { read_only: Some(false), ..Annotations::default() };
            config.method.insert("add".into(), ours);
            config.allow = Some(BTreeSet::from(["add".into()]));
        })
        .await;
        let open = lab.open();
        let interface = open.manifest().interface("Server").unwrap();
        let names: Vec<&str> = interface.methods.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["add", "resources", "prompts"]);
        assert!(!interface.methods[0].read_only && interface.methods[0].destructive);
    })
    .await;
}

#[tokio::test]
async fn content_keeps_its_type() {
    on_a_vat(async {
        let mut lab = Lab::start(|_| {}).await;
        let Value::List(blocks) = lab.call("content", json!({})).await.unwrap() else { panic!() };
        let kind = |at: usize| blocks[at].field("type").unwrap().as_text().unwrap();
        assert_eq!((kind(0), kind(1), kind(2)), ("text", "image", "resource"));
        assert_eq!(blocks[0].field("text"), Some(&text("hello")));
        assert_eq!(blocks[1].field("data"), Some(&Value::Data(vec![0, 255])));
        let resource = blocks[2].field("resource").unwrap();
        assert_eq!(resource.field("data"), Some(&Value::Data(b"hi".to_vec())));
        let failure = lab.fails("fail").await;
        assert_eq!((failure.code, failure.message.as_str()), (Code::Failed, "no such thing"));
    })
    .await;
}

#[tokio::test]
async fn resources_are_objects_and_prompts_are_methods() {
    on_a_vat(async {
        let mut lab = Lab::start(|_| {}).await;
        let opened = lab.root().call("resources", &()).await.unwrap().object().unwrap();
        let listed: Json = opened.call("list", &()).await.unwrap().decode().unwrap();
        assert_eq!(listed["resources"][0]["uri"], "fake://one");
        let one = opened.call("open", &("fake://one",)).await.unwrap().object().unwrap();
        let read: Json = one.call("read", &()).await.unwrap().decode().unwrap();
        assert_eq!(read, json!([{ "uri": "fake://one", "text": "first" }]));
        // The server changes it as soon as it is watched.
        let seen: Json = one.call("watch", &()).await.unwrap().decode().unwrap();
        assert_eq!(seen["changed"], true);
        let since = (seen["version"].as_u64().unwrap() - 1,);
        let again: Json = one.call("watch", &since).await.unwrap().decode().unwrap();
        assert_eq!(again, seen);
        let prompts = lab.root().call("prompts", &()).await.unwrap().object().unwrap();
        let said: Json = prompts.call("greet", &("Ada",)).await.unwrap().decode().unwrap();
        assert_eq!(said["messages"][0]["content"]["text"], "Greet Ada");
    })
    .await;
}

#[tokio::test]
async fn resources_that_were_watched_make_room_for_others() {
    on_a_vat(async {
        let mut lab = Lab::start(|_| {}).await;
        let opened = lab.root().call("resources", &()).await.unwrap().object().unwrap();
        let mut first = Json::Null;
        for number in 0..limits::MCP_WATCHED + 20 {
            let uri = format!("fake://{number}");
            let one = opened.call("open", &(uri,)).await.unwrap().object().unwrap();
            let seen: Json = one.call("watch", &()).await.unwrap().decode().unwrap();
            assert_eq!(seen["changed"], true, "{number}");
            first = if first.is_null() { seen } else { first };
        }
        let mut count = Value::Null;
        while count.field("count") != Some(&Value::Integer(limits::MCP_WATCHED as i64)) {
            count = lab.call("subscribed", json!({})).await.unwrap();
        }
        // What happened to the first one meanwhile is not known.
        let one = opened.call("open", &("fake://0",)).await.unwrap().object().unwrap();
        let since = (first["version"].as_u64().unwrap(),);
        let seen: Json = one.call("watch", &since).await.unwrap().decode().unwrap();
        assert_eq!(seen["changed"], true);
    })
    .await;
}

#[test]
fn keys_in_addresses_and_variables_of_other_programs_are_secrets() {
    let mut config = Config::named("x");
    config.url =
        Some("http://ann:sesame-12@127.0.0.1/mcp?apiKey=a%2Fb-123456&page=long-enough".into());
    config.spelled_out.env = vec![
        ("GITHUB_PAT".into(), "ghp_0123456789abcdef".into()),
        ("FOLDER".into(), "/srv/ann/projects/2026".into()),
        ("DATABASE".into(), "postgres://ann:of-the-database@host/db".into()),
    ];
    config.spelled_out.variables = vec![("MY_TOKEN".into(), "only-letters".into())];
    let (secrets, ..) = secrets::Secrets::read(&config, Path::new("/")).unwrap();
    for hidden in [
        "sesame-12",
        "a%2Fb-123456",
        "a/b-123456",
        "ghp_0123456789abcdef",
        "of-the-database",
        "only-letters",
    ] {
        assert_eq!(secrets.hide(&format!("<{hidden}>")), "<[secret]>", "{hidden}");
    }
    for shown in ["long-enough", "/srv/ann/projects/2026", "postgres", "GITHUB_PAT"] {
        assert_eq!(secrets.hide(shown), shown);
    }
}

#[tokio::test]
async fn secrets_reach_the_server_and_nothing_else() {
    on_a_vat(async {
        let mut lab = Lab::start(|config| {
            let dir = tempfile::tempdir().unwrap().keep();
            std::fs::write(dir.join("token"), "tell-nobody-of-this\n").unwrap();
            let file = Some(dir.join("token"));
            config.secret = vec![SecretConfig { name: "TOKEN".into(), file, ..Default::default() }];
            config.env.insert("PLAIN".into(), "shown".into());
        })
        .await;
        let env = lab.call("env", json!({})).await.unwrap();
        assert_eq!(env.field("PLAIN"), Some(&text("shown")));
        assert_eq!(env.field("TOKEN"), Some(&text("[secret]")));
        assert_eq!(env.field("length"), Some(&Value::Integer(19)));
        // Nothing of this process's own environment is passed on.
        assert_eq!(env.field("CARGO_MANIFEST_DIR"), Some(&Value::Null));
    })
    .await;
}

#[tokio::test]
async fn dropped_call_is_cancelled_at_the_server() {
    on_a_vat(async {
        let mut lab = Lab::start(|_| {}).await;
        let root = lab.root();
        {
            let hanging = root.call("hang", &());
            tokio::pin!(hanging);
            // What is sent after it has been answered: it has arrived.
            let first = async { root.call("cancelled", &()).await.unwrap() };
            tokio::select! {
                biased;
                _ = &mut hanging => panic!("it hangs"),
                answer = first => assert_eq!(answer.value(), &Value::Fields(vec![("count".into(), Value::Integer(0))])),
            }
        }
        let mut count = Value::Null;
        while count == Value::Null || count.field("count") == Some(&Value::Integer(0)) {
            count = lab.call("cancelled", json!({})).await.unwrap();
        }
        assert_eq!(count.field("count"), Some(&Value::Integer(1)));
    })
    .await;
}

#[tokio::test]
async fn progress_is_shown_while_a_call_runs() {
    on_a_vat(async {
        let mut lab = Lab::start(|_| {}).await;
        let (output, mut pieces) = crate::kit::Output::channel();
        let call = crate::kit::CallContext::new(b"k", Default::default(), output);
        let root = lab.open().root();
        root.run("progress", Value::Null, Vec::new(), call).await.unwrap();
        let mut shown = String::new();
        while let Ok(piece) = pieces.try_recv() {
            shown += &piece.text;
        }
        assert_eq!(shown, "half (1/2)\na line of the log\n");
    })
    .await;
}
