"""Identifiers that sort by time: UUIDv7 (RFC 9562, section 5.7)."""

import secrets
import uuid


def uuid7(unix_ms: int, random_bits: int | None = None) -> str:
    """A UUIDv7 for the given milliseconds since 1970; `random_bits` (74 of them) only for tests."""
    bits = secrets.randbits(74) if random_bits is None else random_bits
    high, low = (bits >> 62) & 0xFFF, bits & ((1 << 62) - 1)
    return str(uuid.UUID(int=(unix_ms & (1 << 48) - 1) << 80 | 7 << 76 | high << 64 | 2 << 62 | low))
