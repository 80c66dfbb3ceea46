"""Calls of the functions in `lua/`: one round trip, one atomic step in one hash slot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError, ResponseError

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


def _library() -> tuple[str, str]:
    """The name of the library, which says what is in it, and its source.

    Functions, not a script: measured, a script makes all its closures anew in each call, 30 µs.
    """
    body = "\n".join([(_FOLDER / f"{name}.lua").read_text() for name in _FILES])
    name = f"pentad_{sha1(body.encode(), usedforsecurity=False).hexdigest()[:12]}"
    return name, f"#!lua name={name}\nlocal LIBRARY = '{name}'\n{body}"


_NAME, _SOURCE = _library()
TAKING = f"{_NAME}_take"
"""Redis refuses it as a whole when it has no memory left."""
SETTLING = f"{_NAME}_settle"
"""What is taken out must go on then, and whoever lives must be able to say so."""


class _Cluster(RedisCluster):
    async def _determine_slot(self, command: str, *args: Any) -> int:
        if command == "FCALL":  # it would ask a node, each time
            return self.keyslot(args[2])
        return await super()._determine_slot(command, *args)


Client = Redis | RedisCluster
Answer = dict[str, Any]
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Caller(Protocol):
    """Who speaks with Redis."""

    async def execute_command(self, *arguments: Any) -> Any:
        """The answer. Raises what is in OUTAGES."""

    def function_load(self, code: str, replace: bool | None = False) -> Any:
        """Loads a library, on every node."""


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

            return _Cluster.from_url(url, **options, retry=Retry(ConstantBackoff(0.1), 1))
        return Redis.from_url(url, **options)
    except ValueError as error:
        raise StartupError(f"PENTAD_REDIS_URL is no URL of a Redis ({error}): redis://host:6379/0") from None


async def call(
    client: Caller,
    tenant_id: str,
    operation: str,
    ask: dict[str, Any],
    blobs: Sequence[bytes] = (),
    function: str = SETTLING,
) -> Answer:
    """Runs an operation: its answer, with the chunks in `bytes`. Raises what is in OUTAGES."""
    prefix = tenant_prefix(tenant_id)
    arguments: tuple[Any, ...] = (1, prefix, prefix, operation, _encode(ask), *blobs)
    try:
        found = await client.execute_command("FCALL", function, *arguments)
    except ResponseError as error:
        if "Function not found" not in str(error):
            raise
        await client.function_load(_SOURCE, replace=True)
        found = await client.execute_command("FCALL", function, *arguments)
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
