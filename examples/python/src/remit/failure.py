"""Failures, and their form on the wire (R25 to R28)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import capnp

from . import limits

MARK = "remit/" + "1 "


class Code(StrEnum):
    """The kind of a failure. The set is closed: each code tells the caller what to do."""

    DENIED = "denied"
    REVOKED = "revoked"
    NOT_FOUND = "not-found"
    INVALID_ARGUMENT = "invalid-argument"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    LIMIT = "limit"
    OBJECT_LOST = "object-lost"
    INTERFACE_CHANGED = "interface-changed"

    @property
    def wire(self) -> str:
        """The enumerant of the schema."""
        first, *rest = self.value.split("-")
        return first + "".join(word.capitalize() for word in rest)

    @classmethod
    def of_wire(cls, name: str) -> Code:
        """The code of an enumerant."""
        return next(code for code in cls if code.wire == name)


class Failure(Exception):
    """The failure of a call. A tool's method raises it; the caller of an object catches it."""

    def __init__(self, code: Code | str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = Code(code)
        self.message = _cut(message)
        self.detail = _cut(detail)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def invalid(path: str, message: str) -> Failure:
    """The failure for a wrong argument at `path`, for example `filter.days`."""
    return Failure(Code.INVALID_ARGUMENT, message, path)


def to_text(failure: Failure) -> str:
    """The text of the exception that carries `failure`."""
    detail, message = _cut(failure.detail), _cut(failure.message)
    return f"{MARK}{failure.code} {len(detail.encode())} {detail} {message}"


def of_text(text: str) -> Failure | None:
    """The failure in an exception's text, after any text before it."""
    _, found, rest = text.partition(MARK)
    code, _, rest = rest.partition(" ")
    length, _, rest = rest.partition(" ")
    if not found or code not in set(Code) or not length.isascii() or not length.isdigit():
        return None
    whole, size = rest.encode(), int(length)
    if whole[size : size + 1] != b" ":
        return None
    try:
        return Failure(code, whole[size + 1 :].decode(), whole[:size].decode())
    except UnicodeDecodeError:
        return None


def of_exception(error: BaseException) -> Failure:
    """The failure that an exception of a call carries."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, TimeoutError):
        return Failure(Code.TIMED_OUT, "no answer came in time; it may still happen")
    if not isinstance(error, capnp.KjException):
        return Failure(Code.FAILED, f"{type(error).__name__}: {error}")
    text = error.description
    failure = of_text(text)
    if failure is not None:
        return failure
    if error.type == "DISCONNECTED":
        return Failure(Code.UNAVAILABLE, f"the connection was lost: {text}")
    return Failure(Code.LIMIT if error.type == "OVERLOADED" else Code.FAILED, text)


class Raised(Exception):
    """A failure as a server method raises it, so that nothing but its text reaches the caller.

    pycapnp sends `traceback.format_exception` as the exception's text: frames and source lines
    before the text, which could hold the mark (R26), and a line end after it, which would become a
    part of the message. So there is no traceback, and the text ends with a NUL, at which it is cut.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.text = to_text(failure).replace("\0", "\ufffd")

    @property
    def __traceback__(self) -> Any:
        return None

    @__traceback__.setter
    def __traceback__(self, _: Any) -> None:
        pass

    def __str__(self) -> str:
        return self.text + "\0"


def read(reader: Any) -> Failure:
    """A failure as data."""
    return Failure(Code.of_wire(str(reader.code)), reader.message, reader.detail)


def write(builder: Any, failure: Failure) -> None:
    """Writes a failure as data."""
    builder.code = failure.code.wire
    builder.message = failure.message
    builder.detail = failure.detail


def _cut(text: str) -> str:
    return text.encode("utf-8", "replace")[: limits.TEXT_BYTES].decode("utf-8", "ignore")
