"""Copies the schema of the repository into the package when it is built."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SCHEMA = Path(__file__).resolve().parents[2] / "schema"


class WithSchema(build_py):
    """A build of the package with the schema beside its modules."""

    def run(self) -> None:
        super().run()
        target = Path(self.build_lib) / "remit" / "schema"
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(SCHEMA.glob("*.capnp")):
            shutil.copy(file, target / file.name)


setup(cmdclass={"build_py": WithSchema})
