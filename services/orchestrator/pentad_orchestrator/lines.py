"""Lines to the bus: one a tenant, as agent `pentad.orchestrator`, whose inbox all instances share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pentad.bus.v1 import bus_pb2
from pentad_client import Pentad
from pentad_client.bus import Connection, Delivery
from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_orchestrator.background import Background
from pentad_orchestrator.tasks import ORCHESTRATOR

log = get_logger(__name__)

Handler = Callable[[str, bus_pb2.Message], Awaitable[None]]

CREDIT = 256
_AGAIN_SECONDS = 0.5


class Line:
    """One tenant's connection. Deliveries are handled at once, and acknowledged when that is done."""

    def __init__(self, pentad: Pentad, tenant: str, handle: Handler, background: Background) -> None:
        self._pentad = pentad
        self._tenant = tenant
        self._handle = handle
        self._background = background
        self._connection: Connection | None = None
        self._connected = asyncio.Event()

    async def run(self) -> None:
        """Connects and takes what comes, for ever."""
        while True:
            try:
                await self._serve()
            except PentadError as error:
                log.warning("the line to the bus was lost", reason=error.reason, error=str(error))
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _serve(self) -> None:
        connection = await self._pentad.bus.connect(
            agent=ORCHESTRATOR, credit=CREDIT, take_inbox=True, keep_trying=True
        )
        self._connection = connection
        self._connected.set()
        try:
            async for delivery in connection:
                self._background.spawn(self._take(delivery), self._tenant)
        finally:
            self._connected.clear()
            await connection.close()

    async def _take(self, delivery: Delivery) -> None:
        try:
            await self._handle(self._tenant, delivery.message)
        except Exception as error:
            # Left to the bus, which delivers it again after a while, and in the end to the dead letters.
            log.exception("a message could not be handled", message_id=delivery.message.id)
            await delivery.nack(reason=type(error).__name__)
            return
        await delivery.ack()

    async def publish(self, message: bus_pb2.Message) -> None:
        """Publishes a message; returns when the bus has it. Raises PentadError if the bus refuses it."""
        await self._connected.wait()
        assert self._connection is not None
        await self._connection.publish(message)


class Lines:
    """The lines of all tenants, each opened when first needed."""

    def __init__(self, pentad: Pentad, background: Background, handle: Handler) -> None:
        self._pentad = pentad
        self._background = background
        self._handle = handle
        self._open: dict[str, tuple[Line, asyncio.Task[None]]] = {}

    def of(self, tenant: str) -> Line:
        """The tenant's line."""
        if tenant not in self._open:
            line = Line(self._pentad, tenant, self._handle, self._background)
            self._open[tenant] = line, self._background.spawn(line.run(), tenant)
        return self._open[tenant][0]

    def tenants(self) -> set[str]:
        """Tenants with an open line."""
        return set(self._open)

    def close(self, tenant: str) -> None:
        """Ends the tenant's line."""
        opened = self._open.pop(tenant, None)
        if opened is not None:
            opened[1].cancel()
