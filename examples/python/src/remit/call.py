"""What a method knows of the call that it answers."""

from __future__ import annotations

from collections.abc import Callable

from . import limits


class Call:
    """One call, as its method sees it. A parameter of this type gets it."""

    def __init__(self, key: bytes, emit: Callable[[bytes, str], None]) -> None:
        self.key = key
        """The idempotency key, the same on every retry; empty: there is none (R39)."""
        self.cost = 0
        self._emit = emit

    def emit(self, text: str) -> None:
        """Shows `text` to who follows the task, now. It is not kept, and may be dropped (R50)."""
        rest = text.encode("utf-8", "replace")
        while rest:
            piece = rest[: limits.OUTPUT_BYTES].decode("utf-8", "ignore")
            rest = rest[len(piece.encode()) :]
            self._emit(self.key, piece)

    def charge(self, units: int) -> None:
        """Adds to what the call costs, in units that the tool's description names (R47)."""
        self.cost += units
