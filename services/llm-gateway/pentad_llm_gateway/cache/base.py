"""What keeps answers for those who ask the same again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """What a call may take from the cache and leave there. `ttl`: seconds; None is the gateway's default, and
    does not ask for a cache by itself."""

    bypass: bool = False
    no_store: bool = False
    ttl: float | None = None


USUAL = CachePolicy()
"""Of a call that says nothing of the cache."""


class Cache(Protocol):
    """Keeps bytes by key for a while. Losing them early is no error."""

    async def get(self, key: bytes) -> bytes | None:
        """What is kept under `key`; None if there is nothing, or no longer."""

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """Keeps `value` for `ttl` seconds."""


class NoCache:
    """Keeps nothing."""

    async def get(self, key: bytes) -> bytes | None:
        """See Cache."""
        return None

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """See Cache."""
