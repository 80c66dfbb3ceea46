"""What every backend of the answers' cache does: memory, and a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pentad_llm_gateway.cache.base import Cache
from pentad_llm_gateway.cache.memory import MemoryCache
from pentad_llm_gateway.cache.redis import RedisCache
from pentad_llm_gateway.redis_client import RedisClient
from tests.fixtures.valkey import RedisProcess


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    """A cache with nothing in it; the test runs once on each backend."""
    if request.param == "memory":
        yield MemoryCache(lambda: 1_000_000)
        return
    client = RedisClient(request.getfixturevalue("redis_url"))
    yield RedisCache(client)
    await client.close()


async def test_kept(cache: Cache) -> None:
    """What is put under a key is there, byte by byte, until something else is."""
    assert await cache.get(b"{t}:a") is None
    await cache.put(b"{t}:a", b"\0\xff", 60)
    await cache.put(b"{t}:b", b"b", 60)
    assert await cache.get(b"{t}:a") == b"\0\xff"
    await cache.put(b"{t}:a", b"other", 60)
    assert (await cache.get(b"{t}:a"), await cache.get(b"{t}:b")) == (b"other", b"b")
    assert await cache.get(b"{u}:a") is None


async def test_time_to_live(cache: Cache) -> None:
    """An answer is gone when its time is over."""
    await cache.put(b"{t}:a", b"a", 0.05)
    await cache.put(b"{t}:b", b"b", 60)
    await asyncio.sleep(0.1)
    assert (await cache.get(b"{t}:a"), await cache.get(b"{t}:b")) == (None, b"b")


async def test_redis_away(redis_process: RedisProcess) -> None:
    """Without Redis nothing is kept and nothing fails; it comes back by itself."""
    client = RedisClient(redis_process.url)
    cache = RedisCache(client)
    await cache.put(b"{t}:a", b"a", 60)
    redis_process.kill()
    assert await cache.get(b"{t}:a") is None
    await cache.put(b"{t}:b", b"b", 60)
    redis_process.start()
    async with asyncio.timeout(10):
        while await cache.get(b"{t}:a") != b"a":  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)
    await client.close()


async def test_redis_full(redis_process: RedisProcess) -> None:
    """A Redis that is full keeps no more, and nothing fails."""
    client = RedisClient(redis_process.url)
    cache = RedisCache(client)
    await cache.put(b"{t}:a", b"a", 60)
    await client.execute("CONFIG", "SET", "maxmemory", "1")
    await cache.put(b"{t}:b", b"b", 60)
    await client.execute("CONFIG", "SET", "maxmemory", "0")
    await asyncio.sleep(1.1)
    assert (await cache.get(b"{t}:a"), await cache.get(b"{t}:b")) == (b"a", None)
    await client.close()


async def test_cluster(redis_cluster: str) -> None:
    """In a cluster each tenant's answers are in one slot."""
    client = RedisClient(redis_cluster)
    cache = RedisCache(client)
    for tenant in (b"t", b"u", b"v"):
        await cache.put(b"{%s}:a" % tenant, tenant, 60)
        assert await cache.get(b"{%s}:a" % tenant) == tenant
    await client.close()
