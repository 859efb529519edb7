"""Every bound of this package, each with its reason. The protocol's own are in docs/limits.md."""

MESSAGE_WORDS = (16 << 20) // 8
"""The largest message in words of eight bytes (R22)."""

NESTING = 192
"""How deep pointers in a message may nest (R22)."""

PING_EVERY = 3.0
"""Seconds between two pings of the side that dialled (R21)."""

SILENCE = 9.0
"""Seconds after which a peer that does not answer a ping is dead (R21)."""

HANDSHAKE = 5.0
"""Seconds that TCP and TLS may take (R10)."""

JOIN = 10.0
"""Seconds that the exchange of a join may take (R15)."""

JOIN_MESSAGE_BYTES = 16 << 10
"""Bytes of a join message (R14)."""

RENEWAL = 10.0
"""Seconds that the answer to a renewal may take."""

SKEW = 60.0
"""Seconds before its signing from which on a certificate is good (R17)."""

HANDOVER = 5.0
"""Seconds for which a replaced connection still serves new calls (R18)."""

RECONNECT_FIRST = 0.1
"""Seconds of the first wait before dialling again (R23)."""

RECONNECT_MOST = 2.0
"""Seconds of the longest such wait (R23)."""

SETTLED = 0.5
"""Seconds that a connection must have lasted for the waits to begin anew (R23)."""

FAREWELL = 0.1
"""Seconds that the end of a connection may take to be told after its calls were cancelled."""

TEXT_BYTES = 16 << 10
"""Bytes of the message of a failure, and of its detail (R28)."""

VALUE_DEPTH = 48
"""How deep a value may nest (R29)."""

VALUE_BYTES = 4 << 20
"""Weight of the largest value (R30)."""

VALUE_OBJECTS = 256
"""Objects in one value (R30)."""

KEY_BYTES = 256
"""Bytes of an idempotency key (R39)."""

CANCEL_GRACE = 5.0
"""Seconds that a cancelled method may take before that is logged: Python cannot end it (R45)."""

DRAIN = 10.0
"""Seconds that calls in flight may take to end when the node stops (R37)."""

PORT = 10.0
"""Seconds that the orchestrator may take to answer a registration, a report or output."""

REPORT_EVERY = 3.0
"""Seconds after which the load is reported although it did not change (R36)."""

REPORT_AT_MOST_EVERY = 0.2
"""The least seconds between two reports (R36)."""

OUTPUT_BYTES = 16 << 10
"""Bytes of one piece of output (R50)."""

OUTPUT_QUEUE = 256
"""Pieces of output that wait to be sent; more are dropped (R50)."""

OUTPUT_IN_FLIGHT = 16
"""Pieces of output on their way at once (R50)."""

REMOTE = 60.0
"""Seconds that a tool waits for the answer of an object that was lent to it (R49)."""

CALL = 30.0
"""Seconds that the orchestrator may take to answer a client (R57)."""

LEDGER_RECORDS = 200_000
"""Outcomes in the ledger (R55)."""

LEDGER_BYTES = 256 << 20
"""Bytes of outcomes in the ledger (R55)."""

LEDGER_AGE_MS = 7 * 86_400_000
"""Milliseconds for which the ledger keeps an outcome (R55)."""

LEDGER_MARGIN_MS = 60_000
"""What is forgotten counts as sent so much later than it was entered (R55)."""

LEDGER_PRUNE = 64
"""Records that one new record may push out, so that no call pays for all the old ones."""

UNDONE_CALLS = 10_000
"""Calls that were refused because the ledger could not be written, known by key; a person is asked
about what is beyond them."""

EVENTS_QUEUE = 256
"""Followed events that wait for their reader; above it the orchestrator is not answered."""
