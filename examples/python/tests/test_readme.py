"""Runs the commands of the README in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import AT_MOST, HERE, REMIT, REPOSITORY


class Readme(unittest.TestCase):
    """The commands and scripts of the README."""

    def test_its_commands_work_in_an_empty_folder(self) -> None:
        text = (HERE.parent / "README.md").read_text()
        (commands,) = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        with tempfile.TemporaryDirectory(prefix="remit-python-") as folder:
            (Path(folder) / "bin").mkdir()
            (Path(folder) / "bin" / "remit").symlink_to(Path(REMIT).resolve())
            (empty := Path(folder) / "empty").mkdir()
            path = f"{folder}/bin:{os.environ['PATH']}"
            # Uses a copy if there is one, since building the package writes beside its source.
            more = {"PATH": path, "REMIT_REPOSITORY": os.environ.get("REMIT_REPOSITORY", str(REPOSITORY))}
            with (Path(folder) / "said").open("w+") as said:
                # The trap ends the background jobs, also after a failure.
                guarded = f"trap 'kill $(jobs -p) 2> /dev/null || :; wait' EXIT\n{commands}"
                done = subprocess.run(
                    ["bash", "-euc", guarded],
                    cwd=empty,
                    env={**os.environ, **more},
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    timeout=4 * AT_MOST,
                )
                said.seek(0)
                shown = said.read()
        self.assertEqual(done.returncode, 0, shown)
        self.assertIn("A diary with a page for each day.", shown)
        self.assertRegex(shown, r'\[\s*"It works\."\s*\]')
        self.assertIn("lines: 2", shown)


if __name__ == "__main__":
    unittest.main()
