"""A tool node that is killed, cut off, refused, renewed or expelled while tasks use it."""

from __future__ import annotations

import shutil
import unittest

from harness import Gate, Mesh, Process

mesh: Mesh


def setUpModule() -> None:
    global mesh
    mesh = Mesh()


def tearDownModule() -> None:
    mesh.close()


class Life(unittest.TestCase):
    """Each test has a node of its own. A tool's name belongs to the node that served it first, so each
    new node joins in place of the one before."""

    def setUp(self) -> None:
        self.node = mesh.node("probe")
        self.notes = mesh.dir / "probe" / "notes"
        self.notes.write_text("")

    def tearDown(self) -> None:
        if self.node.popen.returncode is None:
            self.assertEqual(self.node.terminate(), 0)

    def restart(self, *args: str) -> Process:
        """Starts the node again, with its folder."""
        self.node = mesh.node("probe", *args)
        return self.node

    def noted(self) -> list[tuple[str, str]]:
        """The effects, and the idempotency keys of their calls."""
        lines = (line.rsplit(" ", 1) for line in self.notes.read_text().splitlines())
        return [(text, key) for text, key in lines]


class Killed(Life):
    """SIGKILL at critical moments."""

    def test_a_repeated_key_is_answered_from_the_ledger(self) -> None:
        """R40, R52: the node dies after the effect is recorded and before the answer."""
        self.node.terminate()
        self.restart("--dies-when-recorded")
        task = mesh.begin('return await remit.probe.note("once");', "probe=probe")
        self.node.end()
        self.restart()
        self.assertEqual(mesh.result(task), 1)
        self.assertEqual([text for text, _ in self.noted()], ["once"])

    def test_an_object_that_was_recorded_is_lost(self) -> None:
        """R42."""
        self.node.terminate()
        self.restart("--dies-when-recorded")
        task = mesh.begin(
            'return await remit.probe.opened("box").lines().catch((error) => error.code);', "probe=probe"
        )
        self.node.end()
        self.restart()
        self.assertEqual(mesh.result(task), "object-lost")
        self.assertEqual([text for text, _ in self.noted()], ["box"])

    def test_a_call_that_began_waits_for_a_person_and_is_reopened(self) -> None:
        """R40, R41, R54: the same key is sent again."""
        gate = Gate(mesh.dir)
        task = mesh.begin(f'return await remit.probe.held("twice", "{gate.path}");', "probe=probe")
        gate.begun()
        self.node.kill()
        self.restart()
        mesh.until(task, "settlement-requested")
        mesh.remit("settle", task, "1", "retry")
        gate.begun()
        gate.open()
        self.assertEqual(mesh.result(task), "it went on")
        (first, key), (again, same) = self.noted()
        self.assertEqual((first, again), ("twice", "twice"))
        self.assertEqual(key, same)
        self.assertEqual(len(bytes.fromhex(key)), 24, "R39")

    def test_calls_that_may_be_repeated_are_repeated(self) -> None:
        """R41."""
        for method in ("looks", "repeatable"):
            gate = Gate(mesh.dir)
            given = f'"{gate.path}"' if method == "looks" else f'"again", "{gate.path}"'
            task = mesh.begin(f"return await remit.probe.{method}({given});", "probe=probe")
            gate.begun()
            self.node.kill()
            self.restart()
            gate.begun()
            gate.open()
            self.assertEqual(mesh.result(task), "it went on")
        self.assertEqual([text for text, _ in self.noted()], ["again", "again"])

    def test_an_object_of_a_read_only_method_is_had_again(self) -> None:
        """R41, R42."""
        gate = Gate(mesh.dir)
        task = mesh.begin(
            f"""const book = remit.probe.book("had again");
            await book.append("lost with the process");
            await remit.probe.looks("{gate.path}");
            await book.append("after");
            return await book.lines();""",
            "probe=probe",
        )
        gate.begun()
        self.node.kill()
        self.restart()
        gate.begun()
        gate.open()
        self.assertEqual(mesh.result(task), ["after"])


class CutOff(Life):
    """The orchestrator goes away and comes back."""

    def test_the_node_comes_back_to_an_orchestrator_that_was_killed(self) -> None:
        """R23, R45: a call with effects runs to its end meanwhile, and is not repeated."""
        gate = Gate(mesh.dir)
        task = mesh.begin(f'return await remit.probe.held("on", "{gate.path}");', "probe=probe")
        gate.begun()
        mesh.orchestrator.kill()
        gate.open()
        mesh.start_orchestrator()
        self.assertEqual(mesh.result(task), "it went on")
        self.assertEqual([text for text, _ in self.noted()], ["on"])
        self.assertEqual(mesh.run("return await remit.probe.add(1);", "probe=probe"), 3)


class TakenBack(Life):
    """Authority that ends during a call."""

    def test_a_revoked_grant_cancels_its_call_in_flight(self) -> None:
        """R45."""
        gate = Gate(mesh.dir)
        task = mesh.begin(
            f'return await remit.probe.held("in flight", "{gate.path}").catch((error) => error.code);', "probe=probe"
        )
        gate.begun()
        mesh.remit("revoke", task, "probe")
        self.assertEqual(mesh.result(task), "revoked")
        self.assertEqual(self.node.terminate(), 0)
        self.assertEqual([text for text, _ in self.noted()], ["in flight", "in flight was cancelled"])

    def test_an_expelled_node_ends_and_says_why(self) -> None:
        """R24."""
        other = mesh.node("expelled")
        mesh.remit("expel", "expelled", "--reason", "it was sold")
        self.assertNotEqual(other.end(), 0)
        self.assertIn("was expelled from this mesh", other.log.read_text())


class Alone(Life):
    """A name belongs to one process."""

    def test_a_second_process_of_one_name_is_refused(self) -> None:
        """R31."""
        copy = mesh.dir / "copy"
        copy.mkdir(mode=0o700)
        for name in ("credential.pem", "orchestrator"):
            shutil.copy(mesh.dir / "probe" / name, copy / name)
        with self.assertRaisesRegex(AssertionError, "another process is connected"):
            mesh.node("copy")
        self.assertEqual(mesh.run("return await remit.probe.add(2);", "probe=probe"), 4)


class Renewed(unittest.TestCase):
    """R17, R18."""

    def test_calls_go_on_while_certificates_are_renewed(self) -> None:
        short = Mesh("certificate_seconds = 3\n")
        try:
            node = short.node("probe", "--tell-renewals")
            first = (short.dir / "probe" / "credential.pem").read_bytes()
            for _ in range(3):
                node.until("renewed")
                self.assertEqual(short.run("return await remit.probe.add(1);", "probe=probe"), 3)
            self.assertNotEqual((short.dir / "probe" / "credential.pem").read_bytes(), first)
            self.assertEqual(node.terminate(), 0)
        finally:
            short.close()


if __name__ == "__main__":
    unittest.main()
