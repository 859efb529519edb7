//! The Cap'n Proto schemas of Remit, as generated Rust. One module per `.capnp` file.
//!
//! For: the wire and the stored form of the journal. Not for: logic of any kind. Conversions to the
//! types of `remit-core` are in `remit_vat::wire`.

macro_rules! generated {
    ($($name:ident),*) => {$(
        #[doc = concat!("Generated from `", stringify!($name), ".capnp`.")]
        #[allow(clippy::all, clippy::pedantic, missing_docs, unused)]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
        }
    )*};
}

generated!(
    agent_node_capnp,
    audit_capnp,
    caveat_capnp,
    direct_capnp,
    event_capnp,
    event_direct_capnp,
    event_settle_capnp,
    join_capnp,
    admin_capnp,
    member_capnp,
    mesh_capnp,
    node_capnp,
    object_capnp,
    peer_capnp,
    reference_capnp,
    task_capnp,
    tool_node_capnp,
    trigger_capnp
);
