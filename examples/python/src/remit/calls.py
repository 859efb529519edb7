"""The calls of this node. Each idempotency key runs at most once (R40 to R45, R52 to R54)."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import hints, limits, value
from .call import Call
from .failure import Code, Failure, invalid
from .ledger import Ledger, Outcome
from .tool import Method, Tool

log = logging.getLogger("remit")


class Unsettled(Exception):
    """A call has no outcome yet: `notBegun`, or `unknown` (R44)."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


@dataclass
class Request:
    """A call as the caller made it."""

    method: str
    args: Any
    key: bytes
    turn: Turn


@dataclass(frozen=True)
class Reply:
    """The result of a call: a value, or an object of the tool."""

    value: Any = None
    object: Any = None
    cost: int = 0


class Link:
    """The connection on which calls arrive."""

    def __init__(self, closed: asyncio.Event) -> None:
        self.closed = closed
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __enter__(self) -> None:
        self._calls += 1
        self._idle.clear()

    def __exit__(self, *_: object) -> None:
        self._calls -= 1
        if self._calls == 0:
            self._idle.set()

    async def idle(self) -> None:
        """Returns when no call is in flight on the connection."""
        await self._idle.wait()


class Turn:
    """A call's place in its line: it begins when all earlier calls of the line have begun (R43)."""

    def __init__(self, lines: dict[int, deque[Turn]], line: int) -> None:
        self._lines, self._line = lines, line
        self._first = asyncio.Event()
        if line == 0:
            self._first.set()
            return
        queue = lines.setdefault(line, deque())
        queue.append(self)
        if queue[0] is self:
            self._first.set()

    async def come(self) -> None:
        """Waits until the call may begin."""
        await self._first.wait()

    def leave(self) -> None:
        """Lets the next call begin: this one has begun or will not begin."""
        queue = self._lines.get(self._line)
        if queue is None or self not in queue:
            return
        queue.remove(self)
        if queue:
            queue[0]._first.set()
        else:
            del self._lines[self._line]


class Running:
    """A running call with effects. It survives the connection on which it arrived."""

    def __init__(self) -> None:
        self.waiters = 0
        self.is_cancelled = False
        self.work: asyncio.Task[Reply] | None = None
        self.done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def cancel(self) -> None:
        """Stops the method at its current await."""
        self.is_cancelled = True
        if self.work is not None:
            self.work.cancel()


class Calls:
    """All calls of one node."""

    def __init__(self, ledger: Ledger, emit: Callable[[bytes, str], None]) -> None:
        self.in_flight = 0
        self.watchers: set[asyncio.Event] = set()
        """Set when the number of calls in flight changes."""
        self._ledger = ledger
        self._emit = emit
        self._running: dict[bytes, Running] = {}
        self._undone: set[bytes] = set()
        self._lines: dict[int, deque[Turn]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def arrive(self, line: int) -> Turn:
        """Enters an arriving call into its line."""
        return Turn(self._lines, line)

    async def call(self, tool: Tool, instance: Any, request: Request, link: Link) -> Reply:
        """Runs the method, or answers a repeated key from the ledger. Cancelling this cancels the call,
        unless the connection was lost."""
        try:
            method = _method(tool, instance, request.method)
            if len(request.key) > limits.KEY_BYTES:
                raise Failure(Code.LIMIT, f"a key has at most {limits.KEY_BYTES} bytes")
            if method.annotations.read_only:
                return await self._read(method, instance, request)
        except BaseException:
            request.turn.leave()
            raise
        running = self._running.get(request.key) if request.key else None
        if running is None:
            running = self._start(method, instance, request)
        else:
            request.turn.leave()
        running.waiters += 1
        try:
            return await asyncio.shield(running.done)
        finally:
            running.waiters -= 1
            if running.waiters == 0 and not running.done.done():
                self._spawn(self._cancel_unless_lost(running, link))

    async def settle(self, key: bytes, age_ms: int) -> Outcome | str:
        """The state of the call with this key. Waits while the call runs."""
        running = self._running.get(key)
        if running is not None:
            return await _ended(running)
        state = await self._look_up(key)
        if state == "neverStarted" and not self._ledger.remembers(age_ms):
            return "forgotten"
        return state

    async def reopen(self, key: bytes) -> None:
        """Forgets that the call with this key began."""
        if key not in self._running:
            await self._ledger.forget(key)

    async def drained(self) -> None:
        """Returns when no call with effects runs."""
        while self._running:
            await asyncio.wait([running.done for running in self._running.values()])

    async def _look_up(self, key: bytes) -> Outcome | str:
        state = await self._ledger.look_up(key)
        return "neverStarted" if state == "started" and key in self._undone else state

    async def _read(self, method: Method, instance: Any, request: Request) -> Reply:
        """Runs a read-only call, which ends with its caller."""
        self._count(1)
        try:
            await request.turn.come()
            asyncio.get_running_loop().call_soon(request.turn.leave)
            return await _invoke(method, instance, request, Call(request.key, self._emit))
        finally:
            request.turn.leave()
            self._count(-1)

    def _start(self, method: Method, instance: Any, request: Request) -> Running:
        running = Running()
        # Retrieves the exception, which has no other reader if all waiters have gone.
        running.done.add_done_callback(lambda done: done.exception())
        if request.key:
            self._running[request.key] = running
        self._spawn(self._run(running, method, instance, request))
        return running

    async def _run(self, running: Running, method: Method, instance: Any, request: Request) -> None:
        self._count(1)
        try:
            reply = await self._once(running, method, instance, request)
        except (Failure, Unsettled) as error:
            running.done.set_exception(error)
        else:
            running.done.set_result(reply)
        finally:
            request.turn.leave()
            self._running.pop(request.key, None)
            self._count(-1)

    async def _once(self, running: Running, method: Method, instance: Any, request: Request) -> Reply:
        """Returns the recorded outcome, or a new one, which is recorded before it is returned."""
        key, repeatable = request.key, method.annotations.idempotent
        if key:
            try:
                known = await self._look_up(key)
            except sqlite3.Error as error:
                raise Unsettled("notBegun", f"the ledger cannot be read, so nothing was done: {error}") from error
            if isinstance(known, Outcome):
                return _repeated(known)
            if known == "started":
                raise Unsettled("unknown", "the call was interrupted when this node stopped: it may or may not have happened")
            if not repeatable:
                await self._begin(key)
        call, failure, reply = Call(key, self._emit), None, Reply()
        try:
            reply = await _stoppable(running, method, instance, request, call)
        except Failure as error:
            failure = error
        if key:
            outcome = Outcome(reply.value, failure, reply.object is not None, call.cost)
            try:
                await self._ledger.completed(key, outcome)
            except sqlite3.Error as error:
                if not repeatable:
                    how = "succeeded" if failure is None else "failed"
                    raise Unsettled("unknown", f"the call {how}, but the ledger cannot be written: {error}") from error
                log.warning("an outcome is not in the ledger: it may be repeated: %s", error)
        if failure is not None:
            raise failure
        return reply

    async def _begin(self, key: bytes) -> None:
        """Records the start: from here on the call must not run again."""
        try:
            await self._ledger.started(key)
        except sqlite3.Error as error:
            # The failed write may still have left a record, although the method did not run.
            if len(self._undone) < limits.UNDONE_CALLS:
                self._undone.add(key)
            raise Unsettled("notBegun", f"the ledger cannot be written, so nothing was done: {error}") from error
        self._undone.discard(key)

    async def _cancel_unless_lost(self, running: Running, link: Link) -> None:
        """Cancels a call without waiters, unless its connection was lost. A lost connection cancels its
        calls before it reports its own end, hence the wait (R45)."""
        try:
            await asyncio.wait_for(link.closed.wait(), limits.FAREWELL)
        except TimeoutError:
            if running.waiters == 0:
                running.cancel()

    def _count(self, by: int) -> None:
        self.in_flight += by
        for watcher in self.watchers:
            watcher.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _method(tool: Tool, instance: Any, name: str) -> Method:
    methods = tool.methods_of(instance)
    if name not in methods:
        of = type(instance).__name__
        raise Failure(Code.NOT_FOUND, f"{of} has no method `{name[:80]}`: it has {', '.join(methods)}")
    return methods[name]


async def _invoke(method: Method, instance: Any, request: Request, call: Call) -> Reply:
    """Runs the code behind a method, and bounds its result."""
    args = request.args if request.args is not None else {}
    if not isinstance(args, dict):
        raise invalid("", "arguments come by name")
    given = hints.arguments(method.hints, method.required, args)
    if method.call_name is not None:
        given[method.call_name] = call
    try:
        returned = await getattr(instance, method.name)(**given)
    except (Failure, asyncio.CancelledError):
        raise
    except Exception as error:
        log.exception("the method %s failed", method.name)
        # The progress of a method with effects is unknown.
        code = Code.FAILED if method.annotations.read_only else Code.UNKNOWN
        raise Failure(code, f"the tool has a defect: {type(error).__name__}: {error}") from error
    if method.returns is not None:
        return Reply(None, returned, call.cost)
    result = hints.encode(returned)
    if value.weight(result) > limits.VALUE_BYTES:
        raise Failure(Code.LIMIT, f"the result of `{method.name}` weighs more than {limits.VALUE_BYTES} bytes: ask for less at once")
    return Reply(result, None, call.cost)


async def _stoppable(running: Running, method: Method, instance: Any, request: Request, call: Call) -> Reply:
    await request.turn.come()
    if running.is_cancelled:
        raise Failure(Code.CANCELLED, "the call was cancelled before it began")
    running.work = asyncio.create_task(_invoke(method, instance, request, call))
    # Runs after the first step of the work, when the call has begun.
    asyncio.get_running_loop().call_soon(request.turn.leave)
    try:
        return await running.work
    except asyncio.CancelledError:
        if not running.is_cancelled:
            raise
        raise Failure(
            Code.CANCELLED, "the call was cancelled and stopped midway: part of its effect may have happened"
        ) from None


async def _ended(running: Running) -> Outcome | str:
    try:
        reply = await asyncio.shield(running.done)
    except Failure as failure:
        return Outcome(failure=failure)
    except Unsettled as unsettled:
        return "neverStarted" if unsettled.kind == "notBegun" else "started"
    return Outcome(reply.value, None, reply.object is not None, reply.cost)


def _repeated(known: Outcome) -> Reply:
    """The answer to a repeated key (R42)."""
    if known.failure is not None:
        raise known.failure
    if known.object:
        raise Failure(Code.OBJECT_LOST, "the call was done before, and the object that it opened is gone")
    return Reply(known.value, None, known.cost)
