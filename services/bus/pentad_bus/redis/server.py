"""The Redis that a bus is told to use."""

from __future__ import annotations

from typing import Any

from pentad_bus.redis.script import OUTAGES, Client, open_client
from pentad_common.errors import StartupError

_OLDEST_VERSION = 7


async def open_server(url: str) -> tuple[Client, int]:
    """A client for it, or for the cluster that it belongs to; and for how many seconds it has been up. Raises
    StartupError.
    """
    client = open_client(url, cluster=False)
    try:
        server: Any = await client.info("server")
        cluster: Any = await client.info("cluster")
    except OUTAGES as error:
        await client.aclose()
        raise StartupError(
            f"Redis does not answer at {_hidden(url)} ({error}): check PENTAD_REDIS_URL"
        ) from None
    version = str(server.get("valkey_version") or server["redis_version"])
    if int(version.split(".")[0]) < _OLDEST_VERSION:
        await client.aclose()
        raise StartupError(f"Redis at {_hidden(url)} is {version}: the bus needs 7 or later, or Valkey")
    uptime = int(server.get("uptime_in_seconds", 0))
    if not cluster.get("cluster_enabled"):
        return client, uptime
    await client.aclose()
    return open_client(url, cluster=True), uptime


def _hidden(url: str) -> str:
    """The URL without a password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
