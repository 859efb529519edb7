"""A client: creates tasks, follows them to their end, and reconnects after every disconnect (R56 to R60)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import capnp

from . import failure, limits, schema, value
from .credential import Refused
from .failure import Code, Failure, of_exception
from .member import Connection, Member
from .remote import Remote

T = TypeVar("T")
ENDS = {"taskCompleted", "taskFailed", "taskCancelled"}


@dataclass(frozen=True)
class Grant:
    """A capability for a task: a tool under caveats."""

    name: str
    """The name under which the script sees it: `remit.<name>`."""
    tool: str
    version: str = ""
    path: str = ""
    methods: Sequence[str] | None = None
    """The allowed methods. `readOnly` and `idempotent` stand for all methods with that annotation."""
    calls: int | None = None
    """The largest number of calls."""

    def write(self, builder: Any) -> None:
        """Writes a `GrantSpec`."""
        builder.name = self.name
        tool = builder.init("tool")
        tool.tool, tool.version, tool.path = self.tool, self.version, self.path
        caveats: list[tuple[str, Any]] = []
        if self.methods is not None:
            caveats.append(("methods", list(self.methods)))
        if self.calls is not None:
            caveats.append(("calls", self.calls))
        written = builder.init("caveats", len(caveats))
        for at, (kind, given) in enumerate(caveats):
            setattr(written[at], kind, given)


class Client:
    """A member of the mesh that creates tasks. It has one connection at a time, and replaces a lost one."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self._connection: Connection | None = None
        self._dialling = asyncio.Lock()

    @classmethod
    async def open(cls, home: Path | str, invite: str | None = None, address: str = "") -> Client:
        """The client whose credential is in `home`. If there is none, it joins with `invite`."""
        return cls(await Member.open(home, "client", invite, address))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    async def create_task(
        self,
        source: str | dict[str, str],
        *grants: Grant,
        name: str = "task",
        input: Any = None,
        entry: str = "main.ts",
        labels: Sequence[str] = (),
        key: str | None = None,
    ) -> Task:
        """Creates a task that runs this script, or the file `entry` of these files. Durable when this
        returns. A repeated `key` returns the task that the first call created (R58)."""
        files = {entry: source} if isinstance(source, str) else source
        key = key or secrets.token_hex(16)

        async def create(mesh: Any) -> str:
            creation = await _facet(mesh, "creation")
            request = creation.createTask_request()
            spec = request.init("spec")
            spec.name, spec.agent, spec.entry, spec.key = name, "script", entry, key
            written = spec.init("source", len(files))
            for at, (path, text) in enumerate(files.items()):
                written[at].path, written[at].text = path, text
            value.write(spec.init("input"), input, value.no_object)
            held = spec.init("grants", len(grants))
            for at, grant in enumerate(grants):
                grant.write(held[at])
            spec.labels = list(labels)
            return str((await request.send()).id)

        return self.task(await self.ask(create))

    def task(self, id: str) -> Task:
        """The task with this id. Sends no request."""
        return Task(self, id)

    async def restore(self, ref: bytes) -> Remote:
        """Restores a sturdy reference of a grant: the grant's object, over the current connection
        (R62)."""

        async def restore(mesh: Any) -> Remote:
            return Remote((await mesh.restore(ref)).object)

        return await self.ask(restore)

    async def ask(self, question: Callable[[Any], Awaitable[T]], deadline: float | None = limits.CALL) -> T:
        """Asks the mesh, and returns its answer. If the connection is lost meanwhile, the question is
        repeated on the next one, so it must be idempotent (R57)."""
        async with asyncio.timeout(deadline):
            while True:
                connection = await self.connected()
                try:
                    return await question(connection.port)
                except capnp.KjException as error:
                    if not await lost(connection, error):
                        raise of_exception(error) from None

    async def connected(self) -> Connection:
        """The current connection, or a new one (R23)."""
        async with self._dialling:
            wait = limits.RECONNECT_FIRST
            while self._connection is None or self._connection.closed.is_set():
                try:
                    self._connection = await self.member.connect()
                except Refused:
                    await asyncio.sleep(wait)
                    wait = min(2 * wait, limits.RECONNECT_MOST)
                else:
                    if self.member.is_due:
                        # A client that connects rarely renews its certificate on connecting (R17).
                        await self.member.renew(self._connection)
            return self._connection


class Task:
    """A task, by its id."""

    def __init__(self, client: Client, id: str) -> None:
        self._client = client
        self.id = id

    async def info(self) -> dict[str, Any]:
        """The status of the task: the fields of `TaskInfo`."""

        async def info(task: Any) -> dict[str, Any]:
            found: dict[str, Any] = (await task.info()).info.to_dict()
            return found

        return await self._ask(info)

    async def result(self) -> Any:
        """Waits for the end of the task, without limit of time, and returns its result. Raises the
        `Failure` of a failed task."""

        async def result(task: Any) -> Any:
            outcome = (await task.result()).outcome
            if str(outcome.which()) == "failure":
                raise failure.read(outcome.failure)
            return value.read(outcome.value, lambda _: None)

        return await self._ask(result, None)

    async def send(self, item: Any, key: str | None = None, steer: bool = False) -> int:
        """Sends input, and returns its number. Durable when this returns. A repeated `key` is accepted
        once (R58)."""
        key = key or secrets.token_hex(16)

        async def send(task: Any) -> int:
            request = task.send_request()
            request.key, request.steer = key, steer
            value.write(request.init("value"), item, value.no_object)
            return int((await request.send()).input)

        return await self._ask(send)

    async def cancel(self, reason: str) -> None:
        """Cancels the task. Durable when this returns."""

        async def cancel(task: Any) -> None:
            await task.cancel(reason)

        await self._ask(cancel)

    async def follow(self, after: int = 0) -> AsyncIterator[dict[str, Any]]:
        """Yields every event with a number above `after`, up to the end of the task, in the form of the
        schema's `Event`. A disconnect loses and repeats none (R60)."""
        while True:
            connection = await self._client.connected()
            sink = _Sink()
            try:
                task = await self._of(connection.port)
                request = task.events_request()
                request.after, request.sink = after, sink
                # The feed lasts as long as the subscription is held.
                subscription = (await request.send()).subscription
            except capnp.KjException as error:
                if await lost(connection, error):
                    continue
                raise of_exception(error) from None
            try:
                while (event := await sink.next(connection)) is not None:
                    if event["number"] <= after:
                        continue
                    after = event["number"]
                    yield event
                    if ENDS & event.keys():
                        return
            finally:
                del subscription

    async def _of(self, mesh: Any) -> Any:
        return (await (await _facet(mesh, "tasks")).task(self.id)).task

    async def _ask(self, question: Callable[[Any], Awaitable[T]], deadline: float | None = limits.CALL) -> T:
        async def asked(mesh: Any) -> T:
            return await question(await self._of(mesh))

        return await self._client.ask(asked, deadline)


async def _facet(mesh: Any, name: str) -> Any:
    """The object of a facet, if the client was granted it (R56)."""
    facets = await mesh.facets()
    if not facets._has(name):
        raise Failure(Code.DENIED, f"this client was not granted what `{name}` is for: ask an administrator")
    return getattr(facets, name)


class _Sink(schema.mesh.EventSink.Server):  # type: ignore[misc]
    """The receiver of events. It answers a batch when the queue has room for the next one (R60)."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue(limits.EVENTS_QUEUE)

    async def events_context(self, context: Any) -> None:
        for event in [event.to_dict() for event in context.params.events]:
            await self._events.put(event)

    async def caughtUp_context(self, context: Any) -> None:
        pass

    async def output_context(self, context: Any) -> None:
        pass

    async def next(self, connection: Connection) -> dict[str, Any] | None:
        """The next event, or None when the connection is lost and the queue is empty."""
        if self._events.empty():
            event = asyncio.ensure_future(self._events.get())
            closed = asyncio.ensure_future(connection.closed.wait())
            try:
                await asyncio.wait([event, closed], return_when=asyncio.FIRST_COMPLETED)
                return event.result() if event.done() else None
            finally:
                event.cancel()
                closed.cancel()
        return self._events.get_nowait()


async def lost(connection: Connection, error: capnp.KjException) -> bool:
    """Whether a call failed because its connection was lost, and not by an answer of the peer."""
    if connection.closed.is_set():
        return True
    if of_exception(error).code != Code.UNAVAILABLE:
        return False
    try:
        await asyncio.wait_for(connection.closed.wait(), limits.FAREWELL)
    except TimeoutError:
        return False
    return True

