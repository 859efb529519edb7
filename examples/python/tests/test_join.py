"""Joining: the accepted members and keys, and the state of an invite after a refusal."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import socket
import ssl
import struct
import unittest
from collections.abc import Callable, Coroutine
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from harness import Mesh
from remit import Refused
from remit.credential import Credential, Identity
from remit.join import ALPN, Invite, chain_of, pinned, redeem, request_message, split

mesh: Mesh


def setUpModule() -> None:
    global mesh
    mesh = Mesh()


def tearDownModule() -> None:
    mesh.close()


def run(work: Coroutine[Any, Any, Credential]) -> Credential:
    return asyncio.run(work)


def stranger(alpn: str = ALPN) -> ssl.SSLSocket:
    """A connection without a certificate and without checks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    return context.wrap_socket(socket.create_connection(split(mesh.address), 10))


class Keys(unittest.TestCase):
    """R13."""

    def test_keys_of_four_kinds_are_signed(self) -> None:
        makes: dict[str, Callable[[], Any]] = {
            "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
            "ed25519": ed25519.Ed25519PrivateKey.generate,
            "rsa": lambda: rsa.generate_private_key(65537, 2048),
        }
        for name, make in makes.items():
            joined = run(redeem(Invite.parse(mesh.invite("tool-node", name)), "tool-node", make()))
            self.assertEqual(joined.identity, Identity("home", "default", "tool-node", name))

    def test_another_key_is_refused_and_the_invite_stays_good(self) -> None:
        """R15."""
        invite = Invite.parse(mesh.invite("tool-node", "keys"))
        with self.assertRaises(Refused):
            run(redeem(invite, "tool-node", ec.generate_private_key(ec.SECP521R1())))
        # P-384 with the hash of P-256.
        key = ec.generate_private_key(ec.SECP384R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        with stranger() as tls:
            tls.sendall(request_message(invite.secret, request.public_bytes(Encoding.DER), "tool-node"))
            self.assertIn(b"P-384 with SHA-384", tls.makefile("rb").read())
        run(redeem(invite, "tool-node"))


class Invites(unittest.TestCase):
    """R11, R12, R15."""

    def test_an_invite_is_one_line(self) -> None:
        line = mesh.invite("tool-node", "line")
        invite = Invite.parse(line + "\n")
        self.assertEqual(invite.address, mesh.address)
        both = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (invite.authority_hash, invite.secret)]
        self.assertEqual(line, f"remit-join:{mesh.address},{both[0]},{both[1]}")
        self.assertNotIn(both[1], repr(invite))
        for wrong in ("", "remit-join:", line[:-4], line[6:], line.replace(":", "", 2)):
            with self.assertRaises(Refused):
                Invite.parse(wrong)

    def test_an_invite_works_once(self) -> None:
        invite = Invite.parse(mesh.invite("tool-node", "once"))
        run(redeem(invite, "tool-node"))
        with self.assertRaises(Refused):
            run(redeem(invite, "tool-node"))

    def test_one_of_another_role_is_refused_and_stays_good(self) -> None:
        invite = Invite.parse(mesh.invite("tool-node", "role"))
        with self.assertRaisesRegex(Refused, "tool-node"):
            run(redeem(invite, "client"))
        run(redeem(invite, "tool-node"))

    def test_the_secret_is_not_sent_to_another_authority(self) -> None:
        invite = Invite.parse(mesh.invite("tool-node", "pinned"))
        with self.assertRaisesRegex(Refused, "authority"):
            run(redeem(dataclasses.replace(invite, authority_hash=bytes(32)), "tool-node"))
        run(redeem(invite, "tool-node"))


class Strangers(unittest.TestCase):
    """R7, R14."""

    def test_a_message_over_the_bound_ends_the_connection(self) -> None:
        for size, answered in ((16 << 10, True), ((16 << 10) + 8, False)):
            with stranger() as tls:
                # A message of one empty segment.
                body = struct.pack("<II", 0, size // 8 - 1) + bytes(size - 8)
                tls.sendall(struct.pack("<I", size) + body)
                self.assertEqual(bool(tls.recv(4)), answered, size)

    def test_a_member_without_a_certificate_is_refused(self) -> None:
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            with stranger("remit/1") as tls:
                tls.sendall(b"x")
                tls.recv(1)

    def test_a_purpose_that_is_not_known_is_refused(self) -> None:
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            with stranger("remit/2") as tls:
                tls.recv(1)

    def test_two_certificates_are_shown(self) -> None:
        """R5, R12."""
        with stranger() as tls:
            chain = chain_of(tls)
        self.assertEqual(len(chain), 2)
        invite = Invite.parse(mesh.invite("tool-node", "shown"))
        self.assertEqual(pinned(chain, invite.authority_hash), chain[1])


if __name__ == "__main__":
    unittest.main()
