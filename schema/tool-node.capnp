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
  # Offers tools. The identity of the node is that of the connection. Registering again replaces the
  # earlier registration of the same process, whose calls in flight continue. `denied` while another
  # process is connected under this identity, `limit` or `invalid-argument` for an offer outside the
  # bounds. A tool whose manifest is not accepted is registered, and its calls fail with
  # `interface-changed`.
}

struct ToolOffer {
  # The tools of a node and its properties.

  tools @0 :List(Tool);
  # At most 64, with manifests of at most 1 MiB in all; each name and version once.
  labels @1 :List(Text);
  # At most 32 of 64 bytes.
  address @2 :Text;
  # The address at which introduced agent nodes may dial it, host:port; empty: none.
  instance @3 :Data;
  # Random bytes of this process, at most 64. While one process is connected, another of the same
  # identity is refused.

  struct Tool {
    # A tool in one version.
    manifest @0 :Manifest;
    root @1 :Object;
    # Its root object, which all grants of the tool are made from.
  }
}

interface ToolRegistration {
  # A lease: dropping it, or losing the connection, takes the node off the list.

  report @0 (inFlight :UInt32) -> ();
  # The number of calls in flight. Also shows the orchestrator that the node is alive. Idempotent.

  emit @1 (key :Data, text :Text) -> ();
  # A piece of output of the call in flight with this key, of at most 64 KiB, for followers of the
  # task. It is not recorded: the outcome contains the whole. Ignored if no such call is in flight
  # here.

  drain @2 (timeoutMs :UInt64) -> ();
  # Announces that the node ends: no more calls are sent to it, they wait for its return. Answers
  # when its calls in flight have ended, or after the time, of at most an hour.
}

interface ToolHost {
  # The methods that a tool node implements for the orchestrator.

  settle @0 (key :Data, ageMs :UInt64) -> (state :CallState);
  # The state of the call with this key, by the ledger. Waits while the call runs. `ageMs`: how long
  # ago it was sent, so that a ledger whose records do not reach back that far can say so.
  # Idempotent.

  reopen @1 (key :Data) -> ();
  # Allows the call with this key to be sent again although it began: the ledger forgets the
  # beginning, durably. A call that has completed, or runs, is unchanged. Idempotent.

  introduce @2 (spec :IntroductionSpec) -> (introduction :Introduction, object :Object);
  # Announces an agent node that will dial. `object` is the root of the grant: a call on it, or on
  # an object that it returns, that sets `direct` is checked here against the caveats of the grant.
  # A large value then stays here if the agent node is connected, and the answer says where. Not
  # idempotent.
}

struct IntroductionSpec {
  # The agent node that may dial, and the grant for which it does.

  ticketHash @0 :Data;
  # SHA-256 of the ticket: 32 random bytes that the agent node sends first, usable once, for a
  # minute.
  agent @1 :Text;
  # The identity of the agent node.
  tool @2 :Text;
  # The tool at the grant's root.
  version @3 :Text;
  # The version of that tool.
  path @4 :Text;
  # The grant's path below the tool's root.
  links @5 :List(Link);
  # The grant, then each grant that it was narrowed from; at most 64.

  struct Link {
    # One grant of the chain.
    caveats @0 :List(Caveat);
    way @1 :Text;
    # The path from the root of that grant to the root of the first.
  }
}

interface Introduction {
  # A lease: dropping it voids the ticket, or cuts the connection that was made with it, and
  # discards every value that waits for the agent node.
}

struct CallState {
  # The state of a call, as the ledger knows it.

  union {
    neverStarted @0 :Void;
    # The call had no effect, and a call with this key may be sent.
    started @1 :Void;
    # It began and its end was not recorded: it may or may not have happened.
    value @2 :Value;
    # It completed with this value. Objects in the value are gone; null stands in their places.
    failure @3 :Failure;
    # It completed with this failure.
    forgotten @6 :Void;
    # There is no record, and the records do not reach back to the time when it was sent: it may or
    # may not have happened.
  }
  object @4 :Bool;
  # Whether it also returned an object, now gone. With a value only.
  cost @5 :UInt64;
  # The cost of the call, as in `Object.call`. With a value or a failure.
}
