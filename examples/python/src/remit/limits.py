"""The bounds of this package. Those of the protocol are in docs/limits.md."""

MESSAGE_WORDS = (16 << 20) // 8
"""The largest message in words of eight bytes (R22)."""

NESTING = 192
"""The deepest nesting of pointers in a message (R22)."""

PING_EVERY = 3.0
"""Seconds between two pings of the side that dialled (R21)."""

SILENCE = 9.0
"""Seconds without an answer to a ping after which a peer counts as dead (R21)."""

HANDSHAKE = 5.0
"""Seconds that TCP and TLS may take (R10)."""

JOIN = 10.0
"""Seconds that the exchange of a join may take (R15)."""

JOIN_MESSAGE_BYTES = 16 << 10
"""Bytes of a join message (R14)."""

RENEWAL = 10.0
"""Seconds that the answer to a renewal may take."""

SKEW = 60.0
"""Seconds before its signing from which a certificate is valid (R17)."""

HANDOVER = 5.0
"""Seconds for which a replaced connection still serves new calls (R18)."""

RECONNECT_FIRST = 0.1
"""The first wait before dialling again, in seconds (R23)."""

RECONNECT_MOST = 2.0
"""The longest such wait, in seconds (R23)."""

SETTLED = 0.5
"""Seconds that a connection must have lasted for the waits to start over (R23)."""

FAREWELL = 0.1
"""Seconds from the cancellation of a connection's calls to the report of its end, at most."""

TEXT_BYTES = 16 << 10
"""Bytes of the message of a failure, and of its detail (R28)."""

VALUE_DEPTH = 48
"""The deepest nesting of a value (R29)."""

VALUE_BYTES = 4 << 20
"""The size of the largest value, in bytes as `value.weight` counts them (R30)."""

VALUE_OBJECTS = 256
"""The most objects in one value (R30)."""

KEY_BYTES = 256
"""The longest idempotency key, in bytes (R39)."""

CANCEL_GRACE = 5.0
"""Seconds after which a cancelled method that still runs is logged: Python cannot end it (R45)."""

DRAIN = 10.0
"""Seconds that calls in flight may take to end when the node stops (R37)."""

PORT = 10.0
"""Seconds that the orchestrator may take to answer a registration, a report or output."""

REPORT_EVERY = 3.0
"""Seconds after which an unchanged load is reported again (R36)."""

REPORT_AT_MOST_EVERY = 0.2
"""The least time between two reports, in seconds (R36)."""

OUTPUT_BYTES = 16 << 10
"""Bytes of one piece of output (R50)."""

OUTPUT_QUEUE = 256
"""Pieces of output that wait to be sent; more are dropped (R50)."""

OUTPUT_IN_FLIGHT = 16
"""Pieces of output in flight at once (R50)."""

REMOTE = 60.0
"""Seconds that a tool waits for the answer of a lent object (R49)."""

CALL = 30.0
"""Seconds that the orchestrator may take to answer a client (R57)."""

LEDGER_RECORDS = 200_000
"""The most outcomes in the ledger (R55)."""

LEDGER_BYTES = 256 << 20
"""Bytes of outcomes in the ledger (R55)."""

LEDGER_AGE_MS = 7 * 86_400_000
"""Milliseconds for which the ledger keeps an outcome (R55)."""

LEDGER_MARGIN_MS = 60_000
"""Milliseconds added to the time of a removed record, up to which the ledger has forgotten (R55)."""

LEDGER_PRUNE = 64
"""The most records that one new record removes, so that no call pays for all the old ones."""

UNDONE_CALLS = 10_000
"""Keys kept of calls that were refused because the ledger could not be written. A person is asked about
further such calls."""

EVENTS_QUEUE = 256
"""Events that wait for their reader. While the queue is full, the orchestrator gets no answer."""
