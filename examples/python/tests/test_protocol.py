"""Tests that need no mesh: the rules as functions, and the page that states them."""

from __future__ import annotations

import dataclasses
import re
import sqlite3
import tempfile
import unittest
from pathlib import Path
from typing import Annotated, Any

import capnp
import dumps
from harness import HERE, REPOSITORY
from remit import Code, Failure, Remote, failure, hints, limits, schema, value
from remit.ledger import Ledger, Outcome

PAGE = (REPOSITORY / "docs" / "protocol.md").read_text()
LIMITS = (REPOSITORY / "docs" / "limits.md").read_text()


def number(text: str) -> float:
    """Parses a bound as docs/limits.md writes it, in bytes, seconds or pieces."""
    count, _, unit = text.strip(" `").partition(" ")
    factors = {"KiB": 1 << 10, "MiB": 1 << 20, "ms": 0.001, "s": 1, "": 1, "bytes": 1}
    return float(count) * factors[unit]


def bound(name: str, crate: str) -> float:
    """The value of a constant of a crate. The core's are not in docs/limits.md."""
    if crate == "core":
        source = (REPOSITORY / "crates" / "core" / "src" / "limits.rs").read_text()
        (found,) = re.findall(rf"const {name}: usize = (\d+) << (\d+);", source)
        return int(found[0]) << int(found[1])
    section = LIMITS.split(f"From `crates/{crate}/src/limits.rs`")[1].split("\n## ")[0]
    (found,) = re.findall(rf"^\| `{name}` \| ([^|]*) \|", section, re.MULTILINE)
    return number(found)


class Page(unittest.TestCase):
    """docs/protocol.md and this package agree."""

    def test_rules_are_numbered_without_gaps(self) -> None:
        numbers = [int(rule) for rule in re.findall(r"^- \*\*R(\d+)\.\*\*", PAGE, re.MULTILINE)]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))

    def test_every_rule_that_is_named_is_there(self) -> None:
        files = [*HERE.glob("*.py"), *(HERE.parent / "src" / "remit").glob("*.py")]
        named = {rule for file in files for rule in re.findall(r"\bR\d+\b", file.read_text())}
        self.assertGreater(len(named), 30)
        self.assertEqual([rule for rule in sorted(named) if f"**{rule}.**" not in PAGE], [])

    def test_the_dumps_are_those_of_the_code(self) -> None:
        self.assertTrue(PAGE.endswith(dumps.section()), "write them anew: python examples/python/tests/dumps.py --write")

    def test_the_bounds_are_those_of_the_nodes(self) -> None:
        for ours, name, crate in [
            (limits.HANDSHAKE, "HANDSHAKE", "identity"),
            (limits.JOIN, "JOIN", "orchestrator"),
            (limits.JOIN_MESSAGE_BYTES, "JOIN_MESSAGE_BYTES", "identity"),
            (limits.RENEWAL, "RENEWAL", "identity"),
            (limits.HANDOVER, "HANDOVER", "identity"),
            (limits.RECONNECT_FIRST, "RECONNECT_FIRST", "identity"),
            (limits.RECONNECT_MOST, "RECONNECT_MOST", "identity"),
            (limits.SETTLED, "SETTLED", "identity"),
            (limits.VALUE_OBJECTS, "OBJECTS_PER_VALUE", "orchestrator"),
            (limits.KEY_BYTES, "MAX_KEY_BYTES", "tool-node"),
            (limits.CANCEL_GRACE, "CANCEL_GRACE", "tool-node"),
            (limits.REPORT_EVERY, "REPORT_EVERY", "tool-node"),
            (limits.REPORT_AT_MOST_EVERY, "REPORT_AT_MOST_EVERY", "tool-node"),
            (limits.OUTPUT_BYTES, "MAX_OUTPUT_BYTES", "tool-node"),
            (limits.OUTPUT_QUEUE, "OUTPUT_QUEUE", "tool-node"),
            (limits.REMOTE, "REMOTE_DEADLINE", "tool-node"),
            (limits.LEDGER_RECORDS, "LEDGER_RECORDS", "tool-node"),
            (limits.LEDGER_BYTES, "LEDGER_BYTES", "tool-node"),
            (limits.LEDGER_AGE_MS / 1000, "LEDGER_AGE", "tool-node"),
            (limits.LEDGER_MARGIN_MS / 1000, "LEDGER_MARGIN", "tool-node"),
            (limits.VALUE_BYTES, "MAX_VALUE_BYTES", "core"),
            (limits.TEXT_BYTES, "MAX_FAILURE_BYTES", "core"),
        ]:
            self.assertEqual(ours, bound(name, crate), name)
        self.assertIn(f"| one message | {limits.MESSAGE_WORDS * 8 >> 20} MiB, pointers {limits.NESTING} deep |", LIMITS)
        self.assertIn(f"| silence | {limits.SILENCE:.0f} s |", LIMITS)
        self.assertGreater(bound("LOAD_LAG", "orchestrator"), limits.REPORT_AT_MOST_EVERY, "R36")

    def test_every_constant_that_the_page_names_is_one_of_the_code(self) -> None:
        named = set(re.findall(r"`((?:[A-Z]+_)*[A-Z]{4,})`", PAGE))
        sources = [file.read_text() for file in (REPOSITORY / "crates").glob("*/src/**/*.rs")]
        const = set(re.findall(r"const ([A-Z_]+)\b", "\n".join(sources)))
        parts = {"HASH", "SECRET", "CODE", "LENGTH", "DETAIL", "ROLE"}
        self.assertEqual(named - const - parts, set())


class Failures(unittest.TestCase):
    """R25 to R28."""

    def test_a_failure_reads_back_behind_any_words(self) -> None:
        for code in Code:
            for message, detail in [("", ""), ("a b", "calls=3"), ("line\nü", "remit/1 x 9 y"), ("remit/1 ", " ")]:
                text = failure.to_text(Failure(code, message, detail))
                read = failure.of_text("remote exception: x: " + text)
                assert read is not None
                self.assertEqual((read.code, read.message, read.detail), (code, message, detail))

    def test_the_text_is_the_one_of_the_page(self) -> None:
        wrong = Failure("invalid-argument", "it is text", "fälter.days")
        self.assertEqual(failure.to_text(wrong), "remit/1 invalid-argument 12 fälter.days it is text")

    def test_what_is_no_failure_is_read_by_the_type_of_the_exception(self) -> None:
        texts = ["remit/1 unheard-of 0  x", "remit/1 denied 99 x y", "remit/1 denied ü x", "plain"]
        types = {"DISCONNECTED": "unavailable", "OVERLOADED": "limit", "FAILED": "failed", "UNIMPLEMENTED": "failed"}
        for text in texts:
            for kind, code in types.items():
                read = failure.of_exception(capnp.KjException(text, type=kind))
                self.assertEqual(read.code, code)
                self.assertIn(text, read.message)

    def test_texts_are_cut_between_characters(self) -> None:
        long = Failure("failed", "ü" * limits.TEXT_BYTES, "x" * 2 * limits.TEXT_BYTES)
        self.assertEqual((long.message, len(long.detail)), ("ü" * (limits.TEXT_BYTES // 2), limits.TEXT_BYTES))

    def test_the_codes_are_those_of_the_schema(self) -> None:
        enumerants = schema.objects.Failure.Code.schema.enumerants
        self.assertEqual({code.wire for code in Code}, set(enumerants))


class Values(unittest.TestCase):
    """R29, R30."""

    def through(self, given: Any) -> Any:
        message = schema.objects.Value.new_message()
        value.write(message, given, value.no_object)
        with schema.objects.Value.from_bytes(message.to_bytes(), limits.MESSAGE_WORDS, limits.NESTING) as reader:
            return value.read(reader, value.no_object)

    def test_a_value_comes_back_as_it_was(self) -> None:
        given = [None, True, 0, -(1 << 63), (1 << 63) - 1, (1 << 64) - 1, 0.5, "ü\0", b"\0\xff", [], {"": {"a": [1]}}]
        back = self.through(given)
        self.assertEqual(back, given)
        self.assertEqual([type(one) for one in back], [type(one) for one in given])

    def test_what_is_no_value_is_refused(self) -> None:
        deep: Any = None
        for _ in range(limits.VALUE_DEPTH):
            deep = [deep]
        for wrong in (deep, 1 << 64, -(1 << 63) - 1, "\ud800", {1: 2}, object()):
            with self.assertRaises(Failure):
                self.through(wrong)
        self.assertEqual(self.through(deep[0]), deep[0])

    def test_a_name_that_comes_twice_and_a_held_object_are_refused(self) -> None:
        twice = schema.objects.Value.new_message()
        for field in twice.init("fields", 2):
            field.name = "a"
        held = schema.objects.Value.new_message()
        held.init("held").grant = 1
        for wrong in (twice, held):
            with self.assertRaises(Failure):
                value.read(wrong.as_reader(), value.no_object)

    def test_weight_is_that_of_the_page(self) -> None:
        self.assertEqual(value.weight({"ab": ["xyz", 1, b"12"]}), 16 + 2 + 16 + (16 + 3) + 16 + (16 + 2))


@dataclasses.dataclass
class Filter:
    """Some."""

    days: Annotated[int, "how many"]
    among: list[str] | None = None


class Hints(unittest.TestCase):
    """R34, R38."""

    def test_the_schema_is_that_of_the_type(self) -> None:
        self.assertEqual(
            hints.schema_of(dict[str, Filter]),
            {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": {
                        "days": {"type": "integer", "description": "how many"},
                        "among": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
                    },
                    "additionalProperties": False,
                    "required": ["days"],
                },
            },
        )
        self.assertEqual(hints.schema_of(Remote), {"format": "object"})
        for wrong in (set[int], dict[int, int], complex):
            with self.assertRaises(TypeError):
                hints.schema_of(wrong)

    def test_arguments_are_checked_to_their_depth(self) -> None:
        types = {"filter": Filter, "scale": float}
        good = hints.arguments(types, {"filter"}, {"filter": {"days": 1, "among": ["a"]}, "scale": 2})
        self.assertEqual(good, {"filter": Filter(1, ["a"]), "scale": 2.0})
        for wrong, path in [
            ({}, "filter"),
            ({"filter": {}}, "filter.days"),
            ({"filter": {"days": True}}, "filter.days"),
            ({"filter": {"days": 1, "more": 2}}, "filter.more"),
            ({"filter": {"days": 1}, "scale": "x"}, "scale"),
            ({"filter": {"days": 1}, "__class__": 1}, "__class__"),
        ]:
            with self.assertRaises(Failure) as refused:
                hints.arguments(types, {"filter"}, wrong)
            self.assertEqual((refused.exception.code, refused.exception.detail), ("invalid-argument", path))


class Ledgers(unittest.IsolatedAsyncioTestCase):
    """R40, R52 to R55."""

    def setUp(self) -> None:
        self._dir = tempfile.TemporaryDirectory()
        self.path = Path(self._dir.name) / "ledger.sqlite"
        self.now_ms = 1_000_000_000_000
        self.ledger = Ledger(self.path, lambda: self.now_ms)

    def tearDown(self) -> None:
        self.ledger.close()
        self._dir.cleanup()

    async def test_what_is_recorded_is_known_after_a_restart(self) -> None:
        failed = Failure("limit", "too much", "calls")
        await self.ledger.started(b"a")
        await self.ledger.started(b"b")
        await self.ledger.completed(b"a", Outcome({"it": [1, object()]}, None, True, 7))
        await self.ledger.completed(b"c", Outcome(None, failed, False, 3))
        with self.assertRaises(sqlite3.Error):
            Ledger(self.path)
        self.ledger.close()
        self.ledger = Ledger(self.path, lambda: self.now_ms)
        self.assertEqual(await self.ledger.look_up(b"a"), Outcome({"it": [1, None]}, None, True, 7), "R53")
        self.assertEqual(await self.ledger.look_up(b"b"), "started")
        self.assertEqual(await self.ledger.look_up(b"d"), "neverStarted")
        found = await self.ledger.look_up(b"c")
        assert isinstance(found, Outcome) and found.failure is not None
        self.assertEqual((str(found.failure), found.failure.detail, found.cost), ("limit: too much", "calls", 3))

    async def test_only_a_started_call_is_forgotten(self) -> None:
        await self.ledger.started(b"a")
        await self.ledger.completed(b"b", Outcome(1))
        for key in (b"a", b"b", b"c"):
            await self.ledger.forget(key)
        self.assertEqual(await self.ledger.look_up(b"a"), "neverStarted")
        self.assertEqual(await self.ledger.look_up(b"b"), Outcome(1))

    async def test_a_fresh_ledger_knows_nothing_of_what_was_sent_before(self) -> None:
        self.assertTrue(self.ledger.remembers(0))
        self.assertFalse(self.ledger.remembers(1))

    async def test_what_was_pushed_out_is_forgotten_and_not_taken_for_never_started(self) -> None:
        await self.ledger.completed(b"old", Outcome(1))
        self.now_ms += limits.LEDGER_AGE_MS + 1
        await self.ledger.completed(b"new", Outcome(2))
        self.assertEqual(await self.ledger.look_up(b"old"), "neverStarted")
        self.assertFalse(self.ledger.remembers(limits.LEDGER_AGE_MS + 1 - limits.LEDGER_MARGIN_MS + 1))
        self.assertTrue(self.ledger.remembers(limits.LEDGER_AGE_MS + 1 - limits.LEDGER_MARGIN_MS))
        self.assertEqual(await self.ledger.look_up(b"new"), Outcome(2))


if __name__ == "__main__":
    unittest.main()
