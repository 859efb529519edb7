@0xa7c3b33d2545920e;
# A machine that wants to join, to the orchestrator, before it has a certificate; and a member that
# wants its certificate renewed. Joining is two messages over TLS, not RPC: a stranger gets no object.

struct JoinRequest {
  # The joiner's one message.

  secret @0 :Data;
  # From the invite. It works once.
  signingRequest @1 :Data;
  # PKCS #10, DER. Its subject and names are ignored: the invite says who this will be.
  role @2 :Text;
  # As what the joiner will connect: client, agent-node or tool-node. An invite for another role is
  # refused and stays good.
}

struct JoinReply {
  # The answer, after which the connection ends.

  union {
    certificate @0 :CertificateChain;
    refused @1 :Text;
    # Why, and what to do.
  }
}

struct CertificateChain {
  # A certificate and the authority that signed it.

  leaf @0 :Data;
  authority @1 :Data;
  # X.509, DER.
}

interface Credentials {
  # What every member may ask about its own certificate.

  renew @0 (signingRequest :Data) -> (certificate :CertificateChain);
  # A new certificate for the identity of this connection. The old one stays good until it expires.
}
