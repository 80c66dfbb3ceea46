"""A message in an inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pentad.bus.v1.bus_pb2 import Message

if TYPE_CHECKING:
    from pentad_bus.inbox import Inbox


MOST_HISTORY = 32

Attempt = tuple[int, str, float, str, str]
"""Which one, who had it (agent/instance), when it ended, how, and what was said."""

NO_HISTORY: list[Attempt] = []
"""Shared by all entries that never failed; not to be changed."""


class Entry:
    """One message's place in one inbox. Copies of a message share the bytes of its body. Times are epoch
    seconds.

    What is seldom asked for is read from the body each time: a field here costs every message.
    """

    __slots__ = (
        "attempts",
        "body",
        "deadline",
        "due",
        "expires",
        "history",
        "inbox",
        "level",
        "once",
        "reason",
        "seq",
        "stored",
        "subscription",
    )

    def __init__(
        self,
        inbox: Inbox,
        subscription: str,
        stored: bool,
        once: bool,
        seq: int,
        body: bytes,
        level: int,
        expires: float = 0.0,
        due: float = 0.0,
        attempts: int = 0,
    ) -> None:
        self.seq = seq
        self.body = body
        self.level = level
        """Priority, 0 to 3."""
        self.inbox = inbox
        self.expires = expires
        """0: never."""
        self.due = due
        """Not delivered before; 0: at once."""
        self.stored = stored
        """Whether the journal has it."""
        self.once = once
        """Best effort: delivered at most once."""
        self.subscription = subscription
        self.attempts = attempts
        """Deliveries so far."""
        self.deadline = 0.0
        """When the delivery under way runs out, in monotonic seconds."""
        self.reason = ""
        """What the last one who gave it back said."""
        self.history: list[Attempt] = NO_HISTORY
        """The deliveries that failed."""

    @property
    def id(self) -> str:
        """The message's id."""
        return Message.FromString(self.body).id

    @property
    def created(self) -> float:
        """When the bus took the message."""
        time = Message.FromString(self.body).create_time
        return time.seconds + time.nanos / 1e9

    @property
    def hops(self) -> int:
        """How many messages led to this one."""
        return Message.FromString(self.body).hops

    def note(self, by: str, ended: float, outcome: str, detail: str) -> None:
        """Adds the delivery that failed just now; the oldest beyond MOST_HISTORY are forgotten."""
        self.history = [*self.history, (self.attempts, by, ended, outcome, detail)][-MOST_HISTORY:]
