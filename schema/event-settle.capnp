@0xa1f35c8e90d742b6;
# Owners to journals and to followers, as event.capnp: calls of unknown outcome, and the decisions
# of people about them.

using Value = import "object.capnp".Value;

struct SettlementRequested {
  # A person is asked about a call of unknown outcome: how it ended, or what to do.

  call @0 :UInt64;
  # The call.
  reason @1 :Text;
  # How it was lost.
  ledger @2 :Ledger;

  enum Ledger {
    # The answer of the tool node's ledger.
    started @0;
    # The call began, and its end was not recorded.
    forgotten @1;
    # The records of the ledger do not reach back to the call.
    away @2;
    # The node could not be asked.
    none @3;
    # The object has no ledger.
  }
}

struct SettlementWithdrawn {
  # The question about a call of unknown outcome is void: the tool node that could not be asked is
  # connected again. The call remains of unknown outcome.

  call @0 :UInt64;
  # The call.
  reason @1 :Text;
  # In words for a person.
}

struct SettlementDecided {
  # A person decided on a call of unknown outcome.

  call @0 :UInt64;
  # The call.
  union {
    retry @1 :Void;
    # It is sent again under the same key.
    abandon @2 :Void;
    # It fails with `unknown`.
    outcome @3 :Value;
    # It ended with this value.
  }
  who @4 :Text;
  # The person, as a SPIFFE name.
}
