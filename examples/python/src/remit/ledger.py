"""The ledger: the states of calls with effects, on disk, by key (R40, R52 to R55)."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from . import failure, limits, schema, value
from .failure import Failure

T = TypeVar("T")

_TABLES = """
CREATE TABLE IF NOT EXISTS calls (
    place INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB UNIQUE NOT NULL,
    time_ms INTEGER NOT NULL, bytes INTEGER NOT NULL, state BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS floor (only_one INTEGER PRIMARY KEY CHECK (only_one = 0), time_ms INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a call: a value or a failure, whether it returned an object, and its cost."""

    value: Any = None
    failure: Failure | None = None
    object: bool = False
    cost: int = 0


class Ledger:
    """A database with one writer thread. A commit is on disk when its method returns."""

    def __init__(self, path: Path, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._now_ms = now_ms
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._database = self._thread.submit(_open, path, now_ms()).result()
        ((self._records, self._bytes),) = self._run("SELECT count(*), coalesce(sum(bytes), 0) FROM calls")
        ((self._floor_ms,),) = self._run("SELECT time_ms FROM floor")

    def _run(self, statement: str) -> list[Any]:
        return self._thread.submit(lambda: self._database.execute(statement).fetchall()).result()

    async def look_up(self, key: bytes) -> Outcome | str:
        """The outcome of the call with this key, or `started`, or `neverStarted`."""
        row = await self._do(lambda: self._database.execute("SELECT state FROM calls WHERE key = ?", (key,)).fetchone())
        return "neverStarted" if row is None else of_bytes(row[0])

    def remembers(self, age_ms: int) -> bool:
        """Whether the records reach back `age_ms`: a call that began since then has a record."""
        return bool(self._now_ms() - age_ms >= self._floor_ms)

    async def started(self, key: bytes) -> None:
        """Records that the call begins. If this fails, the call must not begin."""
        await self._do(lambda: self._enter(key, to_bytes("started")))

    async def completed(self, key: bytes, outcome: Outcome) -> None:
        """Records the outcome of the call."""
        await self._do(lambda: self._enter(key, to_bytes(outcome)))

    async def forget(self, key: bytes) -> None:
        """Removes the record of a call that started and has not ended, as if it had not begun (R54)."""

        def forget() -> None:
            with self._database:
                row = self._database.execute("SELECT state FROM calls WHERE key = ?", (key,)).fetchone()
                if row is not None and of_bytes(row[0]) == "started":
                    self._database.execute("DELETE FROM calls WHERE key = ?", (key,))
                    self._records, self._bytes = self._records - 1, self._bytes - len(row[0])

        await self._do(forget)

    def close(self) -> None:
        """Closes the database after the pending operations."""
        self._thread.submit(self._database.close).result()
        self._thread.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _enter(self, key: bytes, state: bytes) -> None:
        now_ms, database = self._now_ms(), self._database
        with database:
            old = database.execute("SELECT bytes FROM calls WHERE key = ?", (key,)).fetchone()
            database.execute("DELETE FROM calls WHERE key = ?", (key,))
            database.execute(
                "INSERT INTO calls (key, time_ms, bytes, state) VALUES (?, ?, ?, ?)", (key, now_ms, len(state), state)
            )
            records = self._records + (old is None)
            size = self._bytes + len(state) - (old[0] if old else 0)
            floor = self._floor_ms
            oldest = database.execute(
                "SELECT place, time_ms, bytes FROM calls ORDER BY place LIMIT ?", (limits.LEDGER_PRUNE,)
            ).fetchall()
            for place, time_ms, taken in oldest:
                too_old = now_ms - time_ms > limits.LEDGER_AGE_MS
                if records == 1 or not (records > limits.LEDGER_RECORDS or size > limits.LEDGER_BYTES or too_old):
                    break
                database.execute("DELETE FROM calls WHERE place = ?", (place,))
                records, size = records - 1, size - taken
                floor = max(floor, time_ms + limits.LEDGER_MARGIN_MS)
            if floor > self._floor_ms:
                database.execute("UPDATE floor SET time_ms = ?", (floor,))
        # Set after the commit, so that a failed one changes nothing.
        self._records, self._bytes, self._floor_ms = records, size, floor


def _open(path: Path, now_ms: int) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=0, check_same_thread=False)
    # One process at a time: two would not see each other's calls in flight.
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    with database:
        database.executescript(_TABLES)
        # The records of a new ledger reach back to its creation.
        database.execute("INSERT OR IGNORE INTO floor VALUES (0, ?)", (now_ms,))
    return database


def write(builder: Any, state: Outcome | str) -> None:
    """Writes a `CallState`."""
    if isinstance(state, str):
        setattr(builder, state, None)
        return
    builder.object, builder.cost = state.object, state.cost
    if state.failure is not None:
        failure.write(builder.init("failure"), state.failure)
    else:
        value.write(builder.init("value"), value.without_objects(state.value), value.no_object)


def to_bytes(state: Outcome | str) -> bytes:
    """The stored form of a state: a `CallState` message."""
    message = schema.tool_node.CallState.new_message()
    write(message, state)
    content: bytes = message.to_bytes()
    return content


def of_bytes(content: bytes) -> Outcome | str:
    """The state in its stored form."""
    with schema.tool_node.CallState.from_bytes(content, limits.MESSAGE_WORDS, limits.NESTING) as state:
        kind = str(state.which())
        if kind == "value":
            return Outcome(value.read(state.value, value.no_object), None, state.object, state.cost)
        if kind == "failure":
            return Outcome(None, failure.read(state.failure), False, state.cost)
        return kind
