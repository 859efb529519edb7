//! Which values a worker accepts over a direct connection, and which it refuses.

use remit_schema::peer_capnp::peer;
use remit_vat::exception::to_exception;
use tokio::task::LocalSet;

use super::*;

/// A tool node that returns this value for every token, or an owner that returns it for every
/// operation.
struct Gives {
    value: Option<Value<u32>>,
}

impl Gives {
    fn write(
        &self,
        builder: remit_schema::object_capnp::value::Builder<'_>,
    ) -> Result<(), capnp::Error> {
        let none = || to_exception(&Failure::new(Code::ObjectLost, "it is nowhere"));
        wire::value::write(builder, self.value.as_ref().ok_or_else(none)?, &[]);
        Ok(())
    }
}

impl peer::Server for Gives {}

impl direct_port::Server for Gives {
    async fn body(
        self: Rc<Self>,
        _: direct_port::BodyParams,
        mut results: direct_port::BodyResults,
    ) -> Result<(), capnp::Error> {
        self.write(results.get().init_value())
    }
}

impl task_context::Server for Gives {
    async fn body(
        self: Rc<Self>,
        _: task_context::BodyParams,
        mut results: task_context::BodyResults,
    ) -> Result<(), capnp::Error> {
        self.write(results.get().init_value())
    }
}

fn text(bytes: usize) -> Value<u32> {
    Value::Text("x".repeat(bytes))
}

/// Fetches a value of this digest and size from such a tool node and owner.
async fn fetched(
    recorded: (&Value<u32>, u64),
    tool_node: Option<Value<u32>>,
    owner: Option<Value<u32>>,
) -> Result<Value<u32>, Failure> {
    let (value, bytes) = recorded;
    let kept =
        OffloadedResult { digest: value.digest().unwrap(), bytes, token: vec![7; 32], path: 3 };
    let fetch = async {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let port: direct_port::Client = capnp_rpc::new_client(Gives { value: tool_node });
        let options =
            ConnectionOptions { peer: "worker".into(), limits: ConnectionLimits::attempt() };
        let _served = Connection::serve(ours, port.client, options);
        let paths = Paths::default();
        paths.add(3, theirs);
        paths.fetch(capnp_rpc::new_client(Gives { value: owner }), 1, kept).await
    };
    LocalSet::new().run_until(fetch).await
}

#[tokio::test]
async fn the_recorded_value_is_taken_from_the_tool_node_and_else_from_the_owner() {
    let value = text(100_000);
    let recorded = (&value, value.weight() as u64);
    assert_eq!(fetched(recorded, Some(value.clone()), None).await.unwrap(), value);
    assert_eq!(fetched(recorded, None, Some(value.clone())).await.unwrap(), value);
}

#[tokio::test]
async fn a_value_of_another_digest_is_never_taken() {
    let (value, other) = (text(100_000), text(100_001));
    let recorded = (&value, value.weight() as u64);
    let healed = fetched(recorded, Some(other.clone()), Some(value.clone())).await;
    assert_eq!(healed.unwrap(), value, "the owner has the right one");
    let refused = fetched(recorded, Some(other.clone()), Some(other)).await.unwrap_err();
    assert!(refused.message.contains("another"), "{refused}");
}

#[tokio::test]
async fn a_value_of_another_size_than_was_charged_is_never_taken() {
    let value = text(4_000_000);
    for said in [1, value.weight() as u64 - 1, value.weight() as u64 + 1, u64::MAX] {
        let refused = fetched((&value, said), Some(value.clone()), None).await.unwrap_err();
        assert_eq!(refused.code, Code::ObjectLost, "the owner was asked: {refused}");
        let refused = fetched((&value, said), None, Some(value.clone())).await.unwrap_err();
        assert!(refused.message.contains(&format!("{said} were charged")), "{refused}");
    }
}
