"""A mesh of real processes for the tests, and the commands of a person."""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
REMIT = os.environ.get("REMIT", str(REPOSITORY / "target" / "debug" / "remit"))
AT_MOST = 60
"""The time limit of each wait in a test, in seconds."""
faulthandler.dump_traceback_later(5 * AT_MOST, exit=True)


class Process:
    """A process that is killed at the end, and the lines of its standard output."""

    def __init__(self, args: list[str], log: Path, **more: Any) -> None:
        self.log = log
        with log.open("ab") as stderr:
            self.popen = subprocess.Popen(
                args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, **more
            )

    def line(self) -> str:
        """The next line that it prints. It fails when the process has ended."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            self.popen.wait(AT_MOST)
            raise AssertionError(f"{self.popen.args} ended with {self.popen.returncode}:\n{self.log.read_text()}")
        return line.strip()

    def until(self, part: str) -> str:
        """The next line that contains `part`."""
        while part not in (line := self.line()):
            pass
        return line

    def kill(self) -> None:
        """Kills it with SIGKILL, as the kernel does when memory runs out."""
        self.popen.kill()
        self.end()

    def terminate(self) -> int:
        """Sends SIGTERM, and waits for its end."""
        self.popen.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> int:
        """Waits for its end."""
        code = self.popen.wait(AT_MOST)
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                stream.close()
        return code


class Mesh:
    """An orchestrator, an agent node and a person who administers it, in a folder of their own."""

    def __init__(self, config: str = "") -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="remit-python-"))
        self.processes: list[Process] = []
        self.address = "127.0.0.1:0"
        (self.dir / "orchestrator.toml").write_text(config)
        self.start_orchestrator()
        self.remit("join", (self.dir / "invites" / "client.invite").read_text(), at="")
        line = self.invite("agent-node", "agents")
        agents = [REMIT, "agent-node", "--data", str(self.dir / "agents"), "--join", line, "--until-stdin-closes"]
        self.start(agents, "agents").until("ready")

    def start(self, args: list[str], name: str) -> Process:
        """A process of the mesh."""
        process = Process(args, self.dir / f"{name}.log")
        self.processes.append(process)
        return process

    def start_orchestrator(self) -> None:
        """Starts the orchestrator again, at its previous address."""
        args = ["--config", str(self.dir / "orchestrator.toml"), "--data", str(self.dir / "data")]
        args += ["--bootstrap-dir", str(self.dir / "invites"), "--listen", self.address, "--until-stdin-closes"]
        self.orchestrator = self.start([REMIT, "orchestrator", *args], "orchestrator")
        self.address = self.orchestrator.until("ready").split(" ")[-1]

    def command(self, *args: str, at: str | None = None) -> list[str]:
        """A command as the person types it."""
        address = self.address if at is None else at
        mesh = ["--mesh", address] if address else []
        return [REMIT, "--home", str(self.dir / "home"), *mesh, *args]

    def output(self, *args: str, at: str | None = None) -> subprocess.CompletedProcess[str]:
        """The result of a command, which may fail."""
        return subprocess.run(
            self.command(*args, at=at), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=AT_MOST
        )

    def remit(self, *args: str, at: str | None = None) -> str:
        """The standard output of a command that must succeed."""
        done = self.output(*args, at=at)
        if done.returncode != 0:
            raise AssertionError(f"{args} failed:\n{done.stdout}\n{done.stderr}\n{self.logs()}")
        return done.stdout.strip()

    def invite(self, role: str, name: str, *more: str) -> str:
        """An invite for a new member."""
        return self.remit("invite", "--role", role, "--name", name, *more)

    def node(self, name: str, *args: str) -> Process:
        """A tool node of the Python package. Its folder is kept across restarts."""
        home = self.dir / name
        joins = [] if (home / "credential.pem").exists() else ["--join", self.invite("tool-node", name)]
        program = [sys.executable, str(HERE / "probe.py"), "--home", str(home), "--until-stdin-closes", *joins, *args]
        process = self.start(program, name)
        process.until("ready")
        return process

    def script(self, text: str) -> str:
        """A file with a script whose only function has this body."""
        file = tempfile.NamedTemporaryFile("w", dir=self.dir, suffix=".ts", delete=False)
        with file:
            file.write("export default async (remit, input) => {\n" + text + "\n}\n")
        return file.name

    def run(self, text: str, *grants: str) -> Any:
        """The result of a script that holds these grants."""
        given = [part for grant in grants for part in ("--grant", grant)]
        return json.loads(self.remit("run", self.script(text), *given))

    def begin(self, text: str, *grants: str) -> str:
        """Starts a task in the background, and returns its id."""
        given = [part for grant in grants for part in ("--grant", grant)]
        return self.remit("run", "--follow=false", self.script(text), *given)

    def until(self, task: str, kind: str) -> dict[str, Any]:
        """Waits for the first event of this kind in a task's log."""
        follow = Process(self.command("log", task, "-f", "--json"), self.dir / "follow.log")
        try:
            event: dict[str, Any] = json.loads(follow.until(f'"{kind}"'))
            return event
        finally:
            follow.kill()

    def result(self, task: str) -> Any:
        """Waits for the result of a task."""
        end = Process(self.command("attach", task), self.dir / "attach.log")
        assert end.popen.stdout is not None
        text = end.popen.stdout.read()
        end.end()
        return json.loads(text)

    def logs(self) -> str:
        """The output of the processes, for the message of a failed test."""
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in self.dir.glob("*.log"))

    def close(self) -> None:
        """Ends all processes and removes the folder."""
        for process in reversed(self.processes):
            if process.popen.returncode is None:
                process.kill()
        shutil.rmtree(self.dir)


class Gate:
    """A gate at which a method in another process waits until the test opens it: two named pipes."""

    def __init__(self, folder: Path) -> None:
        self.path = Path(tempfile.mkdtemp(dir=folder))
        for name in ("begun", "go"):
            os.mkfifo(self.path / name)

    def begun(self) -> str:
        """Waits until the method reaches the gate, and returns its message."""
        return (self.path / "begun").read_text()

    def open(self) -> None:
        """Opens the gate."""
        (self.path / "go").write_text("go")
