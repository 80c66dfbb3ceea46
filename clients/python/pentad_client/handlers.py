"""Handlers of message types on a connection: what comes is given to a function by its type."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pentad_client.delivery import Delivery
from pentad_client.envelope import enveloped
from pentad_client.errors import PentadError

log = logging.getLogger(__name__)

ANY = "*"
ANSWER = "response"

Handler = Callable[[Delivery], Awaitable[Any]]
H = TypeVar("H", bound=Handler)


class Handlers:
    """By type. Deliveries are handled at the same time, as many as the connection has credit for."""

    def __init__(self, ack_wait: Callable[[], float]) -> None:
        self._by_type: dict[str, Handler] = {}
        self._ack_wait = ack_wait
        self._at_work: set[asyncio.Task[None]] = set()

    def add(self, type: str, handler: Handler) -> None:
        """Raises ValueError if the type has one."""
        if type in self._by_type:
            raise ValueError(f"there is a handler of {type!r} already")
        self._by_type[type] = handler

    def __bool__(self) -> bool:
        return bool(self._by_type)

    def take(self, delivery: Delivery) -> bool:
        """Handles a delivery, if there is a handler for it."""
        handler = self._by_type.get(delivery.message.type) or self._by_type.get(ANY)
        if handler is None:
            return False
        task = asyncio.create_task(self._handle(delivery, handler))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        return True

    def cancel(self) -> None:
        """Stops what is at work: the connection is over, and its deliveries go to others."""
        for task in self._at_work:
            task.cancel()

    async def _handle(self, delivery: Delivery, handler: Handler) -> None:
        message = delivery.message
        keeping = asyncio.create_task(self._keep(delivery))
        try:
            with enveloped(run_id=message.run_id or None, hops=message.hops + 1):
                value = await handler(delivery)
            if delivery.stale:
                return
            if value is None:
                await delivery.ack()
            else:
                await delivery.reply(ANSWER, value)
        except PentadError as error:
            log.warning("a message of type %r was not handled: %s", message.type, error.message)
            await delivery.nack(reason=error.message)
        except Exception as error:
            log.exception("the handler of %r failed", message.type)
            await delivery.nack(reason=f"{type(error).__name__}: {error}"[:1024])
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping

    async def _keep(self, delivery: Delivery) -> None:
        """Tells the bus that it is being worked on."""
        while delivery.progress():  # noqa: ASYNC110 - it says so each time
            await asyncio.sleep(self._ack_wait() / 3)
