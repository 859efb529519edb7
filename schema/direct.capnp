@0xd3b1c0a97e5f2468;
# Workers to tool nodes that they were introduced to, over a connection of their agent node's.

using Peer = import "peer.capnp".Peer;
using Value = import "object.capnp".Value;

interface DirectPort extends(Peer) {
  # The bootstrap object of a direct connection. It dies with the introduction.

  body @0 (token :Data) -> (value :Value);
  # The value that a call left behind, for the token that came with its answer. Once: asking again
  # fails with `not-found`, and the task's owner has to be asked.
}
