"""Values: the typed trees that calls carry, as Python's own types (R29, R30).

None, bool, int, float, str, bytes, list (and tuple), dict with str keys, and objects. An int has 64
bits, signed or unsigned. The caller of `write` determines the kinds of objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import limits
from .failure import Code, Failure, invalid

LEAST, MOST = -(1 << 63), (1 << 64) - 1


def read(reader: Any, of_object: Callable[[Any], Any]) -> Any:
    """The value of a reader, with each object in it converted by `of_object`."""
    objects = 0

    def counted(client: Any) -> Any:
        nonlocal objects
        objects += 1
        if objects > limits.VALUE_OBJECTS:
            raise Failure(Code.LIMIT, f"a value with more than {limits.VALUE_OBJECTS} objects")
        return of_object(client)

    return _read(reader, counted, limits.VALUE_DEPTH)


def _read(reader: Any, of_object: Callable[[Any], Any], depth: int) -> Any:
    if depth == 0:
        raise invalid("", f"a value nested more than {limits.VALUE_DEPTH} deep")
    match str(reader.which()):
        case "null":
            return None
        case "data":
            return bytes(reader.data)
        case "list":
            return [_read(item, of_object, depth - 1) for item in reader.list]
        case "fields":
            fields: dict[str, Any] = {}
            for field in reader.fields:
                if field.name in fields:
                    raise invalid(field.name, f"the field `{field.name}` twice")
                fields[field.name] = _read(field.value, of_object, depth - 1)
            return fields
        case "object":
            return of_object(reader.object)
        case "held":
            raise invalid("", "a journal's object id in a live value")
        case "bool" | "integer" | "unsigned" | "float" | "text" as kind:
            return getattr(reader, kind)
        case other:
            raise invalid("", f"a kind of value that this version does not know: {other}")


def write(builder: Any, value: Any, to_object: Callable[[Any], Any], depth: int = limits.VALUE_DEPTH) -> None:
    """Writes a value. `to_object` returns the capability for an item of any other type."""
    if depth == 0:
        raise invalid("", f"a value nested more than {limits.VALUE_DEPTH} deep")
    match value:
        case None:
            builder.null = None
        case bool():
            builder.bool = value
        case int():
            if not LEAST <= value <= MOST:
                raise invalid("", f"the number {value} has more than 64 bits")
            setattr(builder, "integer" if value < 1 << 63 else "unsigned", value)
        case float():
            builder.float = value
        case str():
            builder.text = _text(value)
        case bytes() | bytearray() | memoryview():
            builder.data = bytes(value)
        case list() | tuple():
            items = builder.init("list", len(value))
            for at, item in enumerate(value):
                write(items[at], item, to_object, depth - 1)
        case dict():
            fields = builder.init("fields", len(value))
            for at, (name, item) in enumerate(value.items()):
                if not isinstance(name, str):
                    raise invalid("", f"the name {name!r} of a field is no text")
                fields[at].name = _text(name)
                write(fields[at].init("value"), item, to_object, depth - 1)
        case _:
            builder.object = to_object(value)


def weight(value: Any) -> int:
    """The approximate size of a value in bytes (R30)."""
    match value:
        case str():
            return 16 + len(value.encode("utf-8", "replace"))
        case bytes() | bytearray():
            return 16 + len(value)
        case list() | tuple():
            return 16 + sum(weight(item) for item in value)
        case dict():
            return 16 + sum(len(str(name).encode()) + weight(item) for name, item in value.items())
        case _:
            return 16


def without_objects(value: Any) -> Any:
    """The value with null in the place of objects, as a ledger stores it (R53)."""
    match value:
        case list() | tuple():
            return [without_objects(item) for item in value]
        case dict():
            return {name: without_objects(item) for name, item in value.items()}
        case None | bool() | int() | float() | str() | bytes():
            return value
        case bytearray() | memoryview():
            return bytes(value)
        case _:
            return None


def no_object(value: Any) -> Any:
    """A `to_object` or `of_object` that refuses every object."""
    raise invalid("", f"a {type(value).__name__} is no value")


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise invalid("", "a text with half of a surrogate pair is no Unicode") from error
    return text
