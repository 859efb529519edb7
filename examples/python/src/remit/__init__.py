"""A tool node and a client of a Remit mesh, on the C++ runtime of Cap'n Proto.

Written from `docs/protocol.md`; a number such as R40 names a rule of that page.
"""

from .call import Call
from .client import Client, Grant, Task
from .credential import Credential, Identity, Refused
from .failure import Code, Failure, invalid
from .hints import RelPath
from .member import Connection, Member
from .node import Node, serve
from .remote import Remote
from .tool import method, tool

__all__ = [
    "Call",
    "Client",
    "Code",
    "Connection",
    "Credential",
    "Failure",
    "Grant",
    "Identity",
    "Member",
    "Node",
    "Refused",
    "RelPath",
    "Remote",
    "Task",
    "invalid",
    "method",
    "serve",
    "tool",
]
