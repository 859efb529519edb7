@0xa7c3b33d2545920e;
# A machine that joins, to the orchestrator, before it has a certificate; and a member that renews
# its certificate. Joining is two messages over TLS, not RPC: a stranger gets no object.

struct JoinRequest {
  # The joiner's only message, of at most 16 KiB.

  secret @0 :Data;
  # The 32 bytes of the invite. Usable once.
  signingRequest @1 :Data;
  # PKCS #10, DER. Its subject and names are ignored: the invite determines the identity.
  role @2 :Text;
  # The role in which the joiner will connect: client, agent-node or tool-node. If the invite is for
  # another role, it is refused and remains usable.
}

struct JoinReply {
  # The answer, after which the orchestrator closes the connection.

  union {
    certificate @0 :CertificateChain;
    # The joiner is a member; the invite is used up.
    refused @1 :Text;
    # Why, and what to do.
  }
}

struct CertificateChain {
  # A certificate and the authority that signed it.

  leaf @0 :Data;
  authority @1 :Data;
  # Both X.509, DER.
}

interface Credentials {
  # The certificate of a member, for that member. Part of every bootstrap object.

  renew @0 (signingRequest :Data) -> (certificate :CertificateChain);
  # Signs a new certificate for the identity of this connection, for the key of a PKCS #10 request.
  # The old certificate remains valid until it expires. May be repeated: each call signs another
  # one.
}
