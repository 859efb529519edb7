@0x869e849a29e4b85a;
# Every vat to every vat: the methods of every bootstrap object, whatever its role.

interface Peer {
  # The base of every bootstrap object. The object is built for one connection, from the identity
  # that TLS verified, and dies with that connection.

  ping @0 () -> ();
  # Answers at once. Both sides measure silence: a peer that is not heard for the silence limit (9
  # s) is considered dead, and its connection is cut. Idempotent.
}
