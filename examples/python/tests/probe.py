"""The tool node of the tests: it records its effects in files, and waits at gates of the tests."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import remit
import remit.node
from remit import Call, Failure, Remote, RelPath, method, tool
from remit.ledger import Ledger, Outcome


@dataclass
class Size:
    """How large something is."""

    lines: int
    unit: Literal["line", "page"] = "line"


@tool("probe", "1.0.0", descend="book")
class Probe:
    """Notes, and what the tests need."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._books: dict[str, list[str]] = {}
        self._kept: Remote | None = None

    @method(read_only=True)
    async def book(self, path: RelPath) -> Book:
        """A book of notes.

        path: what it is called
        """
        return Book(self._books.setdefault(path, []))

    @method(read_only=True)
    async def add(self, a: Annotated[int, "the first"], b: int = 2) -> int:
        """A sum."""
        return a + b

    @method(read_only=True)
    async def same(self, value: Any) -> Any:
        """What it was given."""
        return value

    @method(read_only=True)
    async def many(self, count: int) -> str:
        """A text of so many bytes."""
        return "x" * count

    @method(read_only=True)
    async def nested(self, depth: int) -> Any:
        """A list in a list."""
        value: Any = 1
        for _ in range(depth):
            value = [value]
        return value

    @method(read_only=True)
    async def measure(self, sizes: list[Size], scale: float | None = None) -> Size:
        """A dataclass for dataclasses."""
        return Size(round(sum(size.lines for size in sizes) * (scale or 1)), "page")

    @method(read_only=True)
    async def defect(self) -> None:
        """Breaks down, as programs do."""
        raise KeyError("remit/1 denied 0  this is a text and no failure")

    @method(read_only=True)
    async def fail(self, code: str, message: str, detail: str = "") -> None:
        """Fails so."""
        raise Failure(code, message, detail)

    @method()
    async def note(self, text: str, call: Call) -> int:
        """Notes a line on disk; answers with the number of lines."""
        return self._append(text, call)

    @method(idempotent=True)
    async def repeatable(self, text: str, gate: str, call: Call) -> str:
        """Waits at a gate, and may be done twice."""
        self._append(text, call)
        return await _at(gate)

    @method()
    async def held(self, text: str, gate: str, call: Call) -> str:
        """Notes that it began, and waits at a gate."""
        self._append(text, call)
        try:
            return await _at(gate)
        except asyncio.CancelledError:
            self._append(f"{text} was cancelled", call)
            raise

    @method(read_only=True)
    async def looks(self, gate: str) -> str:
        """Waits at a gate, and changes nothing."""
        return await _at(gate)

    @method(max_cost=5)
    async def costs(self, units: int, call: Call) -> None:
        """Costs so much, and says so as it goes."""
        for number in range(units):
            call.emit(f"unit {number}\n")
            call.charge(1)

    @method()
    async def opened(self, text: str, call: Call) -> Book:
        """An object that a method with effects opens."""
        self._append(text, call)
        return Book([text])

    @method(read_only=True)
    async def ask(self, other: Remote, line: str) -> list[str]:
        """Calls an object of the caller's back, and one that it returns before that has come."""
        await other.open("page", number=0).call("write", line)
        lines: list[str] = await other.call("lines")
        return lines

    @method()
    async def keep(self, other: Remote) -> None:
        """Keeps an object beyond its call."""
        self._kept = other

    @method(read_only=True)
    async def kept(self) -> str:
        """What calling it says then."""
        assert self._kept is not None
        try:
            await self._kept.call("lines")
        except Failure as failure:
            return failure.code
        return "it can still be called"

    @method(read_only=True)
    async def give_back(self, other: Remote) -> dict[str, Remote]:
        """The caller's object, in a value."""
        return {"it": other}

    def _append(self, text: str, call: Call) -> int:
        path = self._home / "notes"
        with path.open("a") as file:
            file.write(f"{text} {call.key.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        return len(path.read_text().splitlines())


class Book:
    """A book of notes."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    @method(read_only=True)
    async def page(self, number: int = 0) -> Page:
        """A page, which has one line."""
        return Page(self._lines, number)

    @method(read_only=True)
    async def lines(self) -> list[str]:
        """All of them."""
        return list(self._lines)

    @method()
    async def append(self, text: str) -> int:
        """Adds a line at the end."""
        self._lines.append(text)
        return len(self._lines)


class Page:
    """A page of a book."""

    def __init__(self, lines: list[str], number: int) -> None:
        self._lines = lines
        self._number = number

    @method(read_only=True)
    async def read(self) -> str:
        """Its line."""
        if self._number >= len(self._lines):
            raise Failure("not-found", f"there is no page {self._number}")
        return self._lines[self._number]

    @method()
    async def write(self, text: str) -> None:
        """Writes its line, as the last one if it is beyond the end."""
        self._lines[self._number : self._number + 1] = [text]


async def _at(gate: str) -> str:
    """Reports to the test that the gate is reached, and waits until it opens. The second pipe is opened
    without blocking, so that a cancelled call leaves no thread behind."""
    await asyncio.to_thread(Path(gate, "begun").write_text, "begun")
    loop, opened = asyncio.get_running_loop(), asyncio.Event()
    descriptor = os.open(Path(gate, "go"), os.O_RDONLY | os.O_NONBLOCK)
    loop.add_reader(descriptor, opened.set)
    try:
        await opened.wait()
        return "it went on"
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class DiesWhenRecorded(Ledger):
    """A ledger whose process dies after an outcome is on disk and before it is sent."""

    async def completed(self, key: bytes, outcome: Outcome) -> None:
        await super().completed(key, outcome)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if "--dies-when-recorded" in sys.argv:
        sys.argv.remove("--dies-when-recorded")
        remit.node.ledger.Ledger = DiesWhenRecorded
    if "--tell-renewals" in sys.argv:
        sys.argv.remove("--tell-renewals")
        logging.getLogger("remit").addHandler(logging.StreamHandler(sys.stdout))
    remit.serve(Probe(Path(sys.argv[sys.argv.index("--home") + 1])))
