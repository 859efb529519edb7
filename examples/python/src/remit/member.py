"""A member of a mesh: its connections, renewals, and reconnects (R17 to R24)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import capnp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from . import limits, schema
from .credential import FILE, Credential, Identity, Refused, fresh_key, write_private
from .failure import Code, Failure, of_exception
from .join import Invite, redeem, signing_request, split

log = logging.getLogger("remit")
ALPN = "remit/1"


class Connection:
    """One connection to the orchestrator, with the bootstrap object of this member's role."""

    def __init__(self, stream: Any, client: Any, port: Any) -> None:
        self.port = port
        self.idle: Callable[[], Awaitable[None]] | None = None
        """Returns when no call of the peer is in flight on the connection. The session sets it."""
        self.closed = asyncio.Event()
        self._stream = stream
        self._client = client
        self._watching = [asyncio.create_task(self._watch()), asyncio.create_task(self._ping())]

    async def _watch(self) -> None:
        try:
            await self._client.on_disconnect()
        finally:
            self.closed.set()

    async def _ping(self) -> None:
        while not self.closed.is_set():
            await asyncio.sleep(limits.PING_EVERY)
            try:
                async with asyncio.timeout(limits.SILENCE):
                    await self.port.ping()
            except (TimeoutError, capnp.KjException) as error:
                if not self.closed.is_set():
                    log.info("the orchestrator does not answer: %s", of_exception(error))
                self.close()

    def close(self) -> None:
        """Closes the connection, which breaks every reference obtained over it."""
        if not self.closed.is_set():
            self.closed.set()
            self._client.close()
            self._stream.close()
        for task in self._watching:
            if task is not asyncio.current_task():
                task.cancel()


Session = Callable[[Connection], Awaitable[None]]


class Member:
    """A credential in a folder, and the address of the orchestrator."""

    def __init__(self, home: Path, address: str, credential: Credential, bootstrap: Any) -> None:
        self.home = home
        self.address = address
        self.credential = credential
        self._bootstrap = bootstrap

    @classmethod
    async def open(cls, home: Path | str, role: str, invite: str | None = None, address: str = "") -> Member:
        """The member whose credential is in `home`. If there is no valid one, it joins with `invite`."""
        home = Path(home)
        credential = Credential.load(home)
        if credential is None or credential.ends <= time.time():
            if invite is None:
                raise Refused(f"no credential that is good is in {home}: join with the line that `remit invite` prints")
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The invite works once, so this checks first that the folder is writable.
            write_private(home / "trial", b"")
            (home / "trial").unlink()
            credential = await redeem(Invite.parse(invite), role)
            credential.save(home)
        if credential.identity.role != role:
            raise Refused(f"the credential in {home} is of {credential.identity}, which is no {role}: choose another folder")
        remembered = home / "orchestrator"
        address = address or (Invite.parse(invite).address if invite else remembered.read_text().strip())
        write_private(remembered, address.encode())
        bootstraps = {"tool-node": schema.tool_node.ToolNodePort, "client": schema.mesh.Mesh}
        return cls(home, address, credential, bootstraps[role])

    @property
    def is_due(self) -> bool:
        """Whether half of the certificate's life has passed (R17)."""
        return self.credential.half_life <= time.time()

    async def connect(self) -> Connection:
        """Dials once. Raises `Refused` if it cannot connect."""
        host, port = split(self.address)
        context = self._context()
        try:
            async with asyncio.timeout(limits.HANDSHAKE):
                stream = await capnp.AsyncIoStream.create_connection(
                    host, port, ssl=context, server_hostname=hint(self.credential.leaf)
                )
        except (OSError, TimeoutError, Refused) as error:
            raise Refused(f"no connection to {self.address}: {error or 'it did not answer'}") from error
        client = capnp.TwoPartyClient(
            stream, traversal_limit_in_words=limits.MESSAGE_WORDS, nesting_limit=limits.NESTING
        )
        return Connection(stream, client, client.bootstrap().cast_as(self._bootstrap))

    def _context(self) -> ssl.SSLContext:
        mesh = self.credential.identity.mesh

        class Checked(ssl.SSLObject):
            """Checks the peer's identity before a byte of RPC is sent (R8)."""

            def do_handshake(self) -> None:
                super().do_handshake()
                check_orchestrator(self.getpeercert(True), self.selected_alpn_protocol(), mesh)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols([ALPN])
        context.check_hostname = False
        context.load_verify_locations(cadata=self.credential.authority.public_bytes(Encoding.DER))
        context.load_cert_chain(self.home / FILE)
        context.sslobject_class = Checked
        return context

    async def renew(self, connection: Connection) -> None:
        """Obtains a new certificate for a fresh key, and stores both in the folder (R17)."""
        key = fresh_key()
        async with asyncio.timeout(limits.RENEWAL):
            answer = await connection.port.renew(signing_request(key))
        chain = answer.certificate
        self.credential = self.credential.renewed(bytes(chain.leaf), bytes(chain.authority), key)
        self.credential.save(self.home)
        log.info("the certificate of %s was renewed", self.credential.identity)

    async def stay(self, session: Session, stop: asyncio.Event) -> None:
        """Stays connected until `stop`. `session` runs once for each connection, until the connection
        ends. While a certificate is being replaced, two sessions run concurrently. At `stop` this waits
        for the last session, so that it can drain."""
        wait = limits.RECONNECT_FIRST
        while not stop.is_set():
            begun = time.monotonic()
            try:
                connection = await self.connect()
            except Refused as error:
                log.warning("%s", error)
            else:
                running = asyncio.create_task(self._attend(session, connection))
                how = await self._hold(connection, running, stop)
                if how == "renewed":
                    asyncio.create_task(_retire(connection))
                    continue
                refusal = running.exception() if running.done() else None
                if refusal is not None:
                    raise Refused(of_exception(refusal).message)
                if time.monotonic() - begun > limits.SETTLED:
                    wait = limits.RECONNECT_FIRST
            await _first(stop.wait(), asyncio.sleep(wait * random.uniform(0.5, 1.0)))
            wait = min(2 * wait, limits.RECONNECT_MOST)

    async def _attend(self, session: Session, connection: Connection) -> None:
        try:
            await session(connection)
        except (Failure, TimeoutError, capnp.KjException) as error:
            failure = of_exception(error)
            if failure.code == Code.DENIED:
                # The member was expelled, or another process uses its name: dialling again would not
                # help (R24).
                raise
            if not connection.closed.is_set():
                log.warning("the session ended: %s", failure)
        finally:
            connection.close()

    async def _hold(self, connection: Connection, running: asyncio.Task[None], stop: asyncio.Event) -> str:
        renewal = asyncio.create_task(self._renew_in_time(connection))
        await _first(connection.closed.wait(), stop.wait(), asyncio.shield(renewal), asyncio.shield(running))
        renewed = renewal.done() and not renewal.cancelled() and renewal.exception() is None
        renewal.cancel()
        if stop.is_set():
            await asyncio.wait([running])
            return "stopped"
        if renewed:
            return "renewed"
        await asyncio.wait([running])
        return "lost"

    async def _renew_in_time(self, connection: Connection) -> None:
        while True:
            await asyncio.sleep(max(self.credential.half_life - time.time(), 0))
            try:
                return await self.renew(connection)
            except (Refused, TimeoutError, capnp.KjException) as error:
                log.warning("the certificate was not renewed: %s", error)
            await asyncio.sleep(limits.RECONNECT_MOST)


def hint(leaf: bytes) -> str:
    """The server name that a member sends in the handshake (R9)."""
    return hashlib.sha256(b"remit hint certificate" + leaf).digest()[:16].hex() + ".hint.invalid"


def check_orchestrator(leaf: bytes | None, alpn: str | None, mesh: str) -> None:
    """Refuses a peer that is not an orchestrator of this mesh. OpenSSL has verified the chain."""
    if leaf is None or alpn != ALPN:
        raise Refused("the peer does not speak remit/1")
    identity = Identity.of(x509.load_der_x509_certificate(leaf))
    if identity.role != "orchestrator" or identity.mesh != mesh:
        raise Refused(f"the peer is {identity}, which is no orchestrator of `{mesh}`")


async def _retire(connection: Connection) -> None:
    await _first(asyncio.sleep(limits.HANDOVER), connection.closed.wait())
    if connection.idle is not None:
        await _first(connection.idle(), connection.closed.wait())
    connection.close()


async def _first(*waits: Awaitable[Any]) -> None:
    """Waits for the first of these, and cancels the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
