"""Identifiers: UUIDv7 (RFC 9562), so that they sort by the time they were made."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A new UUIDv7 as text, greater than every one this process made before."""
    global _last
    fresh = (time.time_ns() // 1_000_000) << 74 | int.from_bytes(os.urandom(10)) & ((1 << 74) - 1)
    with _lock:
        # Within a millisecond, or when the clock steps back, count up from the last one.
        _last = value = fresh if fresh >> 74 > _last >> 74 else _last + 1
    head, tail = value >> 62, value & ((1 << 62) - 1)
    head = (head >> 12) << 16 | 0x7000 | head & 0xFFF
    return str(UUID(int=head << 64 | 0b10 << 62 | tail))
