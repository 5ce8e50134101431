"""The contract's named limits. A message beyond one of them is refused with a code, never cut short."""

PROTOCOL_VERSION = 1

MAX_PAYLOAD_BYTES = 64 * 1024
"""Largest MQTT payload in either direction."""

MAX_ROWS = 1_000
"""Most meters, readings, commands, results or receipts in one message."""

MAX_DETAIL_CHARS = 500
"""Longest explanation in a receipt. The one text of our own on the wire, so it is cut, not refused."""

MAX_INTEGER = 2**53 - 1
"""Largest integer on the wire: the largest that every JSON reader holds exactly (RFC 8259, section 6).

In micros that is Rs 9,007,199,254; in Wh nine million GWh; in seconds far beyond any calendar.
"""

MAX_POLICIES = 4
"""Most policy documents in one message: all meters of a region have the same one, or the one before it."""

MAX_PROTECTED = 600
"""Most protected windows in one policy document. At the longest times 600 take 22 KiB."""

FUTURE_TOLERANCE_S = 300
"""How far ahead of a meter's clock an order may be dated before the meter refuses it."""

HEX_256_PATTERN = r"^[0-9a-f]{64}$"
"""A signature, a digest or a key: 256 bits in lower-case hexadecimal."""

ID_PATTERN = r"^[A-Za-z0-9-]{1,32}$"
"""Regions, gateways, meters and keys. No character that MQTT gives a meaning to (`+`, `#`, `/`, `$`) is in it."""
