"""JSON Schema from type hints, and conversion of values by the hints (R34, R38).

bool, int, float, str, bytes, None, Any, list, dict with str keys, unions, Literal, dataclasses and
`Remote`. `Annotated` adds a description (a text) or keywords of JSON Schema (a dict). A union takes
the first of its types that fits.
"""

from __future__ import annotations

import dataclasses
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .failure import Failure, invalid
from .remote import Remote

RelPath = Annotated[str, {"format": "path"}]
"""A path below the object that receives the call. Caveats confine it."""

_SIMPLE: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bytes: {"type": "string", "format": "binary"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    Remote: {"format": "object"},
    Any: {},
}


def schema_of(hint: Any) -> dict[str, Any]:
    """The JSON Schema of a type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        schema = schema_of(args[0])
        for note in args[1:]:
            schema |= {"description": note} if isinstance(note, str) else note
        return schema
    if hint in _SIMPLE:
        return dict(_SIMPLE[hint])
    if origin is list:
        return {"type": "array", "items": schema_of(args[0])}
    if origin is dict and args[0] is str:
        return {"type": "object", "additionalProperties": schema_of(args[1])}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(one) for one in args]}
    if origin is Literal:
        return {"enum": list(args)}
    if dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        fields = {field.name: schema_of(hints[field.name]) for field in dataclasses.fields(hint)}
        return closed(fields, [field.name for field in dataclasses.fields(hint) if _required(field)])
    raise TypeError(f"{hint!r} is no type of a value: see remit.hints")


def closed(fields: dict[str, dict[str, Any]], required: list[str]) -> dict[str, Any]:
    """The schema of an object of these fields and no others."""
    schema: dict[str, Any] = {"type": "object", "properties": fields, "additionalProperties": False}
    return schema | ({"required": required} if required else {})


def is_path(schema: dict[str, Any]) -> bool:
    """Whether an argument of this schema is a path, or a list of paths."""
    return any(one.get("format") == "path" for one in _choices(schema)) or any(
        is_path(one["items"]) for one in _choices(schema) if "items" in one
    )


def takes_fields(schema: dict[str, Any]) -> bool:
    """Whether an argument of this schema may itself be an object of named fields."""
    says_more = {"type", "enum", "format", "anyOf"}
    return any(one.get("type") == "object" or not says_more & one.keys() for one in _choices(schema))


def _choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for choice in schema["anyOf"] for one in _choices(choice)] if "anyOf" in schema else [schema]


def decode(hint: Any, value: Any, path: str) -> Any:
    """Converts `value` to the type `hint`. A failure names the argument at `path`."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is Annotated:
        return decode(args[0], value, path)
    if origin in (Union, types.UnionType):
        return _one_of(args, value, path)
    if origin is Literal:
        if any(value == one and type(value) is type(one) for one in args):
            return value
        raise invalid(path, f"`{path}` is {value!r}: it is one of {', '.join(map(repr, args))}")
    if origin is list and isinstance(value, list):
        return [decode(args[0], item, f"{path}[{at}]") for at, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {name: decode(args[1], item, f"{path}.{name}") for name, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        hints = get_type_hints(hint, include_extras=True)
        fields = dataclasses.fields(hint)
        required = {field.name for field in fields if _required(field)}
        return hint(**arguments({field.name: hints[field.name] for field in fields}, required, value, path + "."))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is bytes and isinstance(value, str):
        return value.encode()
    if hint is None and value is None:
        return None
    # By the exact type: a bool is no int here.
    if type(value) is hint:
        return value
    raise invalid(path, f"`{path}` is a {type(value).__name__}, and {getattr(hint, '__name__', hint)} is taken")


def arguments(hints: dict[str, Any], required: set[str], given: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Converts named values, each to its type. An optional one may be null (R38)."""
    for name in given:
        if name not in hints:
            raise invalid(prefix + name, f"there is no argument `{prefix}{name}`: there are {', '.join(hints) or 'none'}")
    for name in hints:
        if name in required and name not in given:
            raise invalid(prefix + name, f"the argument `{prefix}{name}` is missing")
    present = {name: value for name, value in given.items() if value is not None or name in required}
    return {name: decode(hints[name], value, prefix + name) for name, value in present.items()}


def encode(value: Any) -> Any:
    """Converts a result to a value: dataclasses become dicts."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {name: encode(item) for name, item in value.items()}
    return value


def _one_of(hints: tuple[Any, ...], value: Any, path: str) -> Any:
    for hint in hints:
        try:
            return decode(hint, value, path)
        except Failure as failure:
            last = failure
    raise last


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
