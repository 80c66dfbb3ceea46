"""A message in an inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    """

    __slots__ = (
        "attempts",
        "body",
        "created",
        "deadline",
        "due",
        "expires",
        "history",
        "hops",
        "id",
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
        id: str,
        body: bytes,
        level: int,
        created: float,
        expires: float = 0.0,
        due: float = 0.0,
        hops: int = 0,
        attempts: int = 0,
    ) -> None:
        self.seq = seq
        self.id = id
        self.body = body
        self.level = level
        """Priority, 0 to 3."""
        self.inbox = inbox
        self.created = created
        self.expires = expires
        """0: never."""
        self.due = due
        """Not delivered before; 0: at once."""
        self.hops = hops
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

    def note(self, by: str, ended: float, outcome: str, detail: str) -> None:
        """Adds the delivery that failed just now; the oldest beyond MOST_HISTORY are forgotten."""
        self.history = [*self.history, (self.attempts, by, ended, outcome, detail)][-MOST_HISTORY:]
