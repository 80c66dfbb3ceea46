"""A message that was delivered, and what can be said about it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from pentad.bus.v1 import bus_pb2
from pentad_client.errors import PentadError, to_proto
from pentad_client.message import MessageType, answer_to

if TYPE_CHECKING:
    from pentad_client.link import Link

log = logging.getLogger(__name__)


class Delivery:
    """Open until it is acked, given back or replied to, or until its connection or its ack_wait ends."""

    __slots__ = ("_body", "_message", "_settled_by", "attempt", "link", "subscription", "tag")
    _settled_by: str  # set when it is settled: most are made and settled many a second

    def __init__(self, link: Link, tag: int, attempt: int, body: bytes, subscription: str) -> None:
        self._body = body
        self._message: bus_pb2.Message | None = None
        self.link = link
        self.tag = tag
        self.attempt = attempt
        """1 for the first."""
        self.subscription = subscription
        """The topic pattern that matched; empty for what came by name or broadcast."""

    @property
    def message(self) -> bus_pb2.Message:
        """What was delivered."""
        if self._message is None:
            self._message = bus_pb2.Message.FromString(self._body)
        return self._message

    def __repr__(self) -> str:
        return f"<Delivery {self.message.id} of type {self.message.type!r} from {self.message.sender!r}>"

    @property
    def stale(self) -> bool:
        """Whether it is no longer this client's: it was settled, or the connection it came on was lost."""
        return not self.link.is_open(self.tag)

    @property
    def settled_by(self) -> str:
        """What settled it here: `ack`, `nack` or `reply`. Empty while it is open, and if it was lost."""
        return getattr(self, "_settled_by", "")

    @property
    def is_last(self) -> bool:
        """Whether it becomes a dead letter if it is given back."""
        return 0 < self.link.welcome.max_attempts <= self.attempt

    async def ack(self) -> bool:
        """It is done. False if it was stale: then the message comes, or came, again."""
        done = self.link.ack(self.tag)
        if done:
            self._settled_by = "ack"
        return done

    async def nack(self, delay: float | None = None, reason: str = "", *, terminal: bool = False) -> bool:
        """Gives it back, to come again after `delay` seconds (None: the bus's own backoff). False if it was
        stale.

        `terminal`: not again, but straight to the dead letters.
        """
        done = self.link.nack(self.tag, delay, reason, terminal)
        if done:
            self._settled_by = "nack"
        return done

    def progress(self) -> bool:
        """It is still being worked on: its ack_wait starts anew. False if it was stale."""
        return self.link.progress(self.tag)

    def reply(self, type: str, content: Any = None, **fields: Any) -> Awaitable[None]:
        """Answers, and acks in the same atomic step. Await it; `fields` as in `new_message`.

        Raises PentadError if the answer was refused: FailedPrecondition DELIVERY_EXPIRED or DELIVERY_UNKNOWN
        if the delivery was stale and nothing was sent; after any other the delivery is still open.
        """
        return self.settle_with(answer_to(self.message, type, content, **fields))

    def settle_with(self, message: bus_pb2.Message) -> Awaitable[None]:
        """Publishes any message, and acks in the same atomic step. Raises as `reply`."""
        self._settled_by = "reply"  # asked for only once it is not open any more
        return self.link.connection.publish(message, settles=self)

    def answer(self, type: str, content: Any = None, **fields: Any) -> Awaitable[None]:
        """Answers, and leaves the delivery as it is: open, or settled before. Await it.

        Raises PentadError if the answer was refused.
        """
        return self.link.connection.publish(answer_to(self.message, type, content, **fields))

    async def tell(self, error: PentadError) -> None:
        """Tells who waits for an answer that none will come: their `request` raises `error`. Settles nothing.

        Who sent the message to several, or named no `reply_to`, is told nothing: others may answer, or nobody
        waits.
        """
        if not (self.message.reply_to and self.message.recipient):
            return
        try:
            await self.answer(MessageType.ERROR, to_proto(error))
        except PentadError as refusal:
            log.info("the requester of %s could not be told: %s", self.message.id, refusal.message)

    async def refuse(self, error: PentadError) -> bool:
        """Gives it up for good: to the dead letters, with what `error` says; a requester is told at once.

        False if it was stale.
        """
        await self.tell(error)
        return await self.nack(reason=error.message, terminal=True)

    async def fail(self, error: PentadError) -> bool:
        """Gives it back to be tried again; when this was the last attempt, a requester is told. False if it
        was stale.
        """
        if self.is_last and not self.stale:
            await self.tell(error)
        return await self.nack(reason=error.message)
