//! What an ordinary client holds does not reach what is another's: tried by every way it has.

use remit_core::{Code, EventNumber, Facets, Fact, Role, TaskId};
use remit_journal::TaskHead;
use remit_journal::meta::Batch;
use remit_schema::mesh_capnp::mesh;
use remit_vat::connection::within;

use super::super::{SOON, create_task, here};
use super::invited::{again, join, wanted};
use super::{admin, client, given, task};
use crate::limits;
use crate::serve::fakes::{Granted as _, who};

#[tokio::test]
async fn name_in_another_case_script_or_spacing_is_no_name() {
    here(async |here| {
        let _admin = admin(&here);
        let _bob = client(&here, "bob", Facets::MEMBER).await;
        for name in [
            "Bob",
            "BOB",
            "b\u{43e}b",
            "bob ",
            " bob",
            "bob\u{200b}",
            "bob\n",
            "bo\u{301}b",
            "\u{ff42}ob",
            "bob/",
            "../bob",
            "",
            "client/bob",
            "bob\0",
        ] {
            let by = who(Role::Client, "me");
            let invite = wanted(Role::Client, name, Facets::MEMBER);
            let refused = here.site.invite(&by, invite).await.unwrap_err();
            assert_eq!(refused.code, Code::InvalidArgument, "{name:?}: {refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_who_join_by_one_invite_one_is_refused() {
    here(async |here| {
        let _admin = admin(&here);
        let by = who(Role::Client, "me");
        let line = here.site.invite(&by, wanted(Role::Client, "bob", Facets::MEMBER)).await;
        let invite = line.unwrap().parse().unwrap();
        let (one, two) =
            tokio::join!(join(&here, &invite, Role::Client), join(&here, &invite, Role::Client));
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
    })
    .await;
}

#[tokio::test]
async fn withdrawn_or_replaced_invite_lets_nobody_join() {
    here(async |here| {
        let _admin = admin(&here);
        let (by, bob) = (who(Role::Client, "me"), who(Role::Client, "bob"));
        let first = here.site.invite(&by, wanted(Role::Client, "bob", Facets::MEMBER)).await;
        let second = here.site.invite(&by, wanted(Role::Client, "bob", Facets::NONE)).await;
        let refused = join(&here, &first.unwrap().parse().unwrap(), Role::Client).await;
        assert!(refused.unwrap_err().contains("not known"));
        here.site.withdraw(&by, &bob).await.unwrap();
        let refused = join(&here, &second.unwrap().parse().unwrap(), Role::Client).await;
        assert!(refused.unwrap_err().contains("not known"));
        assert_eq!(here.site.withdraw(&by, &bob).await.unwrap_err().code, Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn objects_that_outlive_their_facets_do_nothing() {
    here(async |here| {
        let _admin = admin(&here);
        let (bob, connection) = client(&here, "bob", Facets::ALL).await;
        let response = within(SOON, bob.facets_request().send()).await.unwrap();
        let facets = response.get().unwrap();
        let (members, audit) = (facets.get_members().unwrap(), facets.get_audit().unwrap());
        let mut request = members.member_request();
        request.get().set_identity(who(Role::Client, "bob").to_string());
        let me = within(SOON, request.send()).await.unwrap();
        let me = me.get().unwrap().get_member().unwrap();
        let (by, of) = (who(Role::Client, "me"), who(Role::Client, "bob"));
        here.site.authorize(&by, &of, Facets::MEMBER.into()).await.unwrap();
        // Whatever it had in its hands ends with the connection.
        let mut back = me.authorize_request();
        back.get().init_may(1).set(0, "admin");
        assert!(within(SOON, back.send()).await.is_err());
        connection.ended().await;
        assert!(within(SOON, audit.read_request().send()).await.is_err());
        assert_eq!(here.site.members.granted(&of), Facets::MEMBER.into());
        let (bob, _held) = here.connect::<mesh::Client>(Role::Client, "bob");
        assert_eq!(given(&bob).await, ["creation", "tasks"]);
    })
    .await;
}

#[tokio::test]
async fn ordinary_client_reaches_no_reference_or_trigger_of_another() {
    here(async |here| {
        let (me, _held) = admin(&here);
        let (bob, _his) = client(&here, "bob", Facets::MEMBER).await;
        let mine = task(&me, &create_task(&me).await.unwrap()).await.unwrap();
        let mut request = mine.save_request();
        request.get().init_spec().set_label("mine");
        let saved = within(SOON, request.send()).await.unwrap();
        let (bits, id) = (saved.get().unwrap().get_ref().unwrap(), saved.get().unwrap().get_id());
        let mut restore = bob.restore_request();
        restore.get().set_ref(bits);
        assert_eq!(within(SOON, restore.send()).await.err().unwrap().code, Code::Denied);
        let mut find = bob.ref_request();
        find.get().set_id(id.unwrap());
        assert_eq!(within(SOON, find.send()).await.err().unwrap().code, Code::NotFound);
        let listed = within(SOON, bob.refs_request().send()).await.unwrap();
        assert_eq!(listed.get().unwrap().get_refs().unwrap().len(), 0);
        let put = async |mesh: &mesh::Client| {
            let triggers = mesh.creation().triggers_request().send().pipeline.get_triggers();
            let mut request = triggers.put_request();
            let mut trigger = request.get().init_trigger();
            trigger.set_name("nightly");
            trigger.reborrow().init_when().set_every(60_000);
            let mut spec = trigger.init_does().init_task();
            spec.set_name("made");
            spec.set_entry("main.js");
            spec.init_source(1).get(0).set_path("main.js");
            within(SOON, request.send()).await.map(|_| triggers)
        };
        put(&me).await.unwrap();
        assert_eq!(put(&bob).await.err().unwrap().code, Code::Denied);
        let triggers = bob.creation().triggers_request().send().pipeline.get_triggers();
        let listed = within(SOON, triggers.list_request().send()).await.unwrap();
        assert_eq!(listed.get().unwrap().get_triggers().unwrap().len(), 0);
        let mut remove = triggers.remove_request();
        remove.get().set_name("nightly");
        assert_eq!(within(SOON, remove.send()).await.err().unwrap().code, Code::Denied);
    })
    .await;
}

#[tokio::test]
async fn triggers_of_an_expelled_client_are_removed_and_its_tasks_are_paused() {
    here(async |here| {
        let _admin = admin(&here);
        let (bob, _his) = client(&here, "bob", Facets::MEMBER).await;
        let id: TaskId = create_task(&bob).await.unwrap().parse().unwrap();
        let triggers = bob.creation().triggers_request().send().pipeline.get_triggers();
        let mut request = triggers.put_request();
        let mut trigger = request.get().init_trigger();
        trigger.set_name("nightly");
        trigger.reborrow().init_when().set_every(60_000);
        let mut spec = trigger.init_does().init_task();
        spec.set_name("made");
        spec.set_entry("main.js");
        spec.init_source(1).get(0).set_path("main.js");
        within(SOON, request.send()).await.unwrap();
        let (by, of) = (who(Role::Client, "me"), who(Role::Client, "bob"));
        let then = crate::services::membership::AndItsTasks::ArePaused;
        let went = here.site.expel(&by, &of, "gone", then).await.unwrap();
        assert_eq!((went.triggers, went.tasks), (1, 1));
        assert!(here.site.triggers.list("default").await.unwrap().is_empty());
        let key = crate::runtime::TaskKey { tenant: "default".into(), task: id };
        let paused = here.site.tasks.get(&key).unwrap().with(|task| task.paused().is_some());
        assert!(paused);
        // Who comes back under the name finds its task, and steers it again.
        let line = here.site.invite(&by, again("bob", Facets::MEMBER)).await.unwrap();
        join(&here, &line.parse().unwrap(), Role::Client).await.unwrap();
        assert_eq!(here.site.members.granted(&of), Facets::MEMBER.into());
    })
    .await;
}

#[tokio::test]
async fn task_that_is_created_while_its_creator_is_expelled_does_not_run() {
    here(async |here| {
        let _admin = admin(&here);
        for turns in 0..12 {
            let name = format!("bob{turns}");
            let (bob, _his) = client(&here, &name, Facets::MEMBER).await;
            let creating = tokio::task::spawn_local(async move { create_task(&bob).await });
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            let (by, of) = (who(Role::Client, "me"), who(Role::Client, &name));
            let then = crate::services::membership::AndItsTasks::ArePaused;
            here.site.expel(&by, &of, "gone", then).await.unwrap();
            let _cut = creating.await.unwrap();
            // What its creation left under way comes to its end.
            for _ in 0..50 {
                tokio::task::yield_now().await;
                here.site.meta.commit(Batch::default()).await.unwrap();
            }
            let (listed, _) = here.site.tasks.list("default", None, None, 100, None).unwrap();
            for (id, head) in listed.into_iter().filter(|(_, head)| head.creator == of.to_string())
            {
                assert_eq!(head.status, remit_core::status::Status::Paused, "{id} after {turns}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn list_looks_at_a_bounded_number_of_tasks_and_says_where_to_go_on() {
    here(async |here| {
        let (me, _held) = admin(&here);
        let (bob, _his) = client(&here, "bob", Facets::MEMBER).await;
        let id: TaskId = create_task(&me).await.unwrap().parse().unwrap();
        let journal = &here.site.journal;
        let first = journal.read("default", id, EventNumber(0), 1).unwrap().remove(0);
        let append = |id: TaskId, creator: String| {
            let mut first = first.clone();
            let Fact::TaskCreated(created) = &mut first.fact else { panic!("{first:?}") };
            created.creator.clone_from(&creator);
            let head = TaskHead { creator, number: EventNumber(1), ..TaskHead::default() };
            journal.append("default", id, &[first], head)
        };
        let (mine, others) = (who(Role::Client, "bob"), who(Role::Client, "me"));
        let all = (0..limits::TASKS_LOOKED_AT)
            .map(|at| append(TaskId::new(1_000 + at as u64, [1; 10]), others.to_string()));
        for appended in futures::future::join_all(all).await {
            appended.unwrap();
        }
        // One of its own, older than all others, is found by going on.
        append(TaskId::new(1, [1; 10]), mine.to_string()).await.unwrap();
        let page = async |after: &str| {
            let mut request = bob.tasks().list_request();
            request.get().set_after(after);
            let page = within(SOON, request.send()).await.unwrap();
            let page = page.get().unwrap();
            (page.get_tasks().unwrap().len(), page.get_more().unwrap().to_string().unwrap())
        };
        let (found, more) = page("").await;
        assert_eq!(found, 0);
        assert!(!more.is_empty());
        assert_eq!(page(&more).await, (1, String::new()));
    })
    .await;
}
