"""A connection to Redis of one's own: for who asks one thing after the other, thousands of times a second."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import Connection, Redis
from redis.exceptions import RedisError, ResponseError

from pentad_bus.redis.script import TIMEOUT, Client

_SMALL = 16 * 1024
"""Bytes of what is copied into one piece: of what is larger, redis-py's own packing copies nothing."""


class Wire:
    """As the client, without its pool: measured, that is half of what a call costs. Nothing is sent twice.

    A call that fails closes the connection; the next one opens another.
    """

    def __init__(self, client: Redis) -> None:
        pool = client.connection_pool
        options = {**pool.connection_kwargs, "socket_timeout": None}
        self._connection = cast(Connection, pool.connection_class(**options))

    async def execute_command(self, *arguments: Any) -> Any:
        """The answer. Raises what is in OUTAGES."""
        connection = self._connection
        async with asyncio.timeout(TIMEOUT):
            try:
                await self._open(connection)
                await connection.send_packed_command(_packed(connection, arguments))
                return await connection.read_response(disable_decoding=True)
            except ResponseError:
                raise
            except BaseException:
                await connection.disconnect(nowait=True)
                raise

    async def function_load(self, code: str, replace: bool | None = False) -> Any:
        """Loads a library."""
        return await self.execute_command("FUNCTION", "LOAD", *(["REPLACE"] if replace else []), code)

    async def _open(self, connection: Connection) -> None:
        await connection.connect()  # type: ignore[no-untyped-call]
        try:
            stale = await connection.can_read()
        except RedisError:
            stale = True
        if stale:  # Redis has closed it
            await connection.disconnect(nowait=True)
            await connection.connect()  # type: ignore[no-untyped-call]

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._connection.disconnect()


def _packed(connection: Connection, arguments: tuple[Any, ...]) -> Any:
    if sum([len(argument) for argument in arguments if isinstance(argument, bytes | str)]) < _SMALL:
        return pack_command(arguments)
    return connection.pack_command(*arguments)


def open_wire(client: Client) -> Client | Wire:
    """A wire, or the client itself if it is a cluster's, which knows where to ask."""
    return Wire(client) if isinstance(client, Redis) else client
