"""A client in Python: tasks are created, followed, fed and cancelled while the mesh restarts."""

from __future__ import annotations

import asyncio
import base64
import unittest
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import capnp
from harness import AT_MOST, Gate, Mesh
from remit import Client, Failure, Grant, Task

mesh: Mesh


def setUpModule() -> None:
    global mesh
    mesh = Mesh()
    mesh.node("probe")
    asyncio.run(capnp.run(join()))


def tearDownModule() -> None:
    mesh.close()


def home() -> Path:
    return mesh.dir / "python-client"


async def join() -> None:
    async with await Client.open(home(), mesh.invite("client", "python")):
        pass


def script(body: str) -> str:
    return "export default async (remit, input) => {\n" + body + "\n}\n"


class Clients(unittest.TestCase):
    """R56 to R60."""

    def with_client(self, work: Callable[[Client], Awaitable[None]]) -> None:
        async def run() -> None:
            async with asyncio.timeout(AT_MOST), await Client.open(home()) as client:
                await work(client)

        asyncio.run(capnp.run(run()))

    def test_a_task_is_created_and_followed_to_its_result(self) -> None:
        async def work(client: Client) -> None:
            files = {
                "lib/twice.ts": "export const twice = (n) => 2 * n;",
                "main.ts": 'import { twice } from "./lib/twice.ts";\n'
                + script("return twice(await remit.probe.add({ a: input.a }));"),
            }
            task = await client.create_task(files, Grant("probe", "probe"), input={"a": 5}, name="sums")
            seen = [event async for event in task.follow()]
            self.assertEqual([event["number"] for event in seen], list(range(1, len(seen) + 1)))
            kinds = {kind for event in seen for kind in event}
            self.assertLessEqual({"taskCreated", "callRequested", "callCompleted", "taskCompleted"}, kinds)
            self.assertEqual(await task.result(), 14)
            self.assertEqual((await task.info())["status"], "completed")
            after = [event async for event in client.task(task.id).follow(len(seen) - 1)]
            self.assertEqual(after, seen[-1:], "a cursor")

        self.with_client(work)

    def test_grants_are_narrowed(self) -> None:
        async def work(client: Client) -> None:
            task = await client.create_task(
                script(
                    """const code = (promise) => promise.then(() => "done", (error) => error.code);
                    return [await code(remit.one.note("x")), await code(remit.one.add(1)), await code(remit.one.add(1)),
                        await code(remit.inner.lines())];"""
                ),
                Grant("one", "probe", methods=["readOnly"], calls=1),
                Grant("inner", "probe", version="1.0.0", path="inner"),
            )
            self.assertEqual(await task.result(), ["denied", "done", "denied", "done"])

        self.with_client(work)

    def test_input_is_sent_once_and_a_task_is_cancelled(self) -> None:
        """R58."""

        async def work(client: Client) -> None:
            text = script("const first = await remit.input(); return [first, await remit.input()];")
            tasks = [await client.create_task(text, key="same") for _ in range(2)]
            self.assertEqual(tasks[0].id, tasks[1].id)
            self.assertEqual(await tasks[0].send({"n": 1}, key="a"), await tasks[0].send({"n": 1}, key="a"))
            await tasks[0].send([b"\0", None])
            self.assertEqual(await tasks[0].result(), [{"n": 1}, [b"\0", None]])
            waiting = await client.create_task(text)
            await waiting.cancel("enough")
            with self.assertRaises(Failure) as ended:
                await waiting.result()
            self.assertEqual(ended.exception.code, "cancelled")

        self.with_client(work)

    def test_failures_are_those_of_the_mesh(self) -> None:
        async def work(client: Client) -> None:
            failed = await client.create_task(script('throw new Error("broken");'))
            with self.assertRaises(Failure) as ended:
                await failed.result()
            self.assertEqual(ended.exception.code, "failed")
            self.assertIn("broken", ended.exception.message)
            wrong: list[tuple[Callable[[], Awaitable[Any]], str]] = [
                (lambda: client.create_task(script(""), Grant("a", "there is none")), "not-found"),
                (lambda: client.create_task(script(""), input=Task), "invalid-argument"),
                (client.task("01a22e78-d6f1-721f-a92b-ed601c1eb4b1").info, "not-found"),
            ]
            for ask, code in wrong:
                with self.assertRaises(Failure) as refused:
                    await ask()
                self.assertEqual(refused.exception.code, code)

        self.with_client(work)

    def test_what_was_not_granted_is_denied(self) -> None:
        """R56."""

        async def run() -> None:
            line = mesh.invite("client", "viewer", "--may", "view")
            async with asyncio.timeout(AT_MOST), await Client.open(mesh.dir / "viewer", line) as client:
                with self.assertRaises(Failure) as refused:
                    await client.create_task(script("return 1;"))
                self.assertEqual(refused.exception.code, "denied")

        asyncio.run(capnp.run(run()))

    def test_nothing_is_lost_or_doubled_when_the_orchestrator_is_killed(self) -> None:
        """R57, R60."""

        async def work(client: Client) -> None:
            gate = Gate(mesh.dir)
            text = script(f'await remit.probe.add(1); return await remit.probe.held("over", "{gate.path}");')
            task = await client.create_task(text, Grant("probe", "probe"))
            result = asyncio.create_task(task.result())
            seen = []
            async for event in task.follow():
                seen.append(event)
                if "callRequested" in event and event["callRequested"]["method"] == "held":
                    await asyncio.to_thread(gate.begun)
                    await asyncio.to_thread(mesh.orchestrator.kill)
                    await asyncio.to_thread(gate.open)
                    await asyncio.to_thread(mesh.start_orchestrator)
            self.assertEqual(await result, "it went on")
            self.assertEqual([event["number"] for event in seen], list(range(1, len(seen) + 1)))
            self.assertIn("taskCompleted", seen[-1])

        self.with_client(work)

    def test_a_saved_grant_is_restored_and_called(self) -> None:
        """R62."""
        task = mesh.begin('await remit.input(); return "over";', "probe=probe")
        owner = "spiffe://home/default/client/python"
        line = mesh.remit("save", task, "--grant", "probe", "--for", owner, "--label", "for the test")

        async def work(client: Client) -> None:
            text = line.removeprefix("remit:")
            ref = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            probe = await client.restore(ref)
            self.assertEqual(await probe.call("add", 1, b=4), 5)
            book = probe.open("book", "restored", key=b"open")
            self.assertEqual(await book.call("append", "line", key=b"once"), 1)
            self.assertEqual(await book.call("append", "line", key=b"once"), 1, "the same key, the same outcome")
            self.assertEqual(await book.call("lines"), ["line"])
            with self.assertRaises(Failure) as refused:
                await probe.call("nothing")
            self.assertIn(refused.exception.code, ("not-found", "denied"))
            _, interface = await book.describe()
            self.assertEqual(interface, "Book")

        self.with_client(work)


if __name__ == "__main__":
    unittest.main()
