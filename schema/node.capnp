@0xa3c19e57d0f2486b;
# Nodes and the tools that they serve, for clients; clients that operate nodes get objects for it.

using Manifest = import "object.capnp".Manifest;

interface Nodes {
  # The facet `nodes`: operates nodes. Its caveats see the `node`, as a SPIFFE name. Dropping this
  # changes nothing.

  node @0 (identity :Text) -> (node :Node);
  # A node of the client's tenant that has registered, by its SPIFFE name. `not-found` if there is
  # none, `denied` if a caveat refuses it. Idempotent.
}

interface Node {
  # A node, for clients that operate it. The object stands for the name: it remains usable when the
  # node registers again.

  drain @0 (timeoutMs :UInt64) -> (drained :Drained);
  # Stops the placement of attempts and calls on the node. Answers when no work remains on it or the
  # time, of at most an hour, is over; attempts that still run are then moved. Holds until
  # `undrain`, or until the node registers again.

  undrain @1 () -> ();
  # Ends a drain. Idempotent.

  accept @2 (manifest :Data) -> ();
  # Accepts the node's tool whose manifest has this SHA-256: the one that the person looked at, and
  # no later one. Durable when answered. Earlier grants of the tool continue with those of their
  # methods that are unchanged. Idempotent.
}

struct Drained {
  # The result of a drain.

  moved @0 :UInt32;
  # Attempts that were ended here and continue on other nodes.
  left @1 :UInt32;
  # Calls that were still in flight at the end of the time. They continue.
}

struct ToolInfo {
  # A tool in one version, as one node serves it.

  manifest @0 :Manifest;
  # The manifest with which the node registered it.
  node @1 :Text;
  # The identity of the node.
  available @2 :Bool;
  # Whether the node is connected.
  accepted @3 :Manifest;
  # The accepted manifest, if it differs from `manifest`: then calls fail with `interface-changed`.
  # Null: `manifest` is accepted.
}

struct NodeInfo {
  # A node and its last report.

  identity @0 :Text;
  # Its SPIFFE name.
  role @1 :Text;
  # agent-node or tool-node.
  version @2 :Text;
  # The version of its program, as far as the node says; else empty.
  state @3 :Text;
  # connected, draining or away.
  labels @4 :List(Text);
  # The labels that it offers.
  load @5 :UInt32;
  # Attempts that run on an agent node, calls in flight at a tool node.
  lastContactMs @6 :UInt64;
  # When it was last heard, in milliseconds since 1970.
}
