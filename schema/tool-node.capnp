@0xd10a8ea917bd1b8f;
# Tool nodes to the orchestrator, and back.

using Peer = import "peer.capnp".Peer;
using Credentials = import "join.capnp".Credentials;
using Object = import "object.capnp".Object;
using Value = import "object.capnp".Value;
using Manifest = import "object.capnp".Manifest;
using Failure = import "object.capnp".Failure;
using Caveat = import "caveat.capnp".Caveat;

interface ToolNodePort extends(Peer, Credentials) {
  # The bootstrap object of a tool node's connection.

  register @0 (offer :ToolOffer, host :ToolHost) -> (registration :ToolRegistration);
  # Offers tools. The node's identity is that of the connection; registering again replaces the
  # earlier registration of the same process, whose calls in flight go on.
}

struct ToolOffer {
  # What a node serves.

  tools @0 :List(Tool);
  labels @1 :List(Text);
  address @2 :Text;
  # Where agent nodes that were introduced may dial it, host:port; empty: nowhere.
  instance @3 :Data;
  # Random bytes of this process, at most 64. While one process is connected, another of the same
  # identity is refused.

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

  introduce @2 (spec :IntroductionSpec) -> (introduction :Introduction, object :Object);
  # An agent node is about to dial. `object` is the grant's root: a call on it, or on what it returns,
  # that says `direct` is checked here against the grant's caveats, and its value stays here if it is
  # large and the agent node is connected; the answer then says where it is kept.
}

struct IntroductionSpec {
  # Who may come, and for what.

  ticketHash @0 :Data;
  # SHA-256 of the ticket: 32 random bytes that the agent node shows first, usable once, for a minute.
  agent @1 :Text;
  # The identity of the agent node.
  tool @2 :Text;
  version @3 :Text;
  # Of the tool at the grant's root.
  path @4 :Text;
  # The grant's path below the tool's root.
  links @5 :List(Link);
  # The grant, then each that it was narrowed from.

  struct Link {
    caveats @0 :List(Caveat);
    way @1 :Text;
    # From the root of that grant to the root of the first.
  }
}

interface Introduction {
  # A lease: dropping it voids the ticket, or cuts the connection that came with it, and everything
  # that was kept for it.
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
