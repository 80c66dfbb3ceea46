"""Where limits are counted and answers are cached: in this process, or in a Redis that several share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pentad_llm_gateway.cache.base import Cache
from pentad_llm_gateway.cache.memory import MemoryCache
from pentad_llm_gateway.limits.counters import Counters
from pentad_llm_gateway.limits.memory import MemoryCounters
from pentad_llm_gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Backend:
    """What is shared by all calls."""

    counters: Counters
    cache: Cache


@asynccontextmanager
async def opened(settings: GatewaySettings, most_bytes: Callable[[], int]) -> AsyncIterator[Backend]:
    """The backend that the settings name. `most_bytes()`: of all answers in memory. Raises StartupError for
    a wrong URL."""
    if settings.llm_backend == "memory":
        yield Backend(MemoryCounters(), MemoryCache(most_bytes))
        return
    from pentad_llm_gateway.cache.redis import RedisCache  # 10 MB that only this backend needs
    from pentad_llm_gateway.limits.redis import RedisCounters
    from pentad_llm_gateway.redis_client import RedisClient

    client = RedisClient(settings.redis_url)
    try:
        yield Backend(RedisCounters(client, settings.llm_lease_seconds), RedisCache(client))
    finally:
        await client.close()
