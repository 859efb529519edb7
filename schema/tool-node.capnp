@0xd10a8ea917bd1b8f;
# Tool nodes to the orchestrator, and back.

using Peer = import "peer.capnp".Peer;
using Credentials = import "join.capnp".Credentials;
using Object = import "object.capnp".Object;
using Value = import "object.capnp".Value;
using Manifest = import "object.capnp".Manifest;
using Failure = import "object.capnp".Failure;

interface ToolNodePort extends(Peer, Credentials) {
  # The bootstrap object of a tool node's connection.

  register @0 (offer :ToolOffer, host :ToolHost) -> (registration :ToolRegistration);
  # Offers tools. The node's identity is that of the connection; registering again replaces the
  # earlier registration, whose calls in flight go on.
}

struct ToolOffer {
  # What a node serves.

  tools @0 :List(Tool);
  labels @1 :List(Text);

  struct Tool {
    manifest @0 :Manifest;
    root @1 :Object;
  }
}

interface ToolRegistration {
  # A lease: dropping it, or losing the connection, takes the node off the list.

  report @0 (inFlight :UInt32) -> ();
  # How many calls run now. Also tells the orchestrator that the node is well.

  emit @1 (key :Data, text :Text) -> ();
  # A piece of output of a call in flight, for whoever follows the task. Not kept: the outcome
  # carries the whole.

  drain @2 (timeoutMs :UInt64) -> ();
  # The node is about to go: no more calls are sent to it, they wait for its return. Answers when
  # its calls in flight have ended, or after the time.
}

interface ToolHost {
  # What the orchestrator may ask of a tool node.

  settle @0 (key :Data, ageMs :UInt64) -> (state :CallState);
  # What became of the call with this key. Waits while the call runs. Idempotent. `ageMs`: how long
  # ago it was sent, so that a ledger whose records do not go back that far can say so.

  reopen @1 (key :Data) -> ();
  # The owner has decided that the call with this key is to be sent again though it began: the ledger
  # forgets that it did, durably. One that has completed, or runs, stays. Idempotent.
}

struct CallState {
  # What became of a call, as the ledger knows it.

  union {
    neverStarted @0 :Void;
    # The effect did not happen, and a call with this key may be sent.
    started @1 :Void;
    # It began and its end was not recorded: it may or may not have happened.
    value @2 :Value;
    # It completed so. Objects inside it are gone.
    failure @3 :Failure;
    # It completed with this failure.
    forgotten @6 :Void;
    # Nothing is recorded, and the records do not go back to when it was sent: it may or may not have
    # happened.
  }
  object @4 :Bool;
  # Whether it returned an object as well, now gone. With a value only.
  cost @5 :UInt64;
  # What the call cost, as on `Object.call`. With a value or a failure.
}
