"""Gateways as processes of their own, with limits and a cache on one Redis."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from pentad.llm.v1 import llm_pb2
from pentad_client import ClientConfig, Pentad, PentadError
from pentad_common.db import Database
from pentad_common.ids import new_id
from pentad_common.keys import KeyStore
from pentad_common.models import Tenant
from tests.fixtures.upstream import Answer, Hang, Upstream
from tests.integration.test_llm_process import gateway

MODEL = "openai-compatible/house-model"
COST = 11 + 7 * 100
PROMPT, ANSWER = "prompt-canary-77", "answer-canary-77"


@pytest.fixture
def variables(upstream: Upstream, redis_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of gateways in front of `upstream`: two calls at once, a cent a day, a cache."""
    path = tmp_path / "catalog.yaml"
    price = {"price": {"input": 1, "output": 100}, "context_window": 500}
    rules = [
        {"name": "money", "scope": "tenant", "budget": {"usd": 0.01, "window": "1d"}},
        {"name": "places", "scope": "key", "subject": "nobody", "concurrent_calls": 1},
    ]
    providers = {"openai-compatible": {"models": {"house-model": price}}}
    path.write_text(yaml.safe_dump({"version": 1, "limits": rules, "providers": providers}))
    return {
        "PENTAD_LLM_COMPATIBLE_BASE_URL": f"{upstream.url}/v1",
        "PENTAD_LLM_CATALOG": str(path),
        "PENTAD_LLM_BACKEND": "redis",
        "PENTAD_REDIS_URL": redis_url,
        "PENTAD_LLM_LEASE_SECONDS": "1",
    }


async def admin_key(database: Database) -> str:
    """A key of a new tenant."""
    tenant = new_id()
    database.run_sync(lambda session: session.add(Tenant(id=tenant, name="test")), tenant=tenant)
    return (await KeyStore(database).create(tenant, name="test", role="admin"))[1]


async def ask(pentad: Pentad, prompt: str = "hi", tokens: int = 10) -> str:
    """OK, or the reason why not."""
    try:
        await pentad.llm.invoke(prompt, model=MODEL, max_output_tokens=tokens)
    except PentadError as error:
        return error.reason
    return "OK"


async def test_race_of_processes(
    llm_database: Database, sqlite_url: str, upstream: Upstream, variables: dict[str, str]
) -> None:
    """A hundred calls at once to two processes cannot overspend one budget; both tell the same of it."""
    key = await admin_key(llm_database)
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            _, address = await stack.enter_async_context(gateway(sqlite_url, **variables))
            pentad = Pentad(ClientConfig(api_key=key, llm_address=address))
            clients.append(await stack.enter_async_context(pentad))
        upstream.will(*[Answer(pause=0.05)] * 100)
        said = await asyncio.gather(*(ask(clients[i % 2]) for i in range(100)))
        made = said.count("OK")
        assert set(said) == {"OK", "BUDGET_EXCEEDED"} and 6 <= made <= 14
        for pentad in clients:
            (limit,) = (await pentad.llm.usage()).limits
            assert (limit.name, limit.limit, limit.used) == ("money", 10_000, made * COST)


async def test_killed_gateway_holds_nothing(
    llm_database: Database, sqlite_url: str, upstream: Upstream, variables: dict[str, str]
) -> None:
    """What a gateway had reserved that was killed is free again after its lease, for the others."""
    key = await admin_key(llm_database)
    async with (
        gateway(sqlite_url, **variables) as (doomed, first),
        gateway(sqlite_url, **variables) as (_, second),
        Pentad(ClientConfig(api_key=key, llm_address=first)) as left,
        Pentad(ClientConfig(api_key=key, llm_address=second)) as pentad,
    ):
        upstream.will(Hang())
        waiting = asyncio.create_task(ask(left, tokens=95))
        await upstream.requested()
        await asyncio.sleep(1.5)
        assert await ask(pentad, tokens=95) == "BUDGET_EXCEEDED", (
            "the lease is renewed while the call goes on"
        )
        doomed.kill()
        await doomed.wait()
        async with asyncio.timeout(10):
            while await ask(pentad, tokens=95) != "OK":  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(0.2)
        assert await waiting != "OK"


async def test_canaries(
    llm_database: Database, sqlite_url: str, upstream: Upstream, variables: dict[str, str], redis_url: str
) -> None:
    """What is said, and keys, are in no key of Redis and in no log; of what is kept there only answers that
    the cache was asked to keep."""
    key = await admin_key(llm_database)
    variables |= {"PENTAD_LOG_LEVEL": "debug", "PENTAD_LLM_COMPATIBLE_API_KEY": "key-canary-77"}
    upstream.will(*[Answer(ANSWER)] * 2)
    keep = llm_pb2.CachePolicy()
    keep.ttl.FromSeconds(60)
    async with (
        gateway(sqlite_url, **variables) as (process, address),
        Pentad(ClientConfig(api_key=key, llm_address=address)) as pentad,
    ):
        await pentad.llm.invoke(PROMPT, model=MODEL, max_output_tokens=10)
        with redis.Redis.from_url(redis_url) as client:
            assert ANSWER.encode() not in dump(client)
        for _ in range(2):
            await pentad.llm.invoke(PROMPT, model=MODEL, max_output_tokens=10, cache=keep)
        await ask(pentad, PROMPT, tokens=1000)
        with redis.Redis.from_url(redis_url) as client:
            kept = dump(client)
        process.terminate()
        assert process.stderr is not None
        log = await process.stderr.read()
    assert ANSWER.encode() in kept
    for canary in (PROMPT, "key-canary-77", key, key[-20:]):
        assert canary.encode() not in kept
    assert b'"status": "BUDGET_EXCEEDED"' in log and b'"cached": true' in log
    for canary in (PROMPT, ANSWER, "key-canary-77", key, key[-20:]):
        assert canary.encode() not in log


def dump(client: redis.Redis) -> bytes:
    """All that there is in a Redis."""
    found: list[Any] = []
    for key in client.scan_iter():
        kind = client.type(key)
        found.append(key)
        match kind:
            case b"string":
                found.append(client.get(key) or b"")
            case b"hash":
                found += [part for pair in client.hgetall(key).items() for part in pair]
            case b"zset":
                found += client.zrange(key, 0, -1)
    return b"\n".join(found)
