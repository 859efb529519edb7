//! What a person may do in a mesh is what it was given, and no more.

pub(super) mod expelled;
mod invited;

use std::time::{Duration, SystemTime};

use capnp::capability::FromClientHook as _;
use capnp::traits::HasTypeId as _;
use remit_core::facet::BUNDLES;
use remit_core::{Code, Facet, Facets, Failure, Role};
use remit_schema::mesh_capnp::{mesh, task};
use remit_vat::connection::{Connection, within};
use remit_vat::exception::to_failure;

use super::{SOON, create_task, here};
use crate::serve::facets::{MESH, TASK};
use crate::serve::fakes::{Here, who};

/// Connects as the first client of the mesh, which administers it.
fn admin(here: &Here) -> (mesh::Client, Connection) {
    here.connect(Role::Client, "me")
}

/// Connects as a client that may do this and nothing else. There is an administrator already.
async fn client(here: &Here, name: &str, may: Facets) -> (mesh::Client, Connection) {
    let until = SystemTime::now() + Duration::from_secs(60);
    let identity = who(Role::Client, name);
    here.site.members.greet(&identity, None, until).unwrap();
    here.site.members.authorize(&identity, may).await.unwrap();
    here.connect(Role::Client, name)
}

/// Calls the method of this ordinal without arguments.
async fn call(client: &capnp::capability::Client, interface: u64, ordinal: usize) -> Failure {
    let ordinal = u16::try_from(ordinal).unwrap();
    let request = client.as_client_hook().new_call(interface, ordinal, None);
    let sent = request.send();
    match tokio::time::timeout(SOON, sent.promise).await {
        Ok(Err(error)) => to_failure(&error),
        _ => Failure::new(Code::Failed, "it was let through"),
    }
}

async fn task(mesh: &mesh::Client, id: &str) -> Result<task::Client, Failure> {
    let mut request = mesh.task_request();
    request.get().set_id(id);
    let response = within(SOON, request.send()).await?;
    response.get().and_then(|given| given.get_task()).map_err(|error| to_failure(&error))
}

async fn count_tasks(mesh: &mesh::Client) -> u32 {
    let response = within(SOON, mesh.tasks_request().send()).await.unwrap();
    response.get().unwrap().get_tasks().unwrap().len()
}

/// The methods of an interface in the text of the schema, by their ordinals.
fn methods(interface: &str) -> Vec<String> {
    let schema = include_str!("../../../../../schema/mesh.capnp");
    let (_, body) = schema.split_once(&format!("interface {interface} ")).unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let declared = body.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut found: Vec<(usize, String)> = declared
        .filter_map(|line| {
            let (name, rest) = line.trim().split_once(" @")?;
            let (ordinal, _) = rest.split_once(' ')?;
            Some((ordinal.parse().ok()?, name.to_owned()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn every_method_of_the_schema_is_in_the_tables() {
    assert_eq!(methods("Mesh"), MESH.map(|(name, _)| name));
    assert_eq!(methods("Task"), TASK.map(|(name, _)| name));
}

/// What takes a facet that not every client has, by the facet.
const TAKES: [(Facet, &[&str]); 5] = [
    (Facet::Members, &["invite", "members", "expel", "authorize", "invites", "withdraw"]),
    (Facet::Nodes, &["drain", "undrain", "acceptTool"]),
    (Facet::Create, &["createTask", "triggers"]),
    (Facet::Audit, &["audit", "verifyAudit"]),
    (Facet::Backup, &["keeper"]),
];

/// What takes any facet by which tasks are seen.
const TAKES_SIGHT: [&str; 5] = ["task", "tasks", "inbox", "holders", "revokeAll"];

fn is_given(method: &str, may: Facets) -> bool {
    let sees = [Facet::Own, Facet::View, Facet::Steer, Facet::Decide];
    let taken = TAKES.iter().find(|(_, methods)| methods.contains(&method));
    match taken {
        Some((facet, _)) => may.has(*facet),
        None => !TAKES_SIGHT.contains(&method) || sees.into_iter().any(|facet| may.has(facet)),
    }
}

#[tokio::test]
async fn no_role_reaches_a_method_that_it_was_not_given() {
    here(async |here| {
        let _admin = admin(&here);
        let alone = Facet::ALL.map(|facet| (facet.as_str(), Facets::of(&[facet])));
        for (name, may) in BUNDLES.into_iter().chain(alone).chain([("none", Facets::NONE)]) {
            let (mesh, held) = client(&here, "somebody", may).await;
            for (ordinal, (method, _)) in MESH.into_iter().enumerate() {
                let failure = call(&mesh.client, mesh::Client::TYPE_ID, ordinal).await;
                let refused =
                    failure.code == Code::Denied && failure.message.contains("this takes");
                assert_eq!(refused, !is_given(method, may), "{method} as {name}: {failure}");
            }
            held.abort("the next one comes");
        }
    })
    .await;
}

#[tokio::test]
async fn viewer_of_a_task_cannot_steer_it_by_its_name() {
    here(async |here| {
        let (me, _held) = admin(&here);
        let id = create_task(&me).await.unwrap();
        for (may, looks) in [
            (Facets::of(&[Facet::View]), &["info", "grants", "events", "result"][..]),
            (Facets::of(&[Facet::Decide]), &["questions", "approve", "give", "refuse", "settle"]),
        ] {
            let (mesh, held) = client(&here, "viewer", may).await;
            let seen = task(&mesh, &id).await.unwrap();
            within(SOON, seen.info_request().send()).await.unwrap();
            for (ordinal, (method, _)) in TASK.into_iter().enumerate() {
                if ["info", "events", "result", "grants"].contains(&method) {
                    continue;
                }
                let failure = call(&seen.client, task::Client::TYPE_ID, ordinal).await;
                let refused = failure.code == Code::Denied;
                assert_eq!(refused, !looks.contains(&method), "{method} with {may}: {failure}");
            }
            held.abort("the next one comes");
        }
        let mine = task(&me, &id).await.unwrap();
        within(SOON, mine.cancel_request().send()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn task_of_another_client_is_not_seen() {
    here(async |here| {
        let (me, _held) = admin(&here);
        let id = create_task(&me).await.unwrap();
        let (you, _yours) = client(&here, "you", Facets::MEMBER).await;
        let refused = task(&you, &id).await.err().unwrap();
        assert_eq!(refused.code, Code::Denied, "{refused}");
        assert_eq!((count_tasks(&me).await, count_tasks(&you).await), (1, 0));
        let own = create_task(&you).await.unwrap();
        assert!(task(&you, &own).await.is_ok());
        assert_eq!((count_tasks(&me).await, count_tasks(&you).await), (2, 1));
        let mut request = you.revoke_all_request();
        request.get().init_which().set_task(&id);
        let refused = within(SOON, request.send()).await.err().unwrap();
        assert_eq!(refused.code, Code::Denied, "{refused}");
    })
    .await;
}

#[tokio::test]
async fn creation_key_of_another_client_gives_no_task() {
    here(async |here| {
        let keyed = async |mesh: &mesh::Client| {
            let mut request = mesh.create_task_request();
            let mut spec = request.get().init_spec();
            spec.set_name("keyed");
            spec.set_agent("script");
            spec.set_entry("main.js");
            spec.set_key("the same");
            let mut file = spec.init_source(1).get(0);
            file.set_path("main.js");
            file.set_text("export default async () => 1");
            within(SOON, request.send()).await.map(|_| ())
        };
        let (me, _held) = admin(&here);
        let (you, _yours) = client(&here, "you", Facets::MEMBER).await;
        keyed(&me).await.unwrap();
        keyed(&me).await.unwrap();
        let refused = keyed(&you).await.unwrap_err();
        assert!(refused.message.contains("another client"), "{refused}");
    })
    .await;
}
