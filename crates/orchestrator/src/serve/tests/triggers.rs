//! Triggers as a client puts them, and webhooks as others post to them.

mod due;

use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use remit_core::{Role, Value};
use remit_journal::meta::{Batch, Meta, MetaError, Record};
use remit_schema::mesh_capnp::mesh;
use remit_schema::trigger_capnp::{trigger, triggers};
use remit_vat::exception::to_failure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Here, here};
use crate::serve::fakes::Granted as _;
use crate::services::triggers::{Shown, Triggers, hooks};

fn task(trigger: &mut trigger::Builder<'_>, name: &str) {
    trigger.set_name(name);
    let mut spec = trigger.reborrow().init_does().init_task();
    spec.set_name("set off");
    spec.set_agent("script");
    spec.set_entry("main.js");
    let mut file = spec.init_source(1).get(0);
    file.set_path("main.js");
    file.set_text("export default () => 1");
}

async fn put(
    triggers: &triggers::Client,
    fill: impl FnOnce(trigger::Builder<'_>),
) -> Result<String, remit_core::Failure> {
    let mut request = triggers.put_request();
    fill(request.get().init_trigger());
    let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
    Ok(response.get().unwrap().get_secret().unwrap().to_string().unwrap())
}

fn connected(here: &Here) -> (triggers::Client, remit_vat::connection::Connection) {
    let (mesh, held) = here.connect::<mesh::Client>(Role::Client, "me");
    (mesh.creation().triggers_request().send().pipeline.get_triggers(), held)
}

async fn post(address: std::net::SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("POST {head}\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn tasks(here: &Here) -> usize {
    here.site.tasks.list("default", None, None, 100, None).unwrap().0.len()
}

#[tokio::test]
async fn a_webhook_takes_its_own_secret_and_no_other_and_each_key_once() {
    here(async |here| {
        let (triggers, _held) = connected(&here);
        let hook = |name: &'static str| {
            move |mut trigger: trigger::Builder<'_>| {
                task(&mut trigger, name);
                trigger.init_when().set_webhook(());
            }
        };
        let secret = put(&triggers, hook("build")).await.unwrap();
        let other = put(&triggers, hook("other")).await.unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let served = hooks::serve(tcp, Rc::clone(&here.site.triggers), "default");
        let serving = tokio::task::spawn_local(served);

        let with = |secret: &str, key: &str| {
            format!(
                "/hooks/build HTTP/1.1\r\nAuthorization: Bearer {secret}\r\nIdempotency-Key: {key}"
            )
        };
        for wrong in [other.as_str(), "", "x"] {
            let refused = post(address, &with(wrong, "a"), "1").await;
            assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
        }
        let nowhere = with(&secret, "a").replace("build", "nothing");
        assert!(post(address, &nowhere, "1").await.starts_with("HTTP/1.1 401"));
        assert_eq!(tasks(&here), 0);

        let first = post(address, &with(&secret, "a"), "{\"n\": 1}").await;
        assert!(first.starts_with("HTTP/1.1 202"), "{first}");
        let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        let again = post(address, &with(&secret, "a"), "{\"n\": 2}").await;
        assert_eq!(body(&first), body(&again), "the same key is the same task");
        assert_eq!(tasks(&here), 1);
        let broken = post(address, &with(&secret, "b"), "{").await;
        assert!(broken.starts_with("HTTP/1.1 400"), "{broken}");
        let large = post(address, &with(&secret, "c"), &"1".repeat((1 << 20) + 1)).await;
        assert!(large.starts_with("HTTP/1.1 413"), "{large}");

        // What could not be read from a journal again never comes to one.
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let deep = post(address, &with(&secret, "d"), &nested(49)).await;
        assert!(deep.starts_with("HTTP/1.1 400"), "{deep}");
        assert_eq!(tasks(&here), 1);
        assert!(post(address, &with(&secret, "e"), &nested(48)).await.starts_with("HTTP/1.1 202"));

        // Put again, the old secret is worth nothing.
        let fresh = put(&triggers, hook("build")).await.unwrap();
        assert!(post(address, &with(&secret, "d"), "1").await.starts_with("HTTP/1.1 401"));
        assert!(post(address, &with(&fresh, "d"), "1").await.starts_with("HTTP/1.1 202"));
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn what_is_no_trigger_is_refused_and_what_was_removed_is_gone() {
    here(async |here| {
        let (triggers, _held) = connected(&here);
        let cron = |expression: &'static str, zone: &'static str| {
            move |mut trigger: trigger::Builder<'_>| {
                task(&mut trigger, "daily");
                let mut cron = trigger.init_when().init_cron();
                cron.set_expression(expression);
                cron.set_time_zone(zone);
            }
        };
        for (expression, zone) in [("* *", "UTC"), ("0 9 * * *", "Nowhere"), ("99 9 * * *", "UTC")]
        {
            let refused = put(&triggers, cron(expression, zone)).await.unwrap_err();
            assert_eq!(refused.code, remit_core::Code::InvalidArgument, "{refused}");
        }
        assert!(put(&triggers, |mut t| task(&mut t, "no good name")).await.is_err());
        assert_eq!(put(&triggers, cron("0 9 * * *", "Europe/Berlin")).await.unwrap(), "");
        let listed = triggers.list_request().send().promise.await.unwrap();
        assert_eq!(listed.get().unwrap().get_triggers().unwrap().len(), 1);
        let remove = || {
            let mut request = triggers.remove_request();
            request.get().set_name("daily");
            request.send().promise
        };
        remove().await.unwrap();
        let again = to_failure(&remove().await.err().unwrap());
        assert_eq!(again.code, remit_core::Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_time_is_kept_once_whatever_dies_in_between() {
    here(async |here| {
        let (triggers, _held) = connected(&here);
        let every = |mut trigger: trigger::Builder<'_>| {
            task(&mut trigger, "often");
            trigger.init_when().set_every(1_000);
        };
        put(&triggers, every).await.unwrap();
        let start_ms = crate::node::now_ms();
        // Each look is by an orchestrator that has just been started, on the same disk.
        let look = |later_ms: u64| {
            let clock = Box::new(move || start_ms + later_ms);
            let (meta, tasks) = (Arc::clone(&here.site.meta), Rc::clone(&here.site.tasks));
            let members = Rc::clone(&here.site.members);
            async move {
                let triggers = Triggers::new(meta, tasks, members, clock);
                triggers.set_off_due("default").await.unwrap()
            }
        };
        let next = look(0).await.unwrap();
        assert!(next > start_ms - 1_000 && next <= start_ms + 1_000);
        assert_eq!(tasks(&here), 0, "its time has not come");
        look(5_000).await;
        look(5_000).await;
        assert_eq!(tasks(&here), 1, "of those that were missed the last is made up for, once");
        look(7_000).await;
        assert_eq!(tasks(&here), 2);
        look(2_000).await;
        assert_eq!(tasks(&here), 2, "a clock that goes back sets nothing off again");
    })
    .await;
}

/// A trigger of this name that never comes by itself, as `client` puts it.
fn hook(name: &'static str) -> impl Fn(trigger::Builder<'_>) {
    move |mut trigger| {
        task(&mut trigger, name);
        trigger.init_when().set_webhook(());
    }
}

async fn kept(here: &Here, name: &str) -> crate::services::triggers::StoredTrigger {
    let all = here.site.triggers.list("default").await.unwrap();
    let mut all = all.iter().map(|record| crate::serve::triggers::decode(record).unwrap());
    all.find(|kept| kept.name == name).unwrap()
}

#[tokio::test]
async fn note_that_comes_late_changes_nothing_of_a_trigger_that_was_replaced() {
    here(async |here| {
        let (triggers, _held) = connected(&here);
        put(&triggers, hook("build")).await.unwrap();
        let old = kept(&here, "build").await;
        // The note sees the old one, and the new one is on its way to the disk before it.
        let replacing = put(&triggers, hook("build"));
        let noting = async {
            tokio::task::yield_now().await;
            here.site.triggers.note("default", ("build", old.created_ms), Some(5), "late").await
        };
        let (replaced, noted) = tokio::join!(replacing, noting);
        replaced.unwrap();
        noted.unwrap();
        let late = ("build", old.created_ms);
        here.site.triggers.note("default", late, Some(6), "later").await.unwrap();
        let new = kept(&here, "build").await;
        assert!(new.created_ms > old.created_ms && new.secret_hash != old.secret_hash);
        assert_eq!((new.last_ms, new.failure.as_str()), (0, ""));
    })
    .await;
}

#[tokio::test]
async fn of_two_clients_that_put_one_name_at_once_one_has_it() {
    here(async |here| {
        // The first one administers, and may replace what is another's.
        let (_first, _held) = here.connect::<mesh::Client>(Role::Client, "first");
        let (mesh, _you) = here.connect::<mesh::Client>(Role::Client, "you");
        let yours = mesh.creation().triggers_request().send().pipeline.get_triggers();
        let (mine, _me) = connected(&here);
        let (one, two) = tokio::join!(put(&mine, hook("build")), put(&yours, hook("build")));
        let (got, refused) = if one.is_ok() { (one, two) } else { (two, one) };
        got.unwrap();
        assert_eq!(refused.unwrap_err().code, remit_core::Code::Denied);
    })
    .await;
}

#[tokio::test]
async fn client_that_is_being_expelled_leaves_no_trigger_behind() {
    here(async |here| {
        let operator = crate::serve::fakes::who(Role::Orchestrator, "one");
        let you = crate::serve::fakes::who(Role::Client, "you");
        // The first one administers.
        let (_first, _me) = here.connect::<mesh::Client>(Role::Client, "me");
        let (mesh, _you) = here.connect::<mesh::Client>(Role::Client, "you");
        let yours = mesh.creation().triggers_request().send().pipeline.get_triggers();
        let then = crate::services::membership::AndItsTasks::GoOn;
        let expelling = here.site.expel(&operator, &you, "a lost laptop", then);
        let puts = futures::future::join_all((0..20).map(|_| put(&yours, hook("build"))));
        let (expelled, puts) = tokio::join!(expelling, puts);
        expelled.unwrap();
        assert!(puts.iter().any(Result::is_err));
        assert!(here.site.triggers.list("default").await.unwrap().is_empty());
        let late =
            here.site.triggers.put(&you, "build", false, |_| Ok(()), |_, _| Ok(Vec::new())).await;
        assert_eq!(late.unwrap_err().code, remit_core::Code::Denied);
    })
    .await;
}

/// Records that another writer always changes first.
struct Overtaken(Arc<dyn Meta>);

impl Meta for Overtaken {
    fn get(&self, key: &[u8]) -> BoxFuture<'static, Result<Option<Vec<u8>>, MetaError>> {
        self.0.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>, MetaError>> {
        self.0.scan(prefix, limit)
    }

    fn commit(&self, _: Batch) -> BoxFuture<'static, Result<(), MetaError>> {
        std::future::ready(Err(MetaError::Conflict)).boxed()
    }
}

#[tokio::test]
async fn post_whose_note_fails_is_answered_with_what_it_did() {
    here(async |here| {
        let (triggers, _held) = connected(&here);
        let secret = put(&triggers, hook("h")).await.unwrap();
        let site = &here.site;
        let meta = Arc::new(Overtaken(Arc::clone(&site.meta)));
        let (tasks_of, members) = (Rc::clone(&site.tasks), Rc::clone(&site.members));
        let overtaken = Triggers::new(meta, tasks_of, members, Box::new(crate::node::now_ms));
        let noted =
            overtaken.note("default", ("h", kept(&here, "h").await.created_ms), Some(5), "");
        assert_eq!(noted.await.unwrap_err().code, remit_core::Code::Unavailable);
        let taken = overtaken.takes("default", "h", Shown::Secret(&secret)).await;
        let taken = taken.unwrap().unwrap();
        overtaken.posted("default", "h", &taken, "one", Value::Null).await.unwrap();
        assert_eq!(tasks(&here), 1);
    })
    .await;
}
