@0xd3b1c0a97e5f2468;
# Workers to the tool nodes that they were introduced to, over a connection of their agent node.

using Peer = import "peer.capnp".Peer;
using Value = import "object.capnp".Value;

interface DirectPort extends(Peer) {
  # The bootstrap object of a direct connection. It carries values and no authority, and ends with
  # the introduction.

  body @0 (token :Data) -> (value :Value);
  # The value that a call left at the tool node, for the token of 32 bytes in its answer. A token is
  # usable once: a second request fails with `not-found`, and the task's owner has the value.
}
