"""Answers kept in Redis, for all gateways."""

from __future__ import annotations

import time

from pentad_llm_gateway.redis_client import OUTAGES, PREFIX, RedisClient

_PAUSE_SECONDS = 1.0
"""After a failure nobody waits for the cache for so long."""


class RedisCache:
    """See Cache. Whatever Redis says, no call fails for it: when it is full, answers are not kept."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._again = 0.0

    async def get(self, key: bytes) -> bytes | None:
        """See Cache."""
        found = await self._execute("GET", PREFIX.encode() + key)
        return found if isinstance(found, bytes) else None

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """See Cache."""
        await self._execute("SET", PREFIX.encode() + key, value, "PX", max(1, round(ttl * 1000)))

    async def _execute(self, *command: str | bytes | int) -> object:
        if time.monotonic() < self._again:
            return None
        try:
            return await self._client.execute(*command)
        except OUTAGES as error:
            self._client.note(error)
            self._again = time.monotonic() + _PAUSE_SECONDS
            return None
