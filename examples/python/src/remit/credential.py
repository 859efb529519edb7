"""A credential: certificate, authority and key, in one file readable by its owner alone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from . import limits

FILE = "credential.pem"
ROLES = ("client", "agent-node", "tool-node", "orchestrator")
_PART = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Refused(Exception):
    """Joining or connecting failed. The message is for a person."""


@dataclass(frozen=True)
class Identity:
    """The identity of a member (R3)."""

    mesh: str
    tenant: str
    role: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Parses a SPIFFE name."""
        scheme, _, rest = text.partition("://")
        parts = rest.split("/")
        if scheme != "spiffe" or len(parts) != 4 or parts[2] not in ROLES:
            raise Refused(f"`{text[:120]}` is not an identity")
        identity = cls(*parts)
        if not all(_PART.fullmatch(part) for part in (identity.mesh, identity.tenant, identity.name)):
            raise Refused(f"`{text[:120]}` is not an identity")
        return identity

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Identity:
        """The identity in a certificate, which has exactly one name (R4)."""
        try:
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound as error:
            raise Refused("a certificate without a name") from error
        names = list(extension.value)
        if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
            raise Refused("a certificate must carry exactly one SPIFFE name")
        return cls.parse(names[0].value)

    def __str__(self) -> str:
        return f"spiffe://{self.mesh}/{self.tenant}/{self.role}/{self.name}"


@dataclass(frozen=True)
class Credential:
    """A certificate with its key, and the authority that the member trusts."""

    certificate: x509.Certificate
    authority: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes

    @classmethod
    def load(cls, home: Path) -> Credential | None:
        """The credential in `home`, or None. A file that others can read is refused."""
        path = home / FILE
        if not path.exists():
            return None
        if path.stat().st_mode & 0o077:
            raise Refused(f"others can read {path}: chmod 600 {path}")
        text = path.read_bytes()
        certificates = x509.load_pem_x509_certificates(text)
        if len(certificates) != 2:
            raise Refused(f"{path} holds {len(certificates)} certificates, not two: join again")
        key = serialization.load_pem_private_key(text[text.index(b"-----BEGIN PRIVATE KEY") :], None)
        return cls(certificates[0], certificates[1], key)  # type: ignore[arg-type]

    def save(self, home: Path) -> None:
        """Replaces the credential in `home`, atomically and durably."""
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        pem = serialization.Encoding.PEM
        form = (pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        text = b"".join(
            [self.certificate.public_bytes(pem), self.authority.public_bytes(pem), self.key.private_bytes(*form)]
        )
        write_private(home / FILE, text)

    @property
    def identity(self) -> Identity:
        """The identity in the certificate."""
        return Identity.of(self.certificate)

    @property
    def leaf(self) -> bytes:
        """The certificate, DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def ends(self) -> float:
        """The end of the certificate, in seconds since 1970."""
        return self.certificate.not_valid_after_utc.timestamp()

    @property
    def half_life(self) -> float:
        """The time from which the certificate is renewed, in seconds since 1970 (R17)."""
        signed = self.certificate.not_valid_before_utc.timestamp() + limits.SKEW
        return signed + max(self.ends - signed, 0) / 2

    def renewed(self, leaf: bytes, authority: bytes, key: CertificateIssuerPrivateKeyTypes) -> Credential:
        """The new credential from the answer to a renewal, checked against this one (R17)."""
        if authority != self.authority.public_bytes(serialization.Encoding.DER):
            raise Refused("the renewed certificate is of another authority")
        renewed = checked(leaf, authority, key)
        if renewed.identity != self.identity:
            raise Refused(f"the renewed certificate is of {renewed.identity}")
        return renewed


def checked(leaf: bytes, authority: bytes, key: CertificateIssuerPrivateKeyTypes) -> Credential:
    """A credential from its parts, in DER. Refused if the certificate is for another key (R16)."""
    certificate = x509.load_der_x509_certificate(leaf)
    try:
        fits = certificate.public_key() == key.public_key()
    except ValueError as error:
        raise Refused(f"the key in the certificate cannot be read: {error}") from error
    if not fits:
        raise Refused("the certificate is for another key")
    return Credential(certificate, x509.load_der_x509_certificate(authority), key)


def fresh_key() -> CertificateIssuerPrivateKeyTypes:
    """A new private key, which never leaves the member."""
    return ec.generate_private_key(ec.SECP256R1())


def write_private(path: Path, content: bytes) -> None:
    """Replaces a file atomically and durably, with mode 0600."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
