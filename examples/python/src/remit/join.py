"""Joining a mesh with an invite, and signing requests (R11 to R16)."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import hmac
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from . import limits, schema
from .credential import Credential, Identity, Refused, checked, fresh_key

PREFIX = "remit-join:"
ALPN = "remit-join/1"


@dataclass(frozen=True)
class Invite:
    """An invite: one line that lets its holder join once (R11)."""

    address: str
    authority_hash: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, line: str) -> Invite:
        """Parses the line of an invite."""
        wrong = Refused("not an invite: one is a line `remit-join:HOST:PORT,HASH,SECRET`, as `remit invite` prints it")
        line = line.strip()
        parts = line.removeprefix(PREFIX).split(",")
        if not line.startswith(PREFIX) or len(parts) != 3 or ":" not in parts[0]:
            raise wrong
        try:
            both = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts[1:]]
        except ValueError as error:
            raise wrong from error
        if any(len(part) != 32 for part in both):
            raise wrong
        return cls(parts[0], *both)


def split(address: str) -> tuple[str, int]:
    """Splits an address into host and port."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise Refused(f"`{address}` is no address: one is HOST:PORT")
    return host.strip("[]"), int(port)


def signing_request(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """A signing request for the key: PKCS #10, DER (R13)."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    algorithm: hashes.SHA256 | hashes.SHA384 | None = hashes.SHA256()
    if isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = None
    elif isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size == 384:
        algorithm = hashes.SHA384()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


def request_message(secret: bytes, request: bytes, role: str) -> bytes:
    """The joiner's only message, with its length before it (R14)."""
    message = schema.join.JoinRequest.new_message(secret=secret, signingRequest=request, role=role)
    body: bytes = message.to_bytes()
    return struct.pack("<I", len(body)) + body


async def redeem(invite: Invite, role: str, key: CertificateIssuerPrivateKeyTypes | None = None) -> Credential:
    """Joins as `role`, with a fresh key unless one is given."""
    return await asyncio.to_thread(_redeem, invite, role, key or fresh_key())


def _redeem(invite: Invite, role: str, key: CertificateIssuerPrivateKeyTypes) -> Credential:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    context.check_hostname = False
    # The invite has the hash of the trusted authority. OpenSSL cannot check it: that happens below.
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection(split(invite.address), limits.HANDSHAKE) as tcp:
            with context.wrap_socket(tcp) as tls:
                authority = pinned(chain_of(tls), invite.authority_hash)
                tls.settimeout(limits.JOIN)
                tls.sendall(request_message(invite.secret, signing_request(key), role))
                leaf = _receive(tls)
    except (OSError, EOFError) as error:
        raise Refused(f"{invite.address} did not answer the join: {error}") from error
    return checked(leaf, authority, key)


def chain_of(tls: ssl.SSLSocket) -> list[bytes]:
    """The certificates that the server sent, DER. Public since Python 3.13, private in 3.11 and 3.12."""
    public = getattr(tls, "get_unverified_chain", None)
    if public is not None:
        return [bytes(one) for one in public()]
    inner: Any = tls._sslobj  # type: ignore[attr-defined]
    return [one.public_bytes(2) for one in inner.get_unverified_chain()]  # 2: ENCODING_DER


def pinned(chain: list[bytes], authority_hash: bytes) -> bytes:
    """The authority of a chain. Refused unless it has this hash and the chain is valid (R12)."""
    if not chain or not hmac.compare_digest(hashlib.sha256(chain[-1]).digest(), authority_hash):
        raise Refused("its authority is not the one the invite names: the invite is of another mesh, or someone stands between")
    leaf, authority = (x509.load_der_x509_certificate(one) for one in (chain[0], chain[-1]))
    now = datetime.datetime.now(datetime.UTC)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise Refused("the orchestrator's certificate is not good now: compare the clocks")
    try:
        leaf.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise Refused("the orchestrator's certificate is not of its authority") from error
    if Identity.of(leaf).role != "orchestrator":
        raise Refused(f"{Identity.of(leaf)} is no orchestrator")
    return chain[-1]


def _receive(tls: ssl.SSLSocket) -> bytes:
    """The certificate in the reply, DER. Raises `Refused` for a refusal."""
    (length,) = struct.unpack("<I", _exactly(tls, 4))
    if length > limits.JOIN_MESSAGE_BYTES:
        raise Refused(f"a join message of {length} bytes")
    body, words = _exactly(tls, length), limits.JOIN_MESSAGE_BYTES // 8
    with schema.join.JoinReply.from_bytes(body, traversal_limit_in_words=words) as reply:
        if str(reply.which()) == "refused":
            raise Refused(reply.refused[:1000])
        return bytes(reply.certificate.leaf)


def _exactly(tls: ssl.SSLSocket, count: int) -> bytes:
    taken = bytearray()
    while len(taken) < count:
        piece = tls.recv(count - len(taken))
        if not piece:
            raise EOFError("the connection ended within a message")
        taken += piece
    return bytes(taken)
