@0xb7e4d2905c1a3f86;
# Owners to journals and to followers, as event.capnp: the direct path between an agent node and a
# tool node.

struct Introduced {
  # An agent node was given a ticket for a tool node, usable by one attempt.

  grant @0 :UInt32;
  # The grant whose results take the direct path.
  attempt @1 :UInt32;
  # The attempt that may use it.
  agent @2 :Text;
  # The identity of the agent node.
  node @3 :Text;
  # The identity of the tool node.
}

struct NotIntroduced {
  # No direct path could be established for a grant that asks for one. Its results go through the
  # owner.

  grant @0 :UInt32;
  # The grant that asks for a direct path.
  attempt @1 :UInt32;
  # The attempt that has none.
  reason @2 :Text;
  # In words for a person.
}

struct ResultOffloaded {
  # The value of the call whose completion follows is stored at the tool node, not in the journal.

  call @0 :UInt64;
  # The call.
  key @1 :Data;
  # The key of the outcome in the tool node's ledger.
  digest @2 :Data;
  # SHA-256 over the value. A replay accepts no other value.
  bytes @3 :UInt64;
  # The size of the value, as it is charged.
}
