"""Handlers of message types on a connection: what comes is given to a function by its type."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from pentad_client.delivery import Delivery
from pentad_client.envelope import enveloped
from pentad_client.errors import Code, PentadError, Unimplemented

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
        self._start(self._handle(delivery, handler))
        return True

    def refuse(self, delivery: Delivery, agent: str) -> None:
        """Gives up a request that there is no handler for, and tells the requester."""
        error = unknown_type(agent, delivery.message.type, self._by_type)
        log.warning("a request was refused: %s", error.message)
        self._start(self._refuse(delivery, error))

    @staticmethod
    async def _refuse(delivery: Delivery, error: PentadError) -> None:
        await delivery.refuse(error)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

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
                await self._conclude(delivery, value)
        except PentadError as error:
            log.warning("a message of type %r was not handled: %s", message.type, error.message)
            await delivery.fail(error)
        except Exception as error:
            log.exception("the handler of %r failed", message.type)
            text = f"{type(error).__name__}: {error}"[:1024]
            await delivery.fail(PentadError(Code.UNKNOWN, "HANDLER_FAILED", text))
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping

    async def _conclude(self, delivery: Delivery, value: Any) -> None:
        """What the handler returned is the answer, also if it has acked the delivery itself. What was lost
        with its connection comes again, and is answered then.
        """
        if not delivery.stale:
            await (delivery.ack() if value is None else delivery.reply(ANSWER, value))
        elif value is not None and delivery.settled_by == "ack":
            await self._answer_late(delivery, value)
        elif value is not None and delivery.settled_by:
            log.error(
                "the handler of %r returned a value that goes nowhere: it had settled the delivery with `%s` "
                "before; return None then",
                delivery.message.type,
                delivery.settled_by,
            )

    @staticmethod
    async def _answer_late(delivery: Delivery, value: Any) -> None:
        try:
            await delivery.answer(ANSWER, value)
        except PentadError as error:
            text = "the answer of the handler of %r, which had acked the delivery itself, was refused: %s"
            log.error(text, delivery.message.type, error.message)

    async def _keep(self, delivery: Delivery) -> None:
        """Tells the bus that it is being worked on."""
        while delivery.progress():  # noqa: ASYNC110 - it says so each time
            await asyncio.sleep(self._ack_wait() / 3)


def unknown_type(agent: str, type: str, handled: Iterable[str]) -> Unimplemented:
    """What a requester is told whose message is of a type that the agent has no handler for."""
    names = ", ".join(sorted(handled))
    return Unimplemented(
        "MESSAGE_TYPE_UNKNOWN",
        f"agent {agent!r} has no handler for messages of type {type!r}; "
        + (f"it has handlers for: {names}" if names else "it has no handlers for messages"),
        agent=agent,
        type=type,
        handled=names,
    )
