//! What a person may do in a mesh is what it was given, and no more.

pub(super) mod expelled;
mod invited;
mod narrowed;
mod reaching;

use std::time::{Duration, SystemTime};

use capnp::capability::FromClientHook as _;
use capnp::traits::HasTypeId as _;
use remit_core::facet::BUNDLES;
use remit_core::{Code, Facet, Facets, Failure, Role};
use remit_schema::mesh_capnp::{mesh, task};
use remit_vat::connection::{Connection, within};
use remit_vat::exception::to_failure;

use super::{SOON, create_task, here};
use crate::serve::fakes::{Granted as _, Here, who};
use crate::serve::hold::TASK;

/// Connects as the first client of the mesh, which administers it.
fn admin(here: &Here) -> (mesh::Client, Connection) {
    here.connect(Role::Client, "me")
}

/// Connects as a client that may do this and nothing else. There is an administrator already.
async fn client(here: &Here, name: &str, may: Facets) -> (mesh::Client, Connection) {
    let until = SystemTime::now() + Duration::from_secs(60);
    let identity = who(Role::Client, name);
    here.site.members.greet(&identity, None, until).unwrap();
    here.site.members.authorize(&identity, &may.into()).await.unwrap();
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
    let mut request = mesh.tasks().task_request();
    request.get().set_id(id);
    let response = within(SOON, request.send()).await?;
    response.get().and_then(|given| given.get_task()).map_err(|error| to_failure(&error))
}

async fn count_tasks(mesh: &mesh::Client) -> u32 {
    let response = within(SOON, mesh.tasks().list_request().send()).await.unwrap();
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
fn every_method_of_a_task_is_in_the_table() {
    assert_eq!(methods("Task"), TASK.map(|(name, _)| name));
}

/// The names of the objects that a client is given.
async fn given(mesh: &mesh::Client) -> Vec<&'static str> {
    let response = within(SOON, mesh.facets_request().send()).await.unwrap();
    let given = response.get().unwrap();
    let named = [
        ("creation", given.has_creation()),
        ("tasks", given.has_tasks()),
        ("nodes", given.has_nodes()),
        ("members", given.has_members()),
        ("audit", given.has_audit()),
        ("keeper", given.has_admin()),
    ];
    named.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

/// The object that each facet gives.
const GIVES: [(Facet, &str); 9] = [
    (Facet::Members, "members"),
    (Facet::Nodes, "nodes"),
    (Facet::Create, "creation"),
    (Facet::Own, "tasks"),
    (Facet::View, "tasks"),
    (Facet::Steer, "tasks"),
    (Facet::Decide, "tasks"),
    (Facet::Audit, "audit"),
    (Facet::Backup, "keeper"),
];

#[tokio::test]
async fn client_is_given_the_objects_of_its_facets_and_no_other() {
    here(async |here| {
        let _admin = admin(&here);
        let alone = Facet::ALL.map(|facet| (facet.as_str(), Facets::of(&[facet])));
        for (name, may) in BUNDLES.into_iter().chain(alone).chain([("none", Facets::NONE)]) {
            let (mesh, held) = client(&here, "somebody", may).await;
            let mut right: Vec<&str> = GIVES
                .into_iter()
                .filter_map(|(facet, object)| may.has(facet).then_some(object))
                .collect();
            right.sort_unstable();
            right.dedup();
            let mut found = given(&mesh).await;
            found.sort_unstable();
            assert_eq!(found, right, "{name}");
            // What is not given cannot be called, also without waiting for the answer.
            for (object, refused) in [
                ("creation", create_task(&mesh).await.is_err()),
                ("tasks", within(SOON, mesh.tasks().list_request().send()).await.is_err()),
                ("members", within(SOON, mesh.members().list_request().send()).await.is_err()),
                ("audit", within(SOON, mesh.audit().read_request().send()).await.is_err()),
            ] {
                assert_eq!(refused, !right.contains(&object), "{object} as {name}");
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
        let mut request = you.tasks().revoke_all_request();
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
            let mut request = mesh.creation().create_task_request();
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
