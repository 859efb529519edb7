//! What a node says is of its own work, and of no more bytes than are kept.

use remit_core::{CallNumber, Role};
use remit_schema::agent_node_capnp::run;

use super::super::super::fakes::who;
use super::super::lab::{Lab, call, create, over_both, said};
use crate::limits;
use crate::runtime::outgoing::{self, RunEnd};

#[tokio::test]
async fn a_tool_node_speaks_of_no_call_but_its_own() {
    over_both(async |lab: Lab| {
        let site = lab.start();
        let owner = create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let hanging = tokio::task::spawn_local(said(call(&granted, 1, "hang")));
        while lab.seen.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        let mut outputs = owner.outputs();
        // Whoever served another call of the task knows what the key of this one is.
        let key = owner.tool_key(CallNumber(1));
        let registry = &site.tasks.services().registry;
        registry.emit(&who(Role::ToolNode, "two").to_string(), &key, "a lie".into());
        registry.emit(&who(Role::ToolNode, "one").to_string(), &key, "its own".into());
        assert_eq!(&*outputs.recv().await.unwrap().text, "its own");
        hanging.abort();
    })
    .await;
}

/// A process that ended with a long word.
struct Wordy;

impl run::Server for Wordy {
    async fn wait(
        self: std::rc::Rc<Self>,
        _: run::WaitParams,
        mut results: run::WaitResults,
    ) -> Result<(), capnp::Error> {
        results.get().init_end().set_crashed("ü".repeat(1 << 20));
        Ok(())
    }
}

#[tokio::test]
async fn an_agent_node_says_only_so_much_of_an_end() {
    match outgoing::wait(&capnp_rpc::new_client(Wordy)).await.unwrap() {
        RunEnd::Crashed(how) => assert_eq!(how.chars().count(), limits::END_CHARS),
        _ => panic!("it crashed"),
    }
}
