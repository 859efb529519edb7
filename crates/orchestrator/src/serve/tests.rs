//! What a connection gets, by the identity that was verified for it.

mod control;
mod lab;
mod laws;
mod membrane;
mod over_tls;
mod past;
mod people;
mod questions;
mod refs;
mod security;
mod triggers;

use std::time::{Duration, SystemTime};

use capnp::capability::{Client, FromClientHook as _};
use remit_core::{Code, Facets, Failure, Identity, Role};
use remit_identity::join;
use remit_schema::agent_node_capnp::{agent_node_port, agent_registration};
use remit_schema::join_capnp::credentials;
use remit_schema::mesh_capnp::mesh;
use remit_schema::peer_capnp::peer;
use remit_schema::task_capnp::task_context;
use remit_schema::tool_node_capnp::{tool_node_port, tool_registration};
use remit_vat::connection::{Connection, within};
use remit_vat::exception::to_failure;
use remit_vat::wire;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::fakes::{self, Granted as _, Here, who};
use crate::limits;
use crate::scheduler::registry::ToolOffer;

const SOON: Duration = Duration::from_secs(5);

/// Runs a test inside a vat with an orchestrator.
async fn here<F: Future<Output = ()>>(test: impl FnOnce(Here) -> F) {
    LocalSet::new().run_until(async { test(Here::new()).await }).await;
}

async fn ping(bootstrap: &Client) -> Result<(), Failure> {
    let peer = peer::Client::new(bootstrap.hook.add_ref());
    within(SOON, peer.ping_request().send()).await.map(|_| ())
}

pub(super) async fn register_tools(
    port: &tool_node_port::Client,
    offered: &[(&str, &str)],
) -> Result<tool_registration::Client, capnp::Error> {
    let ToolOffer { tools, host, .. } = fakes::tools(offered);
    let mut request = port.register_request();
    request.get().set_host(host);
    let mut list = request.get().init_offer().init_tools(u32::try_from(tools.len()).unwrap());
    for (at, (manifest, root)) in (0..).zip(tools) {
        let mut tool = list.reborrow().get(at);
        wire::manifest::write(tool.reborrow().init_manifest(), &manifest);
        tool.set_root(root);
    }
    request.send().promise.await?.get()?.get_registration()
}

async fn register_agents(
    port: &agent_node_port::Client,
) -> Result<agent_registration::Client, capnp::Error> {
    let mut request = port.register_request();
    request.get().set_host(fakes::scripts(1, &[]).host);
    let mut offer = request.get().init_offer();
    offer.set_version("1.0.0");
    offer.set_capacity(1);
    offer.init_kinds(1).set(0, "script");
    request.send().promise.await?.get()?.get_registration()
}

async fn create_task(mesh: &mesh::Client) -> Result<String, capnp::Error> {
    let mut request = mesh.creation().create_task_request();
    let mut spec = request.get().init_spec();
    spec.set_name("nothing much");
    spec.set_agent("script");
    spec.set_entry("main.js");
    let mut file = spec.init_source(1).get(0);
    file.set_path("main.js");
    file.set_text("export default async () => 1");
    let response = request.send().promise.await?;
    Ok(response.get()?.get_id()?.to_str()?.to_owned())
}

fn is_not_offered<T>(result: Result<T, capnp::Error>) {
    let error = result.err().unwrap();
    assert_eq!(error.kind, capnp::ErrorKind::Unimplemented, "{error}");
}

#[tokio::test]
async fn tool_node_cannot_create_tasks() {
    here(async |here| {
        let (mesh, _held) = here.connect::<mesh::Client>(Role::ToolNode, "one");
        is_not_offered(create_task(&mesh).await);
        is_not_offered(mesh.nodes_request().send().promise.await);
        let port = agent_node_port::Client { client: mesh.client };
        is_not_offered(register_agents(&port).await);
    })
    .await;
}

#[tokio::test]
async fn agent_node_cannot_create_tasks_or_offer_tools() {
    here(async |here| {
        let (mesh, _held) = here.connect::<mesh::Client>(Role::AgentNode, "one");
        is_not_offered(create_task(&mesh).await);
        let port = tool_node_port::Client { client: mesh.client };
        is_not_offered(register_tools(&port, &[("fs", "1")]).await);
    })
    .await;
}

#[tokio::test]
async fn client_cannot_register_as_a_node() {
    here(async |here| {
        let (port, _held) = here.connect::<tool_node_port::Client>(Role::Client, "me");
        is_not_offered(register_tools(&port, &[("fs", "1")]).await);
        let port = agent_node_port::Client { client: port.client };
        is_not_offered(register_agents(&port).await);
    })
    .await;
}

#[tokio::test]
async fn orchestrator_gets_nothing() {
    here(async |here| {
        let (near, far) = tokio::io::duplex(1024);
        let until = SystemTime::now() + SOON;
        let other = who(Role::Orchestrator, "other");
        let refused = here.listener.serve_peer(far, &other, until).err().unwrap();
        assert!(refused.0.contains("orchestrator/other"), "{refused}");
        drop(near);
    })
    .await;
}

#[tokio::test]
async fn a_node_is_listed_while_its_connection_lasts() {
    here(async |here| {
        let (port, node) = here.connect::<tool_node_port::Client>(Role::ToolNode, "one");
        let _registration = register_tools(&port, &[("fs", "1"), ("fs", "2")]).await.unwrap();
        let (mesh, _held) = here.connect::<mesh::Client>(Role::Client, "me");
        let list = || async {
            let tools = mesh.tools_request().send().promise.await.unwrap();
            let tools = tools.get().unwrap().get_tools().unwrap();
            let state = |tool: remit_schema::node_capnp::tool_info::Reader<'_>| {
                let manifest = tool.get_manifest().unwrap();
                let version = manifest.get_version().unwrap().to_str().unwrap().to_owned();
                (version, tool.get_available())
            };
            // Beside the orchestrator's own, which are always there.
            let served = |tool: &remit_schema::node_capnp::tool_info::Reader<'_>| {
                tool.get_node().unwrap() != "orchestrator"
            };
            tools.iter().filter(served).map(state).collect::<Vec<_>>()
        };
        assert_eq!(list().await, [("2".to_owned(), true), ("1".to_owned(), true)]);
        let changed = here.site.registry.changed();
        node.abort("it fell over");
        changed.await;
        assert_eq!(list().await, [("2".to_owned(), false), ("1".to_owned(), false)]);
        let (port, _again) = here.connect::<tool_node_port::Client>(Role::ToolNode, "one");
        let _registration = register_tools(&port, &[("fs", "2")]).await.unwrap();
        assert_eq!(list().await, [("2".to_owned(), true)]);
    })
    .await;
}

#[tokio::test]
async fn dropping_the_registration_takes_the_node_off() {
    here(async |here| {
        let (port, _held) = here.connect::<agent_node_port::Client>(Role::AgentNode, "one");
        let registration = register_agents(&port).await.unwrap();
        assert!(here.site.registry.place("script", &[], "").is_ok());
        let changed = here.site.registry.changed();
        drop(registration);
        changed.await;
        assert!(here.site.registry.place("script", &[], "").is_err());
    })
    .await;
}

#[tokio::test]
async fn renewal_is_for_the_identity_of_the_connection() {
    here(async |here| {
        let me = who(Role::Client, "me");
        let old = here.site.authority.issue(&me, SOON).unwrap();
        let renewal = join::Renewal::prepare(&old).unwrap();
        let renewed = async |name: &str| {
            let (me, _held) = here.connect::<credentials::Client>(Role::Client, name);
            let mut request = me.renew_request();
            request.get().set_signing_request(renewal.signing_request());
            let response = within(SOON, request.send()).await.unwrap();
            let chain = response.get().unwrap().get_certificate().unwrap();
            let (leaf, authority) = (chain.get_leaf().unwrap(), chain.get_authority().unwrap());
            (leaf.to_vec(), authority.to_vec())
        };
        let (leaf, authority) = renewed("another").await;
        let why = join::Renewal::prepare(&old).unwrap().complete(&leaf, &authority).unwrap_err();
        assert!(why.0.contains("client/another"), "{why}");
        let (leaf, authority) = renewed("me").await;
        let fresh = renewal.complete(&leaf, &authority).unwrap();
        assert_eq!(*fresh.identity(), me);
        assert!(fresh.not_after() > old.not_after());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_when_its_certificate_does() {
    here(async |here| {
        let until = SystemTime::now() + Duration::from_secs(60);
        let (_near, served) = here.connect_until::<mesh::Client>(Role::Client, "me", until);
        let ended = served.ended().await;
        assert!(ended.cause.contains("certificate expired"), "{ended}");
    })
    .await;
}

#[tokio::test]
async fn one_identity_has_so_many_connections_and_no_more() {
    here(async |here| {
        let until = SystemTime::now() + SOON;
        let connect = |name| {
            let (near, far) = tokio::io::duplex(1024);
            here.listener
                .serve_peer(far, &who(Role::Client, name), until)
                .map(|served| (near, served))
        };
        let mut held: Vec<_> =
            (0..limits::CONNECTIONS_PER_IDENTITY).map(|_| connect("me").unwrap()).collect();
        assert!(connect("me").is_err());
        assert!(connect("you").is_ok(), "no other peer notices");
        let (near, served) = held.pop().unwrap();
        drop(near);
        served.ended().await;
        tokio::task::yield_now().await;
        assert!(connect("me").is_ok());
    })
    .await;
}

#[tokio::test]
async fn an_attempt_is_reached_by_its_ticket_alone() {
    here(async |here| {
        let (node, until) = (who(Role::AgentNode, "one"), SystemTime::now() + SOON);
        let (sender, connected) = oneshot::channel();
        let ticket = here.site.tickets.issue(&node.to_string(), fakes::context(), sender);
        let present = async |ticket: [u8; 32], who: &Identity| {
            let (mut near, far) = tokio::io::duplex(64 << 10);
            near.write_all(&ticket).await.unwrap();
            here.listener.serve_attempt(far, who, until).await.map(|()| near)
        };
        assert!(present([0; 32], &node).await.is_err());
        assert!(present(ticket, &who(Role::Client, "me")).await.is_err());
        let near = present(ticket, &node).await.unwrap();
        let (context, _held): (task_context::Client, _) =
            Connection::connect(near, None, fakes::options());
        ping(&context.client).await.unwrap();
        connected.await.unwrap().abort("fenced");
        let cut = ping(&context.client).await.unwrap_err();
        assert_eq!(cut.code, Code::Unavailable);
        assert!(present(ticket, &node).await.is_err(), "once");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_node_without_a_word_is_not_waited_for() {
    here(async |here| {
        let (_near, far) = tokio::io::duplex(1024);
        let (node, until) = (who(Role::AgentNode, "one"), SystemTime::now() + SOON * 100);
        let refused = here.listener.serve_attempt(far, &node, until).await.unwrap_err();
        assert!(refused.0.contains("no ticket"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn task_of_another_tenant_is_not_found() {
    here(async |here| {
        let (mesh, _held) = here.connect::<mesh::Client>(Role::Client, "me");
        let id = create_task(&mesh).await.unwrap();
        let look = async |tenant: &str| {
            let (near, far) = tokio::io::duplex(64 << 10);
            let someone = Identity::new("home", tenant, Role::Client, "someone").unwrap();
            let until = SystemTime::now() + SOON;
            here.site.members.greet(&someone, None, until).unwrap();
            here.site.members.authorize(&someone, &Facets::ALL.into()).await.unwrap();
            let _served = here.listener.serve_peer(far, &someone, until).unwrap();
            let (mesh, _held): (mesh::Client, _) =
                Connection::connect(near, None, fakes::options());
            let mut request = mesh.tasks().task_request();
            request.get().set_id(&id);
            let found = request.send().promise.await.map(|_| ());
            let listed = mesh.tasks().list_request().send().promise.await.unwrap();
            (found, listed.get().unwrap().get_tasks().unwrap().len())
        };
        let (found, listed) = look("default").await;
        assert_eq!((found.is_ok(), listed), (true, 1));
        let (found, listed) = look("others").await;
        assert_eq!(to_failure(&found.unwrap_err()).code, Code::NotFound);
        assert_eq!(listed, 0);
    })
    .await;
}
