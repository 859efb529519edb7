@0xab15ae0af1a75ab6;
# Agent nodes to the orchestrator, and back.

using Peer = import "peer.capnp".Peer;
using Credentials = import "join.capnp".Credentials;

interface AgentNodePort extends(Peer, Credentials) {
  # The bootstrap object of an agent node's connection.

  register @0 (offer :AgentOffer, host :AgentHost) -> (registration :AgentRegistration);
  # Offers to run agents. The node's identity is that of the connection; registering again replaces
  # the earlier registration of the same process, whose running attempts go on.
}

struct AgentOffer {
  # What a node can run.

  kinds @0 :List(Text);
  version @1 :Text;
  labels @2 :List(Text);
  capacity @3 :UInt32;
  # How many attempts it will run at once.
  instance @4 :Data;
  # Random bytes of this process, at most 64. While one process is connected, another of the same
  # identity is refused.
}

interface AgentRegistration {
  # A lease: dropping it, or losing the connection, takes the node off the list.

  report @0 (running :UInt32) -> ();
  # How many attempts run now. Also tells the orchestrator that the node is well.

  drain @1 (timeoutMs :UInt64) -> ();
  # The node is about to go: it is given no more attempts. Answers when it has none any more; those
  # that still run after the time are ended and go on elsewhere.
}

interface AgentHost {
  # What the orchestrator may ask of an agent node.

  start @0 (spec :AttemptSpec) -> (run :Run);
  # Starts one worker process for one attempt. The worker reaches the task's owner over a connection
  # of its own, opened with `ticket`.
}

struct AttemptSpec {
  # One attempt to be run. What it runs, the worker gets from the task's owner.

  task @0 :Text;
  # For the node's logs only.
  attempt @1 :UInt32;
  kind @2 :Text;
  ticket @3 :Data;
  # 32 bytes, usable once, within seconds, over a connection of this same node.
  deadlineMs @4 :UInt32;
  memoryBytes @5 :UInt64;
  # Bounds of this attempt; 0: the node's default.
}

interface Run {
  # A lease on a worker process: dropping it kills the process.

  wait @0 () -> (end :RunEnd);
  # Answers when the process has ended.

  introduce @1 (path :UInt32, address :Text, node :Text, ticket :Data) -> ();
  # Dials the tool node `node` at `address` (host:port) for this process, shows the ticket (32 bytes,
  # usable once, within a minute, by this same node), and hands the connection to the process as its
  # direct connection `path`. Answers when it stands; fails when it cannot be made.
}

struct RunEnd {
  # How a worker process ended.

  union {
    exited @0 :Void;
    # By itself, after its last word to the owner.
    crashed @1 :Text;
    # Without a last word, for example by a signal. Starting it again may help.
    deadline @2 :Text;
    # Killed by the node at a limit that the same script would meet again.
  }
}
