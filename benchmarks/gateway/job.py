"""What a client process is told to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """Calls of one kind, for `seconds` or up to `calls`, whichever is less."""

    protocol: str
    """`grpc` or `openai`."""
    address: str
    """`host:port`, or a base URL."""
    key: str
    model: str
    concurrency: int
    seconds: float
    calls: int
    tokens: int
    stream: bool = False
    cache: str = ""
    """How to ask for the cache, in the gateway's own words; "" asks something new each time."""

    def to_json(self) -> dict[str, Any]:
        """As a client process reads it."""
        return asdict(self)
