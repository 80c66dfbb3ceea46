"""The Redis that several gateways share: opened when it is first needed, found again when it was away."""

from __future__ import annotations

import asyncio
import time
from hashlib import sha1
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from pentad_common.errors import StartupError
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

PREFIX = "pentad:llm:"
OUTAGES = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What says that Redis cannot be used at the moment."""

_OPTIONS: dict[str, Any] = {
    "socket_timeout": 1.0,
    "socket_connect_timeout": 1.0,
    "retry": Retry(ConstantBackoff(0.05), 1),
}
_LOG_SECONDS = 10.0


def tenant_prefix(tenant: str) -> str:
    """What all keys of a tenant begin with: its id is the hash tag, so that they are in one slot."""
    return f"{PREFIX}{{{tenant}}}:"


class RedisClient:
    """A Redis or a cluster, whichever is at the URL. Its calls raise what is in OUTAGES, within a second or
    two."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Redis | RedisCluster | None = None
        self._opening = asyncio.Lock()
        self._noted = float("-inf")
        self._single = self._open_single()

    def _open_single(self) -> Redis:
        try:
            return Redis.from_url(self._url, **_OPTIONS)
        except ValueError as error:
            raise StartupError(
                f"PENTAD_REDIS_URL is no URL of a Redis ({error}): redis://host:6379/0"
            ) from None

    async def execute(self, *command: Any) -> Any:
        """The answer to a command."""
        client = self._client or await self._find()
        return await client.execute_command(*command)

    async def run(self, script: Script, key: str, *arguments: Any) -> Any:
        """The answer of a script to one key and these arguments."""
        try:
            return await self.execute("EVALSHA", script.sha, 1, key, *arguments)
        except NoScriptError:
            return await self.execute("EVAL", script.source, 1, key, *arguments)

    def note(self, error: BaseException) -> None:
        """Logs an outage, now and then."""
        if time.monotonic() - self._noted >= _LOG_SECONDS:
            self._noted = time.monotonic()
            log.error("Redis cannot be used", error=f"{type(error).__name__}: {error}"[:300])

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._single.aclose()
        if self._client is not None and self._client is not self._single:
            await self._client.aclose()

    async def _find(self) -> Redis | RedisCluster:
        async with self._opening:
            if self._client is None:
                about: Any = await self._single.info("cluster")
                self._client = self._open_cluster() if about.get("cluster_enabled") else self._single
        return self._client

    def _open_cluster(self) -> RedisCluster:
        return RedisCluster.from_url(self._url, **_OPTIONS)


class Script:
    """A Lua script, sent once and then named by its digest."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = sha1(source.encode(), usedforsecurity=False).hexdigest()
