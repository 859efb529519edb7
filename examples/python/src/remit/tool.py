"""Tools: classes whose methods are described by their hints and docstrings.

    @tool("notes", "1.0.0", descend="book")
    class Notes:
        '''Notes in books.'''

        @method(read_only=True)
        async def book(self, path: RelPath) -> "Book":
            '''A book.

            path: what it is called
            '''

A class is one interface. A method whose return type is a class with methods returns an object of it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_type_hints

from . import hints
from .call import Call

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])
_MARK = "_remit_method"


@dataclass(frozen=True)
class Annotations:
    """The annotations of a method, as in the schema's `Method`."""

    read_only: bool = False
    idempotent: bool = False
    destructive: bool = False
    pure: bool = False
    timeout_ms: int = 0
    max_cost: int = 0


@dataclass
class Method:
    """A method of an interface."""

    name: str
    description: str
    annotations: Annotations
    hints: dict[str, Any]
    required: set[str]
    schema: dict[str, Any]
    result: dict[str, Any]
    returns: type | None
    call_name: str | None
    """The parameter that takes the `Call`, if there is one."""


@dataclass
class Tool:
    """A tool: its root object and its manifest."""

    name: str
    version: str
    root: Any
    description: str
    descend: str = ""
    interfaces: dict[type, dict[str, Method]] = field(default_factory=dict)

    def methods_of(self, instance: Any) -> dict[str, Method]:
        """The methods of an object."""
        return self.interfaces[type(instance)]

    def write(self, builder: Any) -> None:
        """Writes the manifest."""
        builder.tool, builder.version = self.name, self.version
        builder.root, builder.descend = type(self.root).__name__, self.descend
        builder.description = self.description
        interfaces = builder.init("interfaces", len(self.interfaces))
        for at, (of, methods) in enumerate(self.interfaces.items()):
            interfaces[at].name, interfaces[at].description = of.__name__, _summary(of)
            written = interfaces[at].init("methods", len(methods))
            for number, one in enumerate(methods.values()):
                _write_method(written[number], one)


def method(
    *,
    read_only: bool = False,
    idempotent: bool = False,
    destructive: bool = False,
    pure: bool = False,
    timeout_ms: int = 0,
    max_cost: int = 0,
) -> Callable[[F], F]:
    """Marks an async method as callable from the mesh."""
    annotations = Annotations(read_only or pure, idempotent, destructive, pure, timeout_ms, max_cost)

    def mark(function: F) -> F:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__name__} must be `async def`: blocking work belongs in asyncio.to_thread")
        setattr(function, _MARK, annotations)
        return function

    return mark


def tool(name: str, version: str, descend: str = "") -> Callable[[C], C]:
    """Marks a class as the root of a tool. `descend`: its method that opens the path of a grant."""

    def mark(of: C) -> C:
        of._remit_tool = (name, version, descend)  # type: ignore[attr-defined]
        return of

    return mark


def open_tool(root: Any) -> Tool:
    """The tool whose root is this object, with all interfaces that its methods return."""
    named = getattr(type(root), "_remit_tool", None)
    if named is None:
        raise TypeError(f"{type(root).__name__} is no tool: decorate it with @tool")
    name, version, descend = named
    opened = Tool(name, version, root, _summary(type(root)), descend)
    waiting = [type(root)]
    while waiting:
        of = waiting.pop(0)
        if of in opened.interfaces:
            continue
        opened.interfaces[of] = methods = _methods(of)
        waiting += [one.returns for one in methods.values() if one.returns is not None]
    names = [of.__name__ for of in opened.interfaces]
    if len(set(names)) < len(names):
        raise TypeError(f"two interfaces of {name} have one name: {', '.join(names)}")
    return opened


def is_interface(of: Any) -> bool:
    """Whether a class has methods that are callable from the mesh."""
    return isinstance(of, type) and any(hasattr(item, _MARK) for item in vars(of).values())


def _methods(of: type) -> dict[str, Method]:
    marked = ((name, item) for name, item in vars(of).items() if hasattr(item, _MARK))
    return {name: _method(name, item) for name, item in marked}


def _method(name: str, function: Any) -> Method:
    types = get_type_hints(function, include_extras=True)
    result = types.pop("return", None)
    returns = result if is_interface(result) else None
    call_name, required = None, set()
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if types.get(parameter.name) is Call:
            call_name = parameter.name
        elif parameter.name not in types:
            raise TypeError(f"the parameter `{parameter.name}` of {name} has no type")
        elif parameter.default is inspect.Parameter.empty:
            required.add(parameter.name)
    types.pop(call_name or "", None)
    text, described = _described(function, types)
    properties = {at: hints.schema_of(hint) | described.get(at, {}) for at, hint in types.items()}
    schema = hints.closed(properties, [at for at in types if at in required])
    answer = {} if returns else hints.schema_of(result)
    return Method(name, text, getattr(function, _MARK), types, required, schema, answer, returns, call_name)


def _described(function: Any, names: dict[str, Any]) -> tuple[str, dict[str, dict[str, Any]]]:
    """A docstring without its lines `name: text`, and these lines."""
    rest, described = [], {}
    for line in (inspect.getdoc(function) or "").splitlines():
        name, colon, text = line.strip().partition(":")
        if colon and name in names:
            described[name] = {"description": text.strip()}
        else:
            rest.append(line)
    return "\n".join(rest).strip(), described


def _summary(of: type) -> str:
    return inspect.cleandoc(of.__doc__ or "")


def _write_method(builder: Any, one: Method) -> None:
    said = one.annotations
    builder.name, builder.description = one.name, one.description
    builder.argsSchema = json.dumps(one.schema)
    builder.resultSchema = "" if one.returns else json.dumps(one.result)
    builder.returns = one.returns.__name__ if one.returns else ""
    builder.readOnly, builder.idempotent = said.read_only, said.idempotent
    builder.destructive, builder.pure = said.destructive, said.pure
    builder.timeoutMs, builder.maxCost = said.timeout_ms, said.max_cost
    params = builder.init("params", len(one.hints))
    for at, name in enumerate(one.hints):
        schema = one.schema["properties"][name]
        params[at].name, params[at].required = name, name in one.required
        params[at].path, params[at].fields = hints.is_path(schema), hints.takes_fields(schema)
