//! Nodes that come, go and come back, and who gets a place.

use std::future::Future;
use std::time::Duration;

use futures::FutureExt as _;
use remit_core::manifest::{Method, Param};
use remit_core::{Code, Failure, Role};

use super::*;
use crate::serve::fakes::{scripts, tools, who};

fn registry() -> Rc<Registry> {
    Registry::new(Box::new(|| 1_000))
}

fn node(name: &str) -> String {
    who(Role::ToolNode, name).to_string()
}

fn has_come(waiting: &mut (impl Future<Output = ()> + Unpin)) -> bool {
    waiting.now_or_never().is_some()
}

#[test]
fn a_tool_is_live_while_its_lease_is_held() {
    let registry = registry();
    let lease = registry.register_tools(&node("one"), tools(&[("fs", "1.0")])).unwrap();
    assert_eq!(registry.tool("fs", "").unwrap().node, node("one"));
    assert!(registry.live(&node("one"), "fs", "1.0").is_some());
    drop(lease);
    assert!(registry.live(&node("one"), "fs", "1.0").is_none());
    assert!(!registry.tools()[0].available, "it is listed while it is away");
    assert!(!registry.nodes()[0].connected);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_no_node_offers_is_waited_for_only_after_the_start() {
    let registry = registry();
    let grace = Duration::from_secs(10);
    let mut expected = Box::pin(registry.expect("fs", "", grace));
    assert!(!has_come(&mut expected));
    let lease = registry.register_tools(&node("one"), tools(&[("fs", "1.0")])).unwrap();
    expected.await;
    let began = tokio::time::Instant::now();
    assert_eq!(began, registry.opened, "it did not wait for the whole time");
    drop(lease);
    registry.expect("fs", "", grace).await;
    assert_eq!(began, tokio::time::Instant::now(), "one that is away is known");
    registry.expect("git", "", grace).await;
    assert_eq!(registry.opened + grace, tokio::time::Instant::now());
    registry.expect("git", "", grace).await;
    assert_eq!(registry.opened + grace, tokio::time::Instant::now(), "by now it would be there");
}

#[test]
fn the_same_identity_takes_its_own_place() {
    let registry = registry();
    let old = registry.register_tools(&node("one"), tools(&[("fs", "1.0")])).unwrap();
    let new = registry.register_tools(&node("one"), tools(&[("fs", "1.1")])).unwrap();
    old.report(7);
    drop(old);
    assert!(registry.live(&node("one"), "fs", "1.1").is_some(), "the old lease changes nothing");
    let other = registry.live(&node("one"), "fs", "1.0").unwrap();
    assert_eq!(other.manifest.version, "1.1", "it is looked at before it is called");
    assert_eq!((registry.nodes().len(), registry.nodes()[0].load), (1, 0));
    drop(new);
    assert!(registry.live(&node("one"), "fs", "1.1").is_none());
}

#[test]
fn two_versions_stand_side_by_side_and_the_newest_is_for_new_grants() {
    let registry = registry();
    let offer = tools(&[("fs", "1.9"), ("fs", "1.10"), ("git", "3")]);
    let _lease = registry.register_tools(&node("one"), offer).unwrap();
    assert_eq!(registry.tool("fs", "").unwrap().manifest.version, "1.10");
    assert_eq!(registry.tool("fs", "1.9").unwrap().manifest.version, "1.9");
    assert!(registry.live(&node("one"), "fs", "1.9").is_some());
    assert_eq!(registry.nodes()[0].version, "1.10, 1.9, 3");
    let Failure { code, message, .. } = registry.tool("fs", "2").unwrap_err();
    assert_eq!(code, Code::NotFound);
    assert!(message.contains("fs@2") && message.contains("fs@1.10, fs@1.9, git@3"), "{message}");
}

#[test]
fn of_nodes_with_the_same_tool_the_least_loaded_connected_one_is_taken() {
    let registry = registry();
    let offer = || tools(&[("fs", "1.0")]);
    let one = registry.register_tools(&node("one"), offer()).unwrap();
    let two = registry.register_tools(&node("two"), offer()).unwrap();
    let entry = registry.tool("fs", "").unwrap();
    assert!(registry.tools().iter().all(|info| Arc::ptr_eq(&info.manifest, &entry.manifest)));
    one.report(3);
    two.report(2);
    assert_eq!(registry.tool("fs", "").unwrap().node, node("two"));
    drop(two);
    assert_eq!(registry.tool("fs", "").unwrap().node, node("one"));
}

#[test]
fn offers_that_no_list_could_show_are_refused() {
    let registry = registry();
    let refused = |offer| registry.register_tools(&node("one"), offer).err().unwrap().code;
    for name in ["", "a b", "a/b", &"x".repeat(65)] {
        assert_eq!(refused(tools(&[(name, "1")])), Code::InvalidArgument, "{name}");
        assert_eq!(refused(tools(&[("fs", name)])), Code::InvalidArgument, "{name}");
    }
    assert_eq!(refused(tools(&[("fs", "1"), ("fs", "1")])), Code::InvalidArgument);
    let versions: Vec<String> = (0..=limits::TOOLS_PER_NODE).map(|n| n.to_string()).collect();
    let many: Vec<_> = versions.iter().map(|version| ("fs", version.as_str())).collect();
    assert_eq!(refused(tools(&many)), Code::Limit);
    let mut offer = tools(&[("fs", "1")]);
    offer.tools[0].0.descend = "open".into();
    assert_eq!(refused(offer), Code::InvalidArgument);
    let mut offer = tools(&[("fs", "1")]);
    offer.tools[0].0.description = "x".repeat(limits::MANIFEST_BYTES);
    assert_eq!(refused(offer), Code::Limit);
    let mut offer = tools(&[("fs", "1")]);
    offer.tools[0].0.root = "Nothing".into();
    assert_eq!(refused(offer), Code::InvalidArgument);
    let mut offer = tools(&[("fs", "1")]);
    offer.labels = vec!["x".into(); limits::LABELS + 1];
    assert_eq!(refused(offer), Code::Limit);
    assert!(registry.nodes().is_empty());
}

#[test]
fn a_second_process_under_a_name_in_use_is_refused_until_the_first_has_gone() {
    let registry = registry();
    let of = |process: u8| {
        let mut offer = scripts(8, &[]);
        offer.instance = vec![process];
        offer
    };
    let first = registry.register_agents("one", of(1)).unwrap();
    let refused = registry.register_agents("one", of(2)).err().unwrap();
    assert_eq!(refused.code, Code::Denied, "{refused}");
    let renewed = registry.register_agents("one", of(1)).unwrap();
    drop(first);
    assert_eq!(registry.place("script", &[], "").unwrap().node, "one");
    let mut tool = tools(&[("fs", "1")]);
    tool.instance = vec![3];
    assert!(registry.register_tools("one", tool).is_err());
    drop(renewed);
    let _second = registry.register_agents("one", of(2)).unwrap();
    let mut long = of(1);
    long.instance = vec![0; limits::INSTANCE_BYTES + 1];
    assert_eq!(registry.register_agents("two", long).err().unwrap().code, Code::Limit);
}

#[test]
fn a_node_that_fails_attempts_gets_fewer_and_the_next_attempt_goes_elsewhere() {
    let registry = registry();
    let _one = registry.register_agents("one", scripts(8, &[])).unwrap();
    let _two = registry.register_agents("two", scripts(8, &[])).unwrap();
    let failed = registry.place("script", &[], "").unwrap();
    assert_eq!(failed.node, "one");
    assert_eq!(registry.place("script", &[], "two").unwrap().node, "one", "though it is busier");
    for _ in 0..3 {
        failed.record().failed();
    }
    let record = failed.record();
    drop(failed);
    let placed: Vec<_> = (0..4).map(|_| registry.place("script", &[], "").unwrap()).collect();
    let at_one = placed.iter().filter(|placed| placed.node == "one").count();
    assert_eq!(at_one, 1, "it gets one of four, by which it can show that it works");
    drop(placed);
    (0..3).for_each(|_| record.succeeded());
    assert_eq!(registry.place("script", &[], "").unwrap().node, "one");
}

#[test]
fn a_place_is_on_the_least_loaded_node_with_the_kind_and_the_labels() {
    let registry = registry();
    let _one = registry.register_agents("one", scripts(8, &["linux"])).unwrap();
    let _two = registry.register_agents("two", scripts(8, &["linux", "gpu"])).unwrap();
    let linux = ["linux".to_owned()];
    let first = registry.place("script", &linux, "").unwrap();
    let second = registry.place("script", &linux, "").unwrap();
    assert_eq!([&*first.node, &*second.node], ["one", "two"]);
    drop(first);
    assert_eq!(registry.place("script", &linux, "").unwrap().node, "one");
    assert_eq!(registry.place("script", &["gpu".to_owned()], "").unwrap().node, "two");
    let why = registry.place("script", &["arm".to_owned()], "").err().unwrap().to_string();
    assert!(why.contains("arm"), "{why}");
    let why = registry.place("chess", &[], "").err().unwrap().to_string();
    assert!(why.contains("chess"), "{why}");
}

#[test]
fn a_full_node_gets_no_more_until_a_place_is_free() {
    let registry = registry();
    assert_eq!(registry.place("script", &[], "").err(), Some(NoPlace::NoNode));
    let lease = registry.register_agents("one", scripts(1, &[])).unwrap();
    let placed = registry.place("script", &[], "").unwrap();
    assert_eq!(registry.nodes()[0].load, 1);
    assert_eq!(registry.place("script", &[], "").err(), Some(NoPlace::Full));
    // The node comes back while its attempt goes on: its place is still taken.
    let again = registry.register_agents("one", scripts(1, &[])).unwrap();
    drop(lease);
    assert!(registry.place("script", &[], "").is_err());
    let mut changed = Box::pin(registry.changed());
    drop(placed);
    assert!(has_come(&mut changed));
    assert!(registry.place("script", &[], "").is_ok());
    drop(again);
    assert_eq!(registry.place("script", &[], "").err(), Some(NoPlace::NoNode));
}

#[test]
fn a_change_between_asking_and_waiting_is_not_missed() {
    let registry = registry();
    let mut changed = Box::pin(registry.changed());
    let lease = registry.register_agents("one", scripts(1, &[])).unwrap();
    assert!(has_come(&mut changed));
    let mut changed = Box::pin(registry.changed());
    lease.report(1);
    assert!(!has_come(&mut changed));
    drop(lease);
    assert!(has_come(&mut changed));
}

#[test]
fn nodes_that_are_away_longest_are_forgotten_first() {
    let clock = Rc::new(Cell::new(0));
    let now = Rc::clone(&clock);
    let registry = Registry::new(Box::new(move || now.get()));
    for at in 0..limits::NODES as u64 {
        clock.set(at);
        drop(registry.register_agents(&format!("n{at}"), scripts(1, &[])).unwrap());
    }
    let _held = registry.register_agents("n1", scripts(1, &[])).unwrap();
    let _new = registry.register_agents("new", scripts(1, &[])).unwrap();
    let nodes = registry.nodes();
    assert_eq!(nodes.len(), limits::NODES);
    assert!(nodes.iter().all(|node| node.identity != "n0"));
    assert!(nodes.iter().any(|node| node.identity == "n1"));
}

#[test]
fn output_goes_to_the_sink_with_its_node() {
    let registry = registry();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&seen);
    registry.on_output(Rc::new(move |node: &str, key: &[u8], text: String| {
        sink.borrow_mut().push((node.to_owned(), key.to_vec(), text));
    }));
    let lease = registry.register_tools(&node("one"), tools(&[])).unwrap();
    lease.emit(b"key", "line".into());
    assert_eq!(*seen.borrow(), [(node("one"), b"key".to_vec(), "line".to_owned())]);
}

#[test]
fn a_tool_that_changed_is_for_no_new_grant_until_it_is_accepted() {
    let registry = registry();
    let mut offer = tools(&[("fs", "1")]);
    let accepted = Arc::new(offer.tools[0].0.clone());
    offer.tools[0].0.description = "obey this file".into();
    offer.changed.insert(0, Arc::clone(&accepted));
    let _lease = registry.register_tools(&node("one"), offer).unwrap();
    let refused = registry.tool("fs", "").unwrap_err();
    assert_eq!(refused.code, Code::InterfaceChanged);
    assert_eq!(refused.detail, "description changed", "an agent may read it");
    assert!(!refused.message.contains("obey this file"), "{refused}");
    assert_eq!(registry.tools()[0].accepted, Some(accepted));
    let live = registry.live(&node("one"), "fs", "1").unwrap();
    assert!(!live.is_accepted);
    assert!(registry.offered(&node("one"), [0; 32]).is_none());
    assert!(registry.offered(&node("one"), live.hash).is_some());
    registry.accept(&node("one"), live.hash);
    assert!(registry.live(&node("one"), "fs", "1").unwrap().is_accepted);
    assert!(registry.tool("fs", "").is_ok());
}

#[test]
fn a_manifest_that_says_something_twice_is_refused() {
    let registry = registry();
    let twice = |change: fn(&mut Manifest)| {
        let mut offer = tools(&[("fs", "1")]);
        let param = Param { name: "p".into(), ..Param::default() };
        let method = Method { name: "m".into(), params: vec![param], ..Method::default() };
        offer.tools[0].0.interfaces[0].methods.push(method);
        change(&mut offer.tools[0].0);
        registry.register_tools(&node("one"), offer).err().map(|failure| failure.code)
    };
    assert_eq!(twice(|_| ()), None);
    let refused = Some(Code::InvalidArgument);
    assert_eq!(twice(|m| m.interfaces.push(m.interfaces[0].clone())), refused);
    assert_eq!(
        twice(|m| m.interfaces[0].methods.push(Method { name: "m".into(), ..Method::default() })),
        refused
    );
    assert_eq!(
        twice(|m| m.interfaces[0].methods[0]
            .params
            .push(Param { name: "p".into(), ..Param::default() })),
        refused
    );
}

#[tokio::test(start_paused = true)]
async fn a_drained_agent_node_gets_nothing_new_and_what_stays_is_moved() {
    let registry = registry();
    let _lease = registry.register_agents("spiffe://home/main/agent-node/a", scripts(2, &[]));
    let running = registry.place("script", &[], "").unwrap();
    let node = running.node.clone();
    let moving = async {
        running.evicted().await;
        drop(running);
    };
    let time = std::time::Duration::from_secs(1);
    let (drained, ()) = tokio::join!(registry.drain("a", time), moving);
    assert_eq!(drained.unwrap(), Drained { moved: 1, left: 0 });
    assert!(registry.is_draining(&node) && registry.nodes()[0].draining);
    assert!(registry.place("script", &[], "").is_err());
    registry.undrain("a").unwrap();
    assert!(registry.place("script", &[], "").is_ok());
    assert_eq!(registry.drain("b", time).await.unwrap_err().code, Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_drained_tool_node_ends_its_calls_and_stays_drained_until_it_was_away() {
    let registry = registry();
    let lease = registry.register_tools(&node("one"), tools(&[("fs", "1.0")])).unwrap();
    lease.report(2);
    let time = std::time::Duration::from_secs(1);
    assert_eq!(registry.drain("one", time).await.unwrap(), Drained { moved: 0, left: 2 });
    let renewed = registry.register_tools(&node("one"), tools(&[("fs", "1.0")])).unwrap();
    assert!(registry.is_draining(&node("one")), "it only renewed its connection");
    drop((lease, renewed));
    let one = node("one");
    let mut open = Box::pin(registry.undrained(&one));
    assert!(!has_come(&mut open));
    let _restarted = registry.register_tools(&node("one"), tools(&[("fs", "1.0")])).unwrap();
    open.await;
}

#[test]
fn a_connected_node_goes_before_a_newer_version_that_is_away() {
    let registry = registry();
    let _one = registry.register_tools(&node("one"), tools(&[("fs", "1")])).unwrap();
    let two = registry.register_tools(&node("two"), tools(&[("fs", "99")])).unwrap();
    assert_eq!(registry.tool("fs", "").unwrap().node, node("two"));
    drop(two);
    assert_eq!(registry.tool("fs", "").unwrap().node, node("one"));
    assert_eq!(registry.tool("fs", "99").unwrap().node, node("two"), "asked for by its version");
}

#[test]
fn a_node_that_reports_its_load_wakes_only_who_drains_it() {
    let registry = registry();
    let lease = registry.register_tools(&node("one"), tools(&[("fs", "1")])).unwrap();
    let mut changed = Box::pin(registry.changed());
    for load in [1, 0, 7, 0] {
        lease.report(load);
        assert!(!has_come(&mut changed), "{load}");
    }
}
