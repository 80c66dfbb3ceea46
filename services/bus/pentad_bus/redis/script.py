"""Calls of the tenants' script: one round trip, one atomic step in one hash slot."""

from __future__ import annotations

import json
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from pentad_common.errors import StartupError, Unavailable

PREFIX = "pentad:bus:"
TENANTS = f"{PREFIX}tenants"
OUTAGES = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What says that Redis cannot be used at the moment."""

_SOURCE = Path(__file__).with_name("tenant.lua").read_text()
_SHA = sha1(_SOURCE.encode(), usedforsecurity=False).hexdigest()

Client = Redis | RedisCluster


def tenant_prefix(tenant_id: str) -> str:
    """What all keys of a tenant begin with: its id is the hash tag, so that they are in one slot."""
    return f"{PREFIX}{{{tenant_id}}}:"


def open_client(url: str, *, cluster: bool, timeout: float) -> Client:
    """A client that fails within `timeout` seconds. Raises StartupError for a wrong URL."""
    options: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    try:
        if cluster:
            from redis.asyncio.retry import Retry
            from redis.backoff import ConstantBackoff

            return RedisCluster.from_url(url, **options, retry=Retry(ConstantBackoff(0.1), 1))
        return Redis.from_url(url, **options)
    except ValueError as error:
        raise StartupError(f"PENTAD_REDIS_URL is no URL of a Redis ({error}): redis://host:6379/0") from None


async def call(client: Client, tenant_id: str, operation: str, ask: dict[str, Any], blob: bytes = b"") -> Any:
    """Runs an operation of `tenant.lua`: its answer, with the bytes in `bytes`. Raises what is in OUTAGES."""
    prefix = tenant_prefix(tenant_id)
    arguments = (1, prefix, prefix, operation, json.dumps(ask, separators=(",", ":")), blob)
    try:
        found = await client.execute_command("EVALSHA", _SHA, *arguments)
    except NoScriptError:
        found = await client.execute_command("EVAL", _SOURCE, *arguments)
    answer = json.loads(found[0])
    answer["bytes"] = found[1]
    return answer


def unavailable() -> Unavailable:
    """What is said while Redis is away."""
    return Unavailable(
        "REDIS_UNAVAILABLE",
        "the bus cannot reach its Redis at the moment; what it confirmed is kept; try again",
        retry_after=0.5,
    )
