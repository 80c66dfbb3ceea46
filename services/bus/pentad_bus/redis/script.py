"""Calls of the tenants' script: one round trip, one atomic step in one hash slot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from pentad_common.errors import StartupError, Unavailable

PREFIX = "pentad:bus:"
TENANTS = f"{PREFIX}tenants"
TIMEOUT = 3.0
"""Seconds that Redis has for an answer."""
OUTAGES = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What says that Redis cannot be used at the moment."""

_FOLDER = Path(__file__).with_name("lua")
_FILES = (
    "keys",
    "chunks",
    "directory",
    "publishing",
    "deliveries",
    "settling",
    "processes",
    "operations",
)


class Script:
    """The files of `lua/` as one script, in one of two ways: as any other, or also when memory is short."""

    def __init__(self, head: str) -> None:
        texts = [(_FOLDER / f"{name}.lua").read_text() for name in _FILES]
        self.source = "\n".join([head, *texts])
        self.sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()


TAKING = Script("#!lua")
"""Redis refuses it as a whole when it has no memory left."""
SETTLING = Script("#!lua flags=allow-oom")
"""What is taken out must go on then, and whoever lives must be able to say so."""

Client = Redis | RedisCluster
Answer = dict[str, Any]
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Caller(Protocol):
    """Who speaks with Redis."""

    async def execute_command(self, *arguments: Any) -> Any:
        """The answer. Raises what is in OUTAGES."""


def tenant_prefix(tenant_id: str) -> str:
    """What all keys of a tenant begin with: its id is the hash tag, so that they are in one slot."""
    return f"{PREFIX}{{{tenant_id}}}:"


def open_client(url: str, *, cluster: bool) -> Client:
    """A client that fails within TIMEOUT. Raises StartupError for a wrong URL."""
    options: dict[str, Any] = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    try:
        if cluster:
            from redis.asyncio.retry import Retry
            from redis.backoff import ConstantBackoff

            return RedisCluster.from_url(url, **options, retry=Retry(ConstantBackoff(0.1), 1))
        return Redis.from_url(url, **options)
    except ValueError as error:
        raise StartupError(f"PENTAD_REDIS_URL is no URL of a Redis ({error}): redis://host:6379/0") from None


async def call(
    client: Caller,
    tenant_id: str,
    operation: str,
    ask: dict[str, Any],
    blobs: Sequence[bytes] = (),
    script: Script = SETTLING,
) -> Answer:
    """Runs an operation of the script: its answer, with the chunks in `bytes`. Raises what is in OUTAGES."""
    prefix = tenant_prefix(tenant_id)
    arguments: tuple[Any, ...] = (1, prefix, prefix, operation, _encode(ask), *blobs)
    try:
        found = await client.execute_command("EVALSHA", script.sha, *arguments)
    except NoScriptError:
        found = await client.execute_command("EVAL", script.source, *arguments)
    answer: Answer = json.loads(found[0])
    answer["bytes"] = found[1:]
    return answer


def unavailable() -> Unavailable:
    """What is said while Redis is away."""
    return Unavailable(
        "REDIS_UNAVAILABLE",
        "the bus cannot reach its Redis at the moment; what it confirmed is kept; try again",
        retry_after=0.5,
    )


def out_of_memory() -> Unavailable:
    """What is said while Redis has no memory left."""
    return Unavailable(
        "REDIS_OUT_OF_MEMORY",
        "the bus's Redis has reached its `maxmemory`; what is confirmed is kept; try again when agents have "
        "caught up or it has more",
        retry_after=1.0,
    )
