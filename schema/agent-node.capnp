@0xab15ae0af1a75ab6;
# Agent nodes to the orchestrator, and back.

using Peer = import "peer.capnp".Peer;
using Credentials = import "join.capnp".Credentials;

interface AgentNodePort extends(Peer, Credentials) {
  # The bootstrap object of an agent node's connection.

  register @0 (offer :AgentOffer, host :AgentHost) -> (registration :AgentRegistration);
  # Offers to run agents. The identity of the node is that of the connection. Registering again
  # replaces the earlier registration of the same process, whose running attempts continue. `denied`
  # while another process is connected under this identity.
}

struct AgentOffer {
  # The capacity and the properties of a node. The scheduler matches them with those of tasks.

  kinds @0 :List(Text);
  # The kinds of agent that it runs, for example "script"; at most 64 bytes each.
  version @1 :Text;
  # The version of its program; at most 64 bytes.
  labels @2 :List(Text);
  # Labels that tasks may require; at most 32 of 64 bytes.
  capacity @3 :UInt32;
  # The most attempts that it runs at once.
  instance @4 :Data;
  # Random bytes of this process, at most 64. While one process is connected, another of the same
  # identity is refused.
}

interface AgentRegistration {
  # A lease: dropping it, or losing the connection, takes the node off the list.

  report @0 (running :UInt32) -> ();
  # The number of attempts that run now. Also shows the orchestrator that the node is alive.
  # Idempotent.

  drain @1 (timeoutMs :UInt64) -> ();
  # Announces that the node ends: it is given no more attempts. Answers when no attempt runs on it.
  # Attempts that still run after the time, of at most an hour, are ended and continue on other
  # nodes.
}

interface AgentHost {
  # The methods that an agent node implements for the orchestrator.

  start @0 (spec :AttemptSpec) -> (run :Run);
  # Starts one worker process for one attempt. The worker reaches the task's owner over a connection
  # of its own, opened with `ticket`. Not idempotent.
}

struct AttemptSpec {
  # One attempt to run. The worker fetches its program from the task's owner.

  task @0 :Text;
  # The task's id. For the node's logs only.
  attempt @1 :UInt32;
  # The number of the attempt, from 1.
  kind @2 :Text;
  # The kind of agent, one of those that the node offered.
  ticket @3 :Data;
  # 32 bytes, usable once, within 30 seconds, over a connection of this same node.
  deadlineMs @4 :UInt32;
  # The longest that it may compute between two awaits; 0: the node's default.
  memoryBytes @5 :UInt64;
  # The most memory of its program; 0: the node's default.
}

interface Run {
  # A lease on a worker process: dropping it kills the process.

  wait @0 () -> (end :RunEnd);
  # Answers when the process has ended. Idempotent.

  introduce @1 (path :UInt32, address :Text, node :Text, ticket :Data) -> ();
  # Dials the tool node `node` at `address` (host:port) for this process, presents the ticket (32
  # bytes, usable once, within a minute, by this same node), and hands the connection to the process
  # as its direct connection `path`. Answers when the connection is established; fails if it cannot
  # be.
}

struct RunEnd {
  # How a worker process ended.

  union {
    exited @0 :Void;
    # By itself, after it reported its outcome to the owner.
    crashed @1 :Text;
    # Without an outcome, for example by a signal; the text says how. Starting it again may help.
    deadline @2 :Text;
    # Killed by the node at a limit that the same script would meet again; the text names the limit.
  }
}
