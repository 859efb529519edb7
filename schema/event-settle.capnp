@0xa1f35c8e90d742b6;
# Owners to journals and to followers, as event.capnp: calls of unknown outcome, and what people
# decide about them.

using Value = import "object.capnp".Value;

struct SettlementRequested {
  # A person is asked what became of a call of unknown outcome, and what is to be done.

  call @0 :UInt64;
  reason @1 :Text;
  # How it was lost.
  ledger @2 :Ledger;

  enum Ledger {
    # What the tool node's ledger said.
    started @0;
    forgotten @1;
    # Its records do not go back that far.
    away @2;
    # The node could not be asked.
    none @3;
    # The object has none.
  }
}

struct SettlementWithdrawn {
  # The question about a call of unknown outcome is void: the tool node that could not be asked is
  # back. The call is of unknown outcome still.

  call @0 :UInt64;
  reason @1 :Text;
}

struct SettlementDecided {
  # A person decided on a call of unknown outcome.

  call @0 :UInt64;
  union {
    retry @1 :Void;
    # It is sent again under the same key.
    abandon @2 :Void;
    # It fails.
    outcome @3 :Value;
    # It ended with this.
  }
  who @4 :Text;
}
