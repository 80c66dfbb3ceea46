"""The gateway as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import select

from pentad_client import ClientConfig, Pentad
from pentad_common.db import Database
from pentad_common.ids import new_id
from pentad_common.keys import KeyStore
from pentad_common.models import LlmCall, Tenant
from tests.fixtures.llm_gateway import VARIABLES
from tests.fixtures.process_tree import children, ended, resident_bytes
from tests.fixtures.upstream import Hang, Upstream

_IDLE_MEGABYTES = 120


@asynccontextmanager
async def gateway(url: str, **variables: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A gateway's process and its address."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    env = clean | {"PENTAD_DATABASE_URL": url, "PENTAD_PORT": "0", "PENTAD_LOG_FORMAT": "json"} | variables
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pentad_llm_gateway", env=env, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            line = await process.stderr.readline()
        yield process, json.loads(line)["address"]
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def new_client(database: Database, address: str) -> Pentad:
    """A client with the key of a new tenant."""
    tenant = new_id()
    database.run_sync(lambda session: session.add(Tenant(id=tenant, name="test")), tenant=tenant)
    _, key = await KeyStore(database).create(tenant, name="test", role="admin")
    return Pentad(ClientConfig(api_key=key, llm_address=address))


async def test_killed_gateway_takes_the_model_along(llm_database: Database, sqlite_url: str) -> None:
    """However the gateway dies, the local model's process dies with it."""
    async with gateway(sqlite_url) as (process, address), await new_client(llm_database, address) as pentad:
        await pentad.llm.count_tokens("hi")
        (child,) = children(process.pid)
        process.kill()
        await ended(child)


async def test_idle_gateway_is_small(llm_database: Database, sqlite_url: str) -> None:
    """A gateway that has served a light call stays under 120 MB."""
    async with gateway(sqlite_url) as (process, address), await new_client(llm_database, address) as pentad:
        await pentad.llm.models()
        assert resident_bytes(process.pid) < _IDLE_MEGABYTES * 1_000_000


async def test_drain_accounts_for_open_calls(
    llm_database: Database, sqlite_url: str, upstream: Upstream
) -> None:
    """A gateway told to stop ends what cannot finish in time, closes it upstream, and keeps its account."""
    upstream.will(Hang(after=2))
    variables = {
        "PENTAD_LLM_COMPATIBLE_BASE_URL": f"{upstream.url}/v1",
        "PENTAD_LLM_COMPATIBLE_MODEL": "house-model",
        "PENTAD_DRAIN_SECONDS": "0.5",
    }
    async with (
        gateway(sqlite_url, **variables) as (process, address),
        await new_client(llm_database, address) as pentad,
    ):
        stream = pentad.llm.stream("hi")
        await anext(aiter(stream))
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        await asyncio.wait_for(upstream.requests[0].closed.wait(), 1)
    query = select(LlmCall.status, LlmCall.output_tokens)
    (kept,) = await llm_database.read(lambda session: session.execute(query).all(), tenant="any")
    assert kept.status == "CANCELLED" and kept.output_tokens > 0


async def test_mistakes_are_explained(sqlite_url: str) -> None:
    """A setting that cannot be is refused in one line that names it, and does not show a key."""
    env = os.environ | {
        "PENTAD_DATABASE_URL": sqlite_url,
        "OPENAI_API_KEY": "sk-canary-canary",
        "PENTAD_LLM_COMPATIBLE_BASE_URL": "vllm:8000",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pentad_llm_gateway", env=env, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().count("\n") == 1
    assert "PENTAD_LLM_COMPATIBLE_BASE_URL" in said.decode() and b"canary" not in said
