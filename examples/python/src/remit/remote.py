"""Remote objects: those that a caller lends to a tool, and those of a mesh for a client (R49, R62)."""

from __future__ import annotations

import asyncio
from typing import Any

import capnp

from . import limits, value
from .failure import Code, Failure, of_exception


class Remote:
    """A live reference to an object at the other end of a connection."""

    def __init__(self, client: Any, asked: Any = None) -> None:
        self._client = client
        # A pipelined object is valid as long as its promise is held.
        self._asked = asked

    @property
    def client(self) -> Any:
        """The capability itself."""
        return self._client

    async def call(self, method: str, *args: Any, key: bytes = b"", timeout: float = limits.REMOTE, **named: Any) -> Any:
        """Calls `method`. Returns its value, or a `Remote` if the method returns an object."""
        try:
            async with asyncio.timeout(timeout):
                answer = await self._send(method, args, named, key)
        except (capnp.KjException, TimeoutError) as error:
            raise of_exception(error) from None
        if answer._has("unsettled"):
            unsettled = answer.unsettled
            begun = str(unsettled.which()) != "notBegun"
            raise Failure(Code.UNKNOWN if begun else Code.UNAVAILABLE, unsettled.reason)
        if answer._has("object"):
            return Remote(answer.object)
        return value.read(answer.value, Remote)

    def open(self, method: str, *args: Any, key: bytes = b"", **named: Any) -> Remote:
        """Calls `method`, and returns its object at once: calls on it are pipelined."""
        promise = self._send(method, args, named, key)
        return Remote(promise.object, promise)

    async def describe(self) -> tuple[Any, str]:
        """The manifest of the object's tool, and the name of the object's interface."""
        async with asyncio.timeout(limits.CALL):
            answer = await self._client.describe()
        return answer.manifest, answer.interface

    def _send(self, method: str, args: tuple[Any, ...], named: dict[str, Any], key: bytes) -> Any:
        request = self._client.call_request()
        request.method = method
        request.key = key
        given: Any = [*args, named] if args and named else list(args) if args else named
        value.write(request.init("args"), given, capability_of)
        return request.send()


def capability_of(item: Any) -> Any:
    """The capability of an object in a value."""
    if isinstance(item, Remote):
        return item.client
    return value.no_object(item)
