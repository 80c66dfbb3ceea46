"""A message that was delivered, and what can be said about it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from pentad.bus.v1 import bus_pb2
from pentad_client.message import answer_to

if TYPE_CHECKING:
    from pentad_client.connection import Connection
    from pentad_client.link import Link


class Delivery:
    """Open until it is acked, given back or replied to, or until its connection or its ack_wait ends."""

    __slots__ = ("_body", "_connection", "_message", "attempt", "link", "subscription", "tag")

    def __init__(
        self, connection: Connection, link: Link, tag: int, attempt: int, body: bytes, subscription: str
    ) -> None:
        self._connection = connection
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

    async def ack(self) -> bool:
        """It is done. False if it was stale: then the message comes, or came, again."""
        return self.link.ack(self.tag)

    async def nack(self, delay: float | None = None, reason: str = "", *, terminal: bool = False) -> bool:
        """Gives it back, to come again after `delay` seconds (None: the bus's own backoff). False if it was
        stale.

        `terminal`: not again, but straight to the dead letters.
        """
        return self.link.nack(self.tag, delay, reason, terminal)

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
        return self._connection.publish(message, settles=self)
