@0xa3c19e57d0f2486b;
# Nodes and the tools that they serve, for clients; those that operate nodes get objects for it.

using Manifest = import "object.capnp".Manifest;

interface Nodes {
  # Operates nodes: the facet `nodes`. Its caveats see the `node`, as a SPIFFE name. Dropping this
  # changes nothing.

  node @0 (identity :Text) -> (node :Node);
  # A node of the client's tenant that has registered, by its SPIFFE name; `not-found` if there is none.
}

interface Node {
  # A node, for those who operate it. It is the node of this name, also when it registers again.

  drain @0 (timeoutMs :UInt64) -> (drained :Drained);
  # Gives the node nothing new. Answers when it does nothing any more or the time is over; attempts
  # still on it are moved then. Holds until `undrain`, or until the node registers again.

  undrain @1 () -> ();
  # The node is given work again. Idempotent.

  accept @2 (manifest :Data) -> ();
  # Its tool whose manifest has this SHA-256 is accepted as it is: what was looked at, and nothing that
  # it may have become since. Durable when answered. Old grants of the tool go on with what is there
  # unchanged. Idempotent.
}

struct Drained {
  # How far a node was drained.

  moved @0 :UInt32;
  # Attempts that were ended here and go on elsewhere.
  left @1 :UInt32;
  # Calls that were still under way when the time was over. They go on.
}

struct ToolInfo {
  # A tool in one version, as one node serves it.

  manifest @0 :Manifest;
  node @1 :Text;
  available @2 :Bool;
  accepted @3 :Manifest;
  # What was accepted, if it is not `manifest`: then calls are refused. Null: it is.
}

struct NodeInfo {
  # A node and when it was last heard.

  identity @0 :Text;
  role @1 :Text;
  version @2 :Text;
  state @3 :Text;
  # connected, draining or away.
  labels @4 :List(Text);
  load @5 :UInt32;
  lastContactMs @6 :UInt64;
}
