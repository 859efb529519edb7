@0xb7e4d2905c1a3f86;
# Owners to journals and to followers, as event.capnp: what happened on the direct path between an
# agent node and a tool node.

struct Introduced {
  # An agent node was given a ticket for a tool node, to be used by one attempt.

  grant @0 :UInt32;
  attempt @1 :UInt32;
  agent @2 :Text;
  # The identity of the agent node.
  node @3 :Text;
  # That of the tool node.
}

struct NotIntroduced {
  # No direct path came to stand for a grant that asks for one: its results go through the owner.

  grant @0 :UInt32;
  attempt @1 :UInt32;
  reason @2 :Text;
}

struct BodyKept {
  # The value of the call whose completion follows is not in the journal: the tool node keeps it.

  call @0 :UInt64;
  key @1 :Data;
  # The key under which the tool node's ledger has the outcome.
  digest @2 :Data;
  # SHA-256 over the value.
  bytes @3 :UInt64;
  # What it is charged for.
}
