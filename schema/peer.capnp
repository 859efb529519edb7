@0x869e849a29e4b85a;
# Every vat to every vat: what each bootstrap object can do whatever its role.

interface Peer {
  # The base of every bootstrap object. It is built for one connection, from the identity that TLS
  # verified, and dies with that connection.

  ping @0 () -> ();
  # Answers at once. Both sides count silence: a peer that is not heard for the silence limit is
  # taken for dead and its connection is cut.
}
