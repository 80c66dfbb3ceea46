"""Where limits are counted and answers are cached: in this process, or in a Redis that several share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pentad_llm_gateway.limits.counters import Counters
from pentad_llm_gateway.limits.memory import MemoryCounters
from pentad_llm_gateway.limits.redis import RedisCounters
from pentad_llm_gateway.redis_client import RedisClient
from pentad_llm_gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Backend:
    """What is shared by all calls."""

    counters: Counters


@asynccontextmanager
async def opened(settings: GatewaySettings) -> AsyncIterator[Backend]:
    """The backend that the settings name. Raises StartupError for a wrong URL."""
    if settings.llm_backend == "memory":
        yield Backend(MemoryCounters())
        return
    client = RedisClient(settings.redis_url)
    try:
        yield Backend(RedisCounters(client))
    finally:
        await client.close()
