"""A tool node: its registration, and the requests of the orchestrator (R31 to R55)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import capnp

from . import ledger, limits, schema, value
from .calls import Calls, Link, Reply, Request, Unsettled
from .credential import Refused
from .failure import Code, Failure, Raised, of_exception
from .member import Connection, Member
from .remote import Remote, capability_of
from .tool import Tool, open_tool

log = logging.getLogger("remit")


class ToolObject(schema.objects.Object.Server):  # type: ignore[misc]
    """An object of a tool, for the holders of references to it over one connection."""

    def __init__(self, calls: Calls, tool: Tool, instance: Any, link: Link) -> None:
        self._calls, self._tool, self._instance, self._link = calls, tool, instance, link

    async def call_context(self, context: Any) -> None:
        params = context.params
        turn = self._calls.arrive(params.line)
        with self._link:
            try:
                request = _request(params, turn)
                reply = await self._calls.call(self._tool, self._instance, request, self._link)
                self._answer(context.results, reply)
            except Unsettled as unsettled:
                _write_unsettled(context.results, unsettled.kind, unsettled.reason)
            except Failure as failure:
                raise Raised(failure) from None

    async def describe_context(self, context: Any) -> None:
        self._tool.write(context.results.init("manifest"))
        context.results.interface = type(self._instance).__name__

    def _answer(self, results: Any, reply: Reply) -> None:
        results.cost = reply.cost
        if reply.object is not None:
            results.object = self._served(reply.object)
        else:
            value.write(results.init("value"), reply.value, self._served)

    def _served(self, item: Any) -> Any:
        """The capability of an object of the tool, or of an object that was lent to it."""
        if type(item) in self._tool.interfaces:
            return ToolObject(self._calls, self._tool, item, self._link)
        return capability_of(item)


class Unbegun(schema.objects.Object.Server):  # type: ignore[misc]
    """The object that a call without an outcome would have returned (R44)."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def call_context(self, context: Any) -> None:
        _write_unsettled(context.results, "notBegun", self._reason)

    async def describe_context(self, context: Any) -> None:
        raise Raised(Failure(Code.UNAVAILABLE, self._reason)) from None


class Host(schema.tool_node.ToolHost.Server):  # type: ignore[misc]
    """The methods that the node implements for the orchestrator."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def settle_context(self, context: Any) -> None:
        key, age_ms = bytes(context.params.key), context.params.ageMs
        try:
            state = await self._calls.settle(key, age_ms)
        except sqlite3.Error as error:
            raise Raised(Failure(Code.UNAVAILABLE, f"the ledger cannot be read: {error}")) from None
        ledger.write(context.results.init("state"), state)

    async def reopen_context(self, context: Any) -> None:
        try:
            await self._calls.reopen(bytes(context.params.key))
        except sqlite3.Error as error:
            raise Raised(Failure(Code.UNAVAILABLE, f"the ledger cannot be written: {error}")) from None

    async def introduce_context(self, context: Any) -> None:
        raise Raised(Failure(Code.FAILED, "this node takes no direct connections")) from None


class Node:
    """A tool node with its calls, across successive connections."""

    def __init__(self, roots: Sequence[Any], home: Path, labels: Sequence[str] = ()) -> None:
        self._tools = [open_tool(root) for root in roots]
        self._labels = list(labels)
        self._instance = os.urandom(16)
        self._output: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue(limits.OUTPUT_QUEUE)
        self._sends_output = asyncio.Lock()
        try:
            self._ledger = ledger.Ledger(home / "ledger.sqlite")
        except sqlite3.Error as error:
            raise Refused(f"the ledger in {home} cannot be opened (does another node use it?): {error}") from error
        self.calls = Calls(self._ledger, self._emit)
        self.registered = asyncio.Event()
        self.stop = asyncio.Event()

    async def run(self, member: Member) -> None:
        """Serves until `stop` is set, then waits for its calls to end, with a time limit."""
        try:
            await member.stay(self._session, self.stop)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.DRAIN):
                    await self.calls.drained()
        finally:
            self._ledger.close()

    def _emit(self, key: bytes, text: str) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._output.put_nowait((key, text))

    async def _session(self, connection: Connection) -> None:
        link = Link(connection.closed)
        connection.idle = link.idle
        registration = await self._register(connection, link)
        log.info("registered: %s", ", ".join(f"{tool.name} {tool.version}" for tool in self._tools))
        self.registered.set()
        keeping = [
            asyncio.create_task(self._report(registration)),
            asyncio.create_task(self._send_output(registration)),
        ]
        ends = [asyncio.create_task(connection.closed.wait()), asyncio.create_task(self.stop.wait())]
        try:
            await asyncio.wait([keeping[0], *ends], return_when=asyncio.FIRST_COMPLETED)
            if not connection.closed.is_set() and self.stop.is_set():
                async with asyncio.timeout(limits.DRAIN + limits.PORT):
                    await registration.drain(int(limits.DRAIN * 1000))
        finally:
            for task in [*keeping, *ends]:
                task.cancel()

    async def _register(self, connection: Connection, link: Link) -> Any:
        request = connection.port.register_request()
        offer = request.init("offer")
        offer.instance = self._instance
        tools = offer.init("tools", len(self._tools))
        for at, tool in enumerate(self._tools):
            tool.write(tools[at].init("manifest"))
            tools[at].root = ToolObject(self.calls, tool, tool.root, link)
        labels = offer.init("labels", len(self._labels))
        for at, label in enumerate(self._labels):
            labels[at] = label
        request.host = Host(self.calls)
        async with asyncio.timeout(limits.PORT):
            answer = await request.send()
        return answer.registration

    async def _report(self, registration: Any) -> None:
        """Reports the load when it changes and every few seconds, until a report fails (R36)."""
        changed = asyncio.Event()
        self.calls.watchers.add(changed)
        try:
            while True:
                changed.clear()
                sent = time.monotonic()
                try:
                    async with asyncio.timeout(limits.PORT):
                        await registration.report(self.calls.in_flight)
                except (TimeoutError, capnp.KjException) as error:
                    log.info("the orchestrator takes no reports: %s", of_exception(error))
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), limits.REPORT_EVERY)
                await asyncio.sleep(max(sent + limits.REPORT_AT_MOST_EVERY - time.monotonic(), 0))
        finally:
            self.calls.watchers.discard(changed)

    async def _send_output(self, registration: Any) -> None:
        """Sends pieces of output. While an older session lives, that session sends them (R50)."""
        room = asyncio.Semaphore(limits.OUTPUT_IN_FLIGHT)

        async def send(key: bytes, text: str) -> None:
            try:
                async with asyncio.timeout(limits.PORT):
                    await registration.emit(key, text)
            except (TimeoutError, capnp.KjException) as error:
                log.debug("output was lost: %s", of_exception(error))
            finally:
                room.release()

        async with self._sends_output, asyncio.TaskGroup() as sending:
            while True:
                await room.acquire()
                sending.create_task(send(*await self._output.get()))


def _request(params: Any, turn: Any) -> Request:
    try:
        return Request(params.method, value.read(params.args, Remote), bytes(params.key), turn)
    except Failure:
        turn.leave()
        raise
    except (capnp.KjException, UnicodeDecodeError) as error:
        turn.leave()
        raise Failure(Code.INVALID_ARGUMENT, f"malformed: {error}") from error


def _write_unsettled(results: Any, kind: str, reason: str) -> None:
    unsettled = results.init("unsettled")
    setattr(unsettled, kind, None)
    unsettled.reason = reason
    results.object = Unbegun(reason)


async def _serve(roots: Sequence[Any], args: argparse.Namespace) -> None:
    member = await Member.open(args.home, "tool-node", args.join, args.address)
    node = Node(roots, Path(args.home), args.label)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stop.set)

    async def tell() -> None:
        await node.registered.wait()
        print(f"tool node ready {member.credential.identity}", flush=True)


    def look_at_stdin() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            node.stop.set()

    if args.until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), look_at_stdin)
    telling = asyncio.create_task(tell())
    try:
        await node.run(member)
    finally:
        telling.cancel()


def serve(*roots: Any) -> None:
    """Runs a tool node of these tools until a signal ends it. For `main`."""
    parser = argparse.ArgumentParser(description="Serve tools to a Remit mesh.")
    parser.add_argument("--home", default="tool-node", help="the folder of its credential and its ledger")
    parser.add_argument("--join", metavar="LINE", help="the invite, at the first start")
    parser.add_argument("--address", default="", help="where the orchestrator is, HOST:PORT, if not where it was")
    parser.add_argument("--label", action="append", default=[], help="a label; may be given more than once")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input closes")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        asyncio.run(capnp.run(_serve(roots, args)))
    except Refused as error:
        sys.exit(f"error: {error}")
