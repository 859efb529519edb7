"""The schema, loaded once: from the package, or from the repository in which it is developed."""

from pathlib import Path
from typing import Any

import capnp

capnp.remove_import_hook()


def _folder() -> Path:
    here = Path(__file__).resolve()
    places = [here.parent, *here.parents[1:]]
    for place in places:
        if (place / "schema" / "object.capnp").is_file():
            return place / "schema"
    raise ImportError("the schema is neither in the package nor above it: install the package with pip")


_FOLDER = _folder()


def _load(name: str) -> Any:
    return capnp.load(str(_FOLDER / f"{name}.capnp"), imports=[str(_FOLDER)])


join = _load("join")
objects = _load("object")
tool_node = _load("tool-node")
mesh = _load("mesh")
event = _load("event")
