"""The call, as its method sees it."""

from __future__ import annotations

from collections.abc import Callable

from . import limits


class Call:
    """One call. It is passed to a parameter of this type."""

    def __init__(self, key: bytes, emit: Callable[[bytes, str], None]) -> None:
        self.key = key
        """The idempotency key, the same on every retry. Empty if there is none (R39)."""
        self.cost = 0
        self._emit = emit

    def emit(self, text: str) -> None:
        """Shows `text` to the current followers of the task. It is not recorded, and may be dropped (R50)."""
        rest = text.encode("utf-8", "replace")
        while rest:
            piece = rest[: limits.OUTPUT_BYTES].decode("utf-8", "ignore")
            rest = rest[len(piece.encode()) :]
            self._emit(self.key, piece)

    def charge(self, units: int) -> None:
        """Adds to the cost of the call, in the units of the tool's description (R47)."""
        self.cost += units
