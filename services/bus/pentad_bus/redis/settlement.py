"""What becomes of a delivery, told to Redis with the next exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from pentad_bus.entry import Entry
from pentad_bus.inbox import Inbox
from pentad_bus.limits import Limits
from pentad_bus.policy import Usage
from pentad_bus.redis.chunks import RemoteEntry
from pentad_bus.settlement import EXPIRED, MAX_ATTEMPTS, Settlement

if TYPE_CHECKING:
    from pentad_bus.redis.link import Link


class RemoteInbox(Inbox):
    """The part of an inbox that this process sees: `ready` is what it fetched and nobody took yet."""

    __slots__ = ("claim", "link", "value")

    def __init__(self, id: int, tenant_id: str, name: str, limits: Limits, usage: Usage, link: Link) -> None:
        super().__init__(id, tenant_id, name, limits, usage)
        self.link = link
        self.value = ""
        """What the directory says of it: whose it is."""
        self.claim = ""
        """What this process asked it to say, and it does not yet."""


def _link(entry: Entry) -> Link:
    return cast(RemoteInbox, entry.inbox).link


class RemoteSettlement(Settlement):
    """The same rules as in memory. Best-effort messages are out of Redis when they are delivered."""

    def settled(self, entries: Sequence[Entry]) -> None:
        """Deliveries are acknowledged."""
        self.counters.acked += len(entries)
        for entry in entries:
            entry.inbox.in_flight -= 1
            if not entry.once:
                _link(entry).ack(cast(RemoteEntry, entry))

    def settled_by_commit(self, entry: Entry) -> None:
        """A delivery was acknowledged by the message that answers it."""
        self.counters.acked += 1
        entry.inbox.in_flight -= 1

    def give_back(self, entry: Entry, delay: float, reason: str, outcome: str, by: str) -> None:
        """A delivery to `by` failed: the message comes again after `delay` seconds, unless it had its last
        chance.
        """
        now = self.clock.wall()
        entry.inbox.in_flight -= 1
        entry.reason = reason or entry.reason
        entry.note(by, now, outcome, reason)
        if entry.once:
            self.drop(entry)
        elif entry.expires and entry.expires <= now:
            self.bury(entry, EXPIRED, reason)
        elif entry.attempts >= self.limits.max_attempts:
            self.bury(entry, MAX_ATTEMPTS, entry.reason)
        else:
            _link(entry).give_back(cast(RemoteEntry, entry), delay)

    def hand_back(self, entry: Entry) -> None:
        """A consumer that leaves in order hands a message on: that was no attempt."""
        entry.inbox.in_flight -= 1
        entry.attempts -= 1
        self.put_back(entry)

    def put_back(self, entry: Entry) -> None:
        """What was fetched and nobody took goes back."""
        if entry.once:
            self.drop(entry)
        else:
            _link(entry).give_back(cast(RemoteEntry, entry), 0.0)

    def bury(self, entry: Entry, reason: str, detail: str = "") -> None:
        """Gives a message up: it goes to the dead letters."""
        if entry.once:
            self.drop(entry)
            return
        self.counters.dead[reason] += 1
        _link(entry).bury(cast(RemoteEntry, entry), reason, detail[:1024])

    def drop(self, entry: Entry) -> None:
        """Lets a message go without a trace but a count."""
        self.counters.dropped += 1
        _link(entry).drop(cast(RemoteEntry, entry))
