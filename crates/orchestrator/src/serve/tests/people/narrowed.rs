//! Caveats narrow what a member was granted, in all that it does and hands on.

use std::sync::Arc;

use remit_core::grant::text::parse_caveat;
use remit_core::{Code, Facet, Facets, Failure, MemberGrant, Role};
use remit_schema::mesh_capnp::{mesh, task::Client as Task};
use remit_schema::tool_node_capnp::tool_node_port;
use remit_vat::connection::{Connection, within};

use super::super::{SOON, create_task, here, register_tools};
use super::invited::{join, wanted};
use super::{admin, client, count_tasks, given, task};
use crate::node::now_ms;
use crate::serve::fakes::{Granted as _, Here, who};
use crate::services::membership::NewInvite;

/// Facets and caveats as they are typed.
pub(super) fn grant(may: &str, caveats: &[&str]) -> MemberGrant {
    let caveats = caveats.iter().map(|text| parse_caveat(text, now_ms()).unwrap()).collect();
    MemberGrant::validated(may.parse().unwrap(), caveats).unwrap()
}

/// Connects as a client that was granted this. There is an administrator already.
pub(super) async fn narrowed(
    here: &Here,
    name: &str,
    may: &str,
    caveats: &[&str],
) -> (mesh::Client, Connection) {
    let (_, held) = client(here, name, Facets::NONE).await;
    held.abort("it is granted something else");
    let granted = grant(may, caveats);
    here.site.members.authorize(&who(Role::Client, name), &granted).await.unwrap();
    here.connect(Role::Client, name)
}

/// Creates a task of this name that is handed a tool.
async fn create(mesh: &mesh::Client, name: &str, tool: &str) -> Result<Task, Failure> {
    let mut request = mesh.creation().create_task_request();
    let mut spec = request.get().init_spec();
    spec.set_name(name);
    spec.set_agent("script");
    spec.set_entry("main.js");
    let mut file = spec.reborrow().init_source(1).get(0);
    file.set_path("main.js");
    file.set_text("export default async () => 1");
    let mut grant = spec.init_grants(1).get(0);
    grant.set_name("tool");
    grant.init_tool().set_tool(tool);
    let response = within(SOON, request.send()).await?;
    Ok(response.get().unwrap().get_task().unwrap())
}

async fn hand(task: &Task, tool: &str) -> Result<(), Failure> {
    let mut request = task.grant_request();
    let mut spec = request.get().init_spec();
    spec.set_name(tool);
    spec.init_tool().set_tool(tool);
    within(SOON, request.send()).await.map(|_| ())
}

fn is_denied<T>(result: Result<T, Failure>, caveat: &str) {
    let refused = result.err().unwrap();
    assert_eq!(refused.code, Code::Denied, "{refused}");
    assert_eq!(refused.detail, caveat, "{refused}");
}

#[tokio::test]
async fn client_hands_tasks_no_tool_beyond_its_caveats() {
    here(async |here| {
        let (me, _held) = admin(&here);
        let (port, _node) = here.connect::<tool_node_port::Client>(Role::ToolNode, "one");
        let _tools = register_tools(&port, &[("fs", "1"), ("shell", "1")]).await.unwrap();
        let of_creation = "create.arg.tools.*?=oneOf:fs";
        let of_own = "own.arg.tools.*?=oneOf:fs";
        let caveats = [of_creation, of_own];
        let (bob, _his) = narrowed(&here, "bob", "create,own", &caveats).await;
        is_denied(create(&bob, "mine", "shell").await, of_creation);
        let mine = create(&bob, "mine", "fs").await.unwrap();
        is_denied(hand(&mine, "shell").await, of_own);
        hand(&mine, "fs").await.unwrap();
        // What another one handed it is not copied either.
        let id = within(SOON, mine.info_request().send()).await.unwrap();
        let id = id.get().unwrap().get_info().unwrap().get_id().unwrap().to_string().unwrap();
        hand(&task(&me, &id).await.unwrap(), "shell").await.unwrap();
        is_denied(within(SOON, mine.fork_request().send()).await, of_creation);
        // The end of a task takes its grants back, and a copy of its past has them again.
        within(SOON, mine.cancel_request().send()).await.unwrap();
        within(SOON, mine.result_request().send()).await.unwrap();
        is_denied(within(SOON, mine.fork_request().send()).await, of_creation);
        is_denied(within(SOON, mine.retry_request().send()).await, of_creation);
        // Nor is it by a trigger.
        let triggers = bob.creation().triggers_request().send().pipeline.get_triggers();
        let mut request = triggers.put_request();
        let mut trigger = request.get().init_trigger();
        trigger.set_name("nightly");
        trigger.reborrow().init_when().set_every(60_000);
        let mut spec = trigger.init_does().init_task();
        spec.set_name("made");
        spec.init_grants(1).get(0).init_tool().set_tool("shell");
        is_denied(within(SOON, request.send()).await, of_creation);
    })
    .await;
}

#[tokio::test]
async fn client_sees_and_steers_only_tasks_that_fit_its_caveats() {
    here(async |here| {
        let (me, _held) = admin(&here);
        let (port, _node) = here.connect::<tool_node_port::Client>(Role::ToolNode, "one");
        let _tools = register_tools(&port, &[("fs", "1")]).await.unwrap();
        let id_of = async |task: Task| {
            let info = within(SOON, task.info_request().send()).await.unwrap();
            let info = info.get().unwrap().get_info().unwrap();
            info.get_id().unwrap().to_string().unwrap()
        };
        let release = id_of(create(&me, "release-1", "fs").await.unwrap()).await;
        let secret = id_of(create(&me, "secret", "fs").await.unwrap()).await;
        let caveats = ["arg.name=glob:release-*"];
        let (eve, _hers) = narrowed(&here, "eve", "view,steer", &caveats).await;
        assert_eq!((count_tasks(&me).await, count_tasks(&eve).await), (2, 1));
        assert!(task(&eve, &release).await.is_ok());
        assert_eq!(task(&eve, &secret).await.err().unwrap().code, Code::Denied);
        let holders = within(SOON, eve.tasks().holders_request().send()).await.unwrap();
        assert_eq!(holders.get().unwrap().get_held().unwrap().len(), 1);
        let mut request = eve.tasks().revoke_all_request();
        request.get().init_which().set_tool("fs");
        let revoked = within(SOON, request.send()).await.unwrap();
        assert_eq!(revoked.get().unwrap().get_revoked().unwrap().len(), 1);
        let left = within(SOON, me.tasks().holders_request().send()).await.unwrap();
        assert_eq!(left.get().unwrap().get_held().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_granted_for_a_time_ends_with_it() {
    here(async |here| {
        let _admin = admin(&here);
        let caveats = ["audit.until=1s"];
        let (bob, connection) = narrowed(&here, "bob", "audit,view", &caveats).await;
        assert_eq!(given(&bob).await, ["tasks", "audit"]);
        let audit = bob.audit();
        assert!(within(SOON, audit.read_request().send()).await.is_ok());
        connection.ended().await;
        assert!(within(SOON, audit.read_request().send()).await.is_err());
        let (bob, connection) = here.connect::<mesh::Client>(Role::Client, "bob");
        assert_eq!(given(&bob).await, ["tasks"]);
        assert!(!connection.is_closed());
    })
    .await;
}

#[tokio::test]
async fn invite_inherits_the_caveats_of_its_maker() {
    here(async |here| {
        let _admin = admin(&here);
        let caveats = ["until=1h", "view.arg.name=glob:release-*", "members.arg.name=glob:team-*"];
        let (_clerk, _held) = narrowed(&here, "clerk", "members,view", &caveats).await;
        let by = who(Role::Client, "clerk");
        let friend =
            |name: &str, grant| NewInvite { grant, ..wanted(Role::Client, name, Facets::NONE) };
        let refused = here.site.invite(&by, friend("ann", grant("view", &[]))).await.unwrap_err();
        assert_eq!(refused.code, Code::Denied, "{refused}");
        let invite = friend("team-ann", grant("view", &["label=hers"]));
        let line = here.site.invite(&by, invite).await.unwrap();
        let ann = join(&here, &line.parse().unwrap(), Role::Client).await.unwrap();
        let given = here.site.members.granted(&ann);
        assert!(here.site.members.granted(&by).lacks(&given).is_none(), "{given}");
        assert_eq!(given.caveats().count(), 3, "{given}");
        assert!(here.site.members.granted(&by).lacks(&grant("view", &[])).is_some());
    })
    .await;
}

#[tokio::test]
async fn narrowed_administrator_reaches_no_member_that_is_wider() {
    here(async |here| {
        let (_me, _held) = admin(&here);
        let _clerk = narrowed(&here, "clerk", "admin", &["until=1h"]).await;
        let _bob = client(&here, "bob", Facets::MEMBER).await;
        let (clerk, bob) = (who(Role::Client, "clerk"), who(Role::Client, "bob"));
        for wanted in [grant("member", &[]), grant("member", &["until=2m"])] {
            let refused = here.site.authorize(&clerk, &bob, wanted).await.unwrap_err();
            assert_eq!(refused.code, Code::Denied, "{refused}");
        }
        let again = super::invited::again("bob", Facets::MEMBER);
        let refused = here.site.invite(&clerk, again).await.unwrap_err();
        assert!(refused.message.contains("without `until"), "{refused}");
        // Nor does it take off its own caveats, or stay when the last one that has none goes.
        here.site.authorize(&clerk, &clerk, grant("admin", &[])).await.unwrap();
        assert_eq!(here.site.members.granted(&clerk).caveats().count(), 1);
        let me = who(Role::Client, "me");
        let refused = here.site.authorize(&me, &me, grant("admin", &["until=1h"])).await;
        assert!(refused.unwrap_err().message.contains("is the last"));
    })
    .await;
}

#[tokio::test]
async fn narrowing_a_member_ends_its_connections_and_revokes_what_it_saved() {
    here(async |here| {
        let (me, _held) = admin(&here);
        let id = create_task(&me).await.unwrap();
        let (bob, connection) = client(&here, "bob", Facets::of(&[Facet::Steer])).await;
        let held = task(&bob, &id).await.unwrap();
        let mut request = held.save_request();
        let mut spec = request.get().init_spec();
        spec.set_label("for a friend");
        spec.set_owner(who(Role::Client, "ann").to_string());
        within(SOON, request.send()).await.unwrap();
        let refs = here.site.tasks.refs().unwrap();
        let state = async || refs.list("default").await.unwrap()[0].1.check();
        assert!(state().await.is_ok());
        let (by, of) = (who(Role::Client, "me"), who(Role::Client, "bob"));
        here.site.authorize(&by, &of, grant("steer", &["label=same"])).await.unwrap();
        assert!(state().await.is_ok() && !connection.is_closed(), "nothing was taken away");
        here.site.authorize(&by, &of, grant("steer", &["arg.name=glob:x*"])).await.unwrap();
        connection.ended().await;
        assert!(state().await.is_err());
    })
    .await;
}

#[tokio::test]
async fn reference_lasts_no_longer_than_its_maker_may_steer_the_task() {
    here(async |here| {
        let _admin = admin(&here);
        let (bob, _his) = narrowed(&here, "bob", "create,own", &["own.until=1h"]).await;
        let mine = task(&bob, &create_task(&bob).await.unwrap()).await.unwrap();
        let save = async |until_ms: u64| {
            let mut request = mine.save_request();
            let mut spec = request.get().init_spec();
            spec.set_label("for later");
            spec.set_until_ms(until_ms);
            within(SOON, request.send()).await.unwrap();
            let saved = here.site.tasks.refs().unwrap().list("default").await.unwrap();
            saved.last().unwrap().0.until_ms.unwrap()
        };
        let hour = now_ms() + 3_600_000;
        assert!(save(0).await <= hour);
        assert!(save(hour * 2).await <= hour);
        let soon = now_ms() + 60_000;
        assert_eq!(save(soon).await, soon);
    })
    .await;
}

#[tokio::test]
async fn caveats_outlive_a_restart() {
    here(async |here| {
        let _admin = admin(&here);
        let _bob = narrowed(&here, "bob", "view", &["view.arg.name=glob:a*"]).await;
        let meta = Arc::clone(&here.site.meta);
        let reopened =
            crate::admission::members::Members::open(meta, Box::new(now_ms)).await.unwrap();
        let bob = who(Role::Client, "bob");
        assert_eq!(reopened.granted(&bob), grant("view", &["view.arg.name=glob:a*"]));
    })
    .await;
}
