"""The offers that a tool node may make, and the rules of its connection, against a real orchestrator."""

from __future__ import annotations

import asyncio
import json
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import capnp
from harness import AT_MOST, Mesh
from remit import Connection, Member, limits, member
from remit.calls import Calls, Link
from remit.failure import of_exception
from remit.ledger import Ledger
from remit.node import Host, ToolObject
from remit.tool import open_tool
from probe import Probe

mesh: Mesh


def setUpModule() -> None:
    global mesh
    mesh = Mesh()


def tearDownModule() -> None:
    mesh.close()


def change(path: str, to: Any) -> Callable[[Any], None]:
    """A change of the first tool of an offer."""

    def make(offer: Any) -> None:
        *way, last = path.split(".")
        at = offer.tools[0].manifest
        for part in way:
            at = at[int(part)] if part.isdigit() else getattr(at, part)
        setattr(at, last, to)

    return make


def labels(*given: str) -> Callable[[Any], None]:
    """Other labels of an offer."""

    def make(offer: Any) -> None:
        offer.labels = list(given)

    return make


def args(**keywords: Any) -> Callable[[Any], None]:
    """Another schema of the arguments of the first method."""
    return change("interfaces.0.methods.0.argsSchema", json.dumps({"type": "object", **keywords}))


class Offers(unittest.TestCase):
    """R31 to R36, and R20 to R22."""

    def connected(self, name: str, work: Callable[[Connection, Callable[..., Any]], Any]) -> None:
        """Runs `work`, which registers over a connection."""

        async def run() -> None:
            home: Path = mesh.dir / name
            joined = await Member.open(home, "tool-node", mesh.invite("tool-node", name))
            calls = Calls(Ledger(home / "ledger.sqlite"), lambda key, text: None)
            tool = open_tool(Probe(home))
            connection = await joined.connect()

            async def register(changed: Callable[[Any], None] = lambda offer: None, count: int = 1) -> Any:
                request = connection.port.register_request()
                offer = request.init("offer")
                offer.instance = name.encode()
                tools = offer.init("tools", count)
                for at in range(count):
                    tool.write(tools[at].init("manifest"))
                    tools[at].manifest.tool = f"{name}-{at}"
                    tools[at].root = ToolObject(calls, tool, tool.root, Link(connection.closed))
                changed(offer)
                request.host = Host(calls)
                return await request.send()

            async with asyncio.timeout(AT_MOST):
                await work(connection, register)
            connection.close()

        asyncio.run(capnp.run(run()))

    def test_what_no_list_could_show_is_refused_and_the_connection_stays(self) -> None:
        async def work(connection: Connection, register: Callable[..., Any]) -> None:
            twice = {"properties": {"a": {}}, "required": ["a"]}
            for changed, code in [
                (change("tool", "x" * 65), "invalid-argument"),
                (change("tool", "a b"), "invalid-argument"),
                (change("version", ""), "invalid-argument"),
                (change("root", "Nothing"), "invalid-argument"),
                (change("descend", "nothing"), "invalid-argument"),
                (change("interfaces.1.name", "Probe"), "invalid-argument"),
                (change("interfaces.0.methods.1.name", "book"), "invalid-argument"),
                (args(contains={}), "invalid-argument"),
                (args(**{"$ref": "https://elsewhere.example/schema"}), "invalid-argument"),
                (args(**{"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}), "invalid-argument"),
                (change("description", "x" * (1 << 20)), "limit"),
                (labels("a label"), "invalid-argument"),
                (labels("x" * 65), "invalid-argument"),
                (labels(*map(str, range(33))), "limit"),
                (lambda offer: setattr(offer, "instance", bytes(65)), "limit"),
                (lambda offer: setattr(offer, "address", "x" * 301), "limit"),
            ]:
                with self.assertRaises(capnp.KjException) as refused:
                    await register(changed)
                self.assertEqual(of_exception(refused.exception).code, code, str(refused.exception))
            with self.assertRaises(capnp.KjException) as refused:
                await register(count=65)
            self.assertEqual(of_exception(refused.exception).code, "limit")
            await register(args(**twice))
            await connection.port.ping()

        self.connected("offers", work)

    def test_a_manifest_that_changed_waits_for_a_person(self) -> None:
        """R35."""

        async def work(connection: Connection, register: Callable[..., Any]) -> None:
            await register()
            await register(change("version", "1.0.1"))
            await register(change("description", "Other words."))

        self.connected("changing", work)
        listed = [json.loads(line) for line in mesh.remit("tools", "--json").splitlines()]
        found = {tool["version"]: tool["accepted"] for tool in listed if tool["tool"] == "changing-0"}
        self.assertEqual(found, {"1.0.0": False})

    def test_a_registration_that_is_dropped_takes_the_node_off_the_list(self) -> None:
        """R36."""

        async def work(connection: Connection, register: Callable[..., Any]) -> None:
            answer = await register()
            await answer.registration.report(1)
            del answer
            # The release is sent before the ping, and a connection's messages are taken in order.
            await connection.port.ping()
            listed = await asyncio.to_thread(mesh.remit, "nodes", "--json")
            (state,) = [json.loads(line) for line in listed.splitlines() if "/dropped" in line]
            self.assertIn("away", json.dumps(state))

        self.connected("dropped", work)

    def test_a_message_over_the_bound_ends_the_connection(self) -> None:
        """R22."""

        async def work(connection: Connection, register: Callable[..., Any]) -> None:
            with self.assertRaises(capnp.KjException):
                await register(change("description", "x" * (17 << 20)))
            await connection.closed.wait()

        # The C++ runtime sends no message that is larger than its own limit for reading.
        bound, member.limits.MESSAGE_WORDS = limits.MESSAGE_WORDS, 2 * limits.MESSAGE_WORDS
        try:
            self.connected("large", work)
        finally:
            member.limits.MESSAGE_WORDS = bound

    def test_a_dialler_that_does_not_ping_is_cut(self) -> None:
        """R21."""

        async def work(connection: Connection, register: Callable[..., Any]) -> None:
            began = time.monotonic()
            await connection.closed.wait()
            silent = time.monotonic() - began
            self.assertGreater(silent, limits.SILENCE - 1)
            self.assertLess(silent, 3 * limits.SILENCE)

        pinging, member.limits.PING_EVERY = limits.PING_EVERY, AT_MOST
        try:
            self.connected("silent", work)
        finally:
            member.limits.PING_EVERY = pinging


if __name__ == "__main__":
    unittest.main()
