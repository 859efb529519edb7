"""Calls from scripts to a tool node in Python, over a mesh of real processes."""

from __future__ import annotations

import json
import unittest

from harness import Mesh

mesh: Mesh


def setUpModule() -> None:
    global mesh
    mesh = Mesh()
    mesh.node("probe")


def tearDownModule() -> None:
    mesh.close()


class Described(unittest.TestCase):
    """The registration of the node."""

    def test_the_manifest_follows_from_hints_and_docstrings(self) -> None:
        listed = [json.loads(line) for line in mesh.remit("tools", "--json").splitlines()]
        (manifest,) = [tool["manifest"] for tool in listed if tool["tool"] == "probe"]
        self.assertEqual([one["name"] for one in manifest["interfaces"]], ["Probe", "Book", "Page"])
        methods = {one["name"]: one for one in manifest["interfaces"][0]["methods"]}
        book, add = methods["book"], methods["add"]
        self.assertEqual((book["description"], book["returns"], book["read_only"]), ("A book of notes.", "Book", True))
        self.assertEqual(book["params"], [{"name": "path", "required": True, "path": True, "fields": False}])
        path = {"type": "string", "format": "path", "description": "what it is called"}
        self.assertEqual(json.loads(book["args_schema"])["properties"], {"path": path})
        schema = json.loads(add["args_schema"])
        self.assertEqual((schema["required"], schema["additionalProperties"]), (["a"], False))
        self.assertEqual(schema["properties"]["a"], {"type": "integer", "description": "the first"})
        self.assertEqual(methods["costs"]["max_cost"], 5)

    def test_an_argument_that_the_method_does_not_declare_is_refused(self) -> None:
        seen = mesh.run(
            """const code = (promise) => promise.then(() => "done", (error) => `${error.code} ${error.detail}`);
            return [
                await code(remit.probe.add({ a: 1, c: 2 })), await code(remit.probe.add({ b: 1 })),
                await code(remit.probe.add("one")), await code(remit.probe.measure([{ lines: 1, unit: "mile" }])),
            ];""",
            "probe=probe",
        )
        refused = "invalid-argument"
        self.assertEqual(seen, [f"{refused} c", f"{refused} a", f"{refused} a", f"{refused} sizes[0].unit"])


class Called(unittest.TestCase):
    """Results and failures, as a script sees them."""

    def test_arguments_come_by_name_and_may_be_left_out(self) -> None:
        seen = mesh.run(
            """return [
                await remit.probe.add(1), await remit.probe.add(1, 5), await remit.probe.add({ b: 7, a: 1 }),
                await remit.probe.measure([{ lines: 2 }, { lines: 3, unit: "page" }], 2),
            ];""",
            "probe=probe",
        )
        self.assertEqual(seen, [3, 6, 8, {"lines": 10, "unit": "page"}])

    def test_values_come_back_as_they_were(self) -> None:
        """R29."""
        seen = mesh.run(
            """const all = [null, true, -1, 0.5, "ü", [1, [2]], { "__proto__x": 1, b: { c: null } }, 2n ** 64n - 1n,
                -(2n ** 63n), new Uint8Array([0, 255])];
            const back = await remit.probe.same(all);
            const nan = await remit.probe.same(NaN);
            return [back[9] instanceof Uint8Array && back[9].join(), back.slice(0, 7), String(back[7]), String(back[8]),
                Number.isNaN(nan)];""",
            "probe=probe",
        )
        values = [None, True, -1, 0.5, "ü", [1, [2]], {"__proto__x": 1, "b": {"c": None}}]
        self.assertEqual(seen, ["0,255", values, str(2**64 - 1), str(-(2**63)), True])

    def test_a_chain_of_pipelined_calls_goes_through_objects(self) -> None:
        """R44."""
        seen = mesh.run(
            """const book = remit.probe.book("chain");
            await book.append("first");
            const line = await remit.probe.book("chain").page(0).read();
            const gone = await remit.probe.book("chain").page(7).read().catch((error) => error.code);
            const failed = await remit.probe.fail("limit", "enough").catch((error) => [error.code, error.message]);
            return [line, gone, failed];""",
            "probe=probe",
        )
        self.assertEqual(seen, ["first", "not-found", ["limit", "enough"]])

    def test_failures_keep_their_code_message_and_detail(self) -> None:
        """R25, R26."""
        seen = mesh.run(
            """const shown = (error) => [error.code, error.message, error.detail];
            return [
                await remit.probe.fail("not-found", "remit/1 nö\\nline ", "ä remit/1 x").catch(shown),
                await remit.probe.fail("denied", "", "").catch((error) => error.code),
                await remit.probe.defect().catch((error) => error.code),
            ];""",
            "probe=probe",
        )
        self.assertEqual(seen, [["not-found", "remit/1 nö\nline ", "ä remit/1 x"], "denied", "failed"])

    def test_calls_on_one_grant_begin_in_order(self) -> None:
        """R43: a call that is recorded first delays the reads behind it."""
        seen = mesh.run(
            """const book = remit.probe.book("order");
            const appended = [];
            for (let n = 0; n < 20; n++) appended.push(book.append(String(n)));
            const lines = await book.lines();
            await Promise.all(appended);
            return lines;""",
            "probe=probe",
        )
        self.assertEqual(seen, [str(number) for number in range(20)])


class Confined(unittest.TestCase):
    """Calls that caveats forbid do not reach the node."""

    def test_caveats_refuse_before_the_call_is_sent(self) -> None:
        seen = mesh.run(
            """const code = (promise) => promise.then((value) => value, (error) => error.code);
            return [
                await code(remit.reads.add(1)), await code(remit.reads.note("refused")),
                await code(remit.few.add(1)), await code(remit.few.add(2)), await code(remit.small.add(9)),
            ];""",
            "reads=probe?methods=readOnly",
            "few=probe?calls=1",
            "small=probe?arg.a=range:0..3",
        )
        self.assertEqual(seen, [3, "denied", 3, "denied", "denied"])
        notes = mesh.dir / "probe" / "notes"
        self.assertNotIn("refused", notes.read_text() if notes.exists() else "")

    def test_a_grant_of_a_path_is_opened_by_descend(self) -> None:
        """R33, R39."""
        seen = mesh.run(
            """await remit.inside.append("in");
            const outside = await remit.probe.book("elsewhere").lines().catch((error) => error.code);
            return [await remit.inside.lines(), outside];""",
            "inside=probe:inner",
            "probe=probe?path=only",
        )
        self.assertEqual(seen, [["in"], "denied"])

    def test_cost_is_charged_up_to_what_the_method_says(self) -> None:
        """R47, R50."""
        seen = mesh.run(
            """await remit.probe.costs(3);
            return await remit.probe.costs(1).catch((error) => error.code);""",
            "probe=probe?cost=5",
        )
        self.assertEqual(seen, "denied", "three of five are spent, and one call reserves five")


class Lent(unittest.TestCase):
    """Objects of the caller as arguments."""

    def test_a_tool_calls_an_object_that_it_was_lent(self) -> None:
        """R49."""
        seen = mesh.run('return await remit.probe.ask(remit.probe.book("lent"), "from the tool");', "probe=probe")
        self.assertEqual(seen, ["from the tool"])

    def test_what_the_caller_may_not_do_its_tool_may_not_do_either(self) -> None:
        seen = mesh.run(
            'return await remit.probe.ask(remit.reads, "x").catch((error) => error.code);',
            "probe=probe",
            "reads=probe:narrow?methods=readOnly",
        )
        self.assertEqual(seen, "denied")

    def test_a_lent_object_is_revoked_when_its_call_has_ended(self) -> None:
        """R49."""
        seen = mesh.run(
            'await remit.probe.keep(remit.probe.book("kept")); return await remit.probe.kept();', "probe=probe"
        )
        self.assertEqual(seen, "revoked")

    def test_an_object_that_comes_back_is_the_one_that_was_lent(self) -> None:
        seen = mesh.run(
            """const book = remit.probe.book("back");
            await book.append("mine");
            const { it } = await remit.probe.give_back(book);
            return await it.lines();""",
            "probe=probe",
        )
        self.assertEqual(seen, ["mine"])


class Bounded(unittest.TestCase):
    """R29, R30: oversized values fail, and the node continues."""

    def test_a_result_over_the_bounds_fails(self) -> None:
        seen = mesh.run(
            """const code = (promise) => promise.then(() => "done", (error) => error.code);
            return [
                await code(remit.probe.many(4 * 1024 * 1024 - 16)), await code(remit.probe.many(4 * 1024 * 1024)),
                await code(remit.probe.nested(47)), await code(remit.probe.nested(48)), await code(remit.probe.add(1)),
            ];""",
            "probe=probe",
        )
        self.assertEqual(seen, ["done", "limit", "done", "invalid-argument", "done"])


if __name__ == "__main__":
    unittest.main()
