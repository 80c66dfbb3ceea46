"""What a client process is told to do, and what is in the messages it sends. Stands on the standard library
alone: clients run in other environments than the benchmark.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from typing import Any

PAYLOAD_BYTES = 256
HEADER = struct.Struct("<HIQ")
"""Number of the producer, of its message, and when that was sent, in nanoseconds of the monotonic clock."""
PADDING = b"x" * (PAYLOAD_BYTES - HEADER.size)
EVERYONE = -1
"""The target of a broadcast."""


@dataclass(frozen=True, slots=True)
class Job:
    """One process's part in a measurement."""

    system: str
    role: str
    """`produce` or `consume`."""
    address: str
    durable: bool
    broadcast: bool
    connections: int
    """How many producers or consumers this process is."""
    producers: int
    consumers: int
    """In all processes."""
    rate: int
    seconds: float
    most: int
    """Messages each producer sends at most."""
    key: str = ""
    """What the broker wants to see, if anything."""

    def to_json(self) -> dict[str, Any]:
        """For the process's standard input."""
        return asdict(self)


def sink(number: int) -> str:
    """The name of a consumer."""
    return f"sink{number}"
