"""The dumps of docs/protocol.md, made from the code: `python dumps.py` prints them, `--write` puts them there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import capnp
from remit import Code, Failure, failure, schema, value
from remit.join import request_message

HEADING = "## Bytes\n"
_SITE = Path(capnp.__file__).resolve().parent
rpc: Any = capnp.load(str(_SITE / "rpc.capnp"), imports=[str(_SITE.parent)])


def join() -> tuple[bytes, list[str]]:
    """A join message, preceded by its length."""
    content = request_message(bytes(range(32)), b"PKCS #10, DER", "tool-node")
    return content, [
        "the length of what follows, 104 bytes",
        "one segment of 12 words",
        "root: a struct at the next word, no data, 3 pointers",
        "`secret`: a list of 32 bytes, 2 words after this pointer",
        "`signingRequest`: 13 bytes, 5 words after",
        "`role`: 10 bytes, 6 words after",
        "the 32 bytes of the secret",
        *[""] * 3,
        "the signing request",
        "",
        "the text `tool-node` and its NUL",
        "",
    ]


def call() -> tuple[bytes, list[str]]:
    """A call of `add` with `a` = 1, as the orchestrator sends it to a tool node."""
    message = rpc.Message.new_message()
    call = message.init("call")
    call.questionId, call.interfaceId, call.methodId = 7, schema.objects.Object.schema.node.id, 0
    call.target.importedCap = 3
    params = call.init("params").content.as_struct(schema.objects.Object.schema.methods["call"].param_type)
    params.method, params.key, params.line = "add", bytes(range(24)), 9
    value.write(params.init("args"), {"a": 1}, value.no_object)
    return message.to_bytes(), [
        "one segment of 32 words",
        "`Message`: 1 word of data, 1 pointer",
        "which: 2, a call",
        "`Call`: 3 words of data, 3 pointers",
        "`questionId` 7, `methodId` 0: `call`",
        "`interfaceId`: `Object`",
        "no flags",
        "`target`: `MessageTarget`",
        "`params`: `Payload`",
        "results go back to the caller",
        "which: 0, `importedCap` 3, the root object that was registered",
        "",
        "`content`: the parameters of `Object.call`, 2 words of data, 3 pointers",
        "`capTable`: no objects are sent",
        "`direct`: no",
        "`line` 9",
        "`method`: 4 bytes",
        "`args`: `Value`",
        "`key`: 24 bytes",
        "the text `add` and its NUL",
        "the key: 16 bytes of the task's id,",
        "",
        "and 8 bytes of the call's number",
        "which: 7, `fields` (R38)",
        "",
        "a list of structs, 2 words",
        "one `Field`, 2 pointers",
        "`name`: 2 bytes",
        "`value`: `Value`",
        "the text `a` and its NUL",
        "which: 2, `integer`",
        "1",
        "",
    ]


def failed() -> tuple[bytes, list[str]]:
    """The answer to that call when the method fails."""
    message = rpc.Message.new_message()
    answer = message.init("return")
    answer.answerId, answer.releaseParamCaps = 7, True
    exception = answer.init("exception")
    wrong = Failure(Code.INVALID_ARGUMENT, "it is text", "a")
    exception.type, exception.reason = "failed", failure.to_text(wrong)
    return message.to_bytes(), [
        "one segment of 14 words",
        "`Message`",
        "which: 3, a return",
        "`Return`: 2 words of data, 1 pointer",
        "`answerId` 7; which: 1, an exception",
        "",
        "`Exception`: 1 word of data, 2 pointers",
        "`type` 0: failed (R27)",
        "`reason`: 40 bytes",
        "no trace",
        "`remit/1 ` (R25)",
        "`invalid-`",
        "`argument`",
        "` 1 a it `: one byte of detail, the detail, the message",
        "`is text` and its NUL",
    ]


def lines(content: bytes, notes: list[str]) -> str:
    """Words of eight bytes with their notes. The length of a join message is a line of its own."""
    short = len(content) % 8
    words = [content[:short]] if short else []
    words += [content[at : at + 8] for at in range(short, len(content), 8)]
    shown = [f"{word.hex(' '):23}  {note}".rstrip() for word, note in zip(words, notes, strict=True)]
    return "\n".join(shown)


def section() -> str:
    """The section of the page that contains the dumps."""
    parts = [
        (join, "A join (R14), with a secret of the bytes 0 to 31 and text in the place of the signing request:"),
        (call, "A call of the method `add` with the argument `a` = 1 (R38, R39), after the handshake of `remit/1`:"),
        (failed, "The answer to it, a failure (R25):"),
    ]
    shown = [f"{text}\n\n```text\n{lines(*make())}\n```\n" for make, text in parts]
    how = "Made by `examples/python/tests/dumps.py`; a test compares them. A word of eight bytes a line.\n"
    return "\n".join([HEADING, how, *shown])


if __name__ == "__main__":
    page = Path(__file__).resolve().parents[3] / "docs" / "protocol.md"
    if sys.argv[1:] == ["--write"]:
        page.write_text(page.read_text().partition(HEADING)[0].rstrip() + "\n\n" + section())
    else:
        print(section())
