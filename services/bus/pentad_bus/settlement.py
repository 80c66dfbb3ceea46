"""What becomes of a message in an inbox: it arrives, waits, comes back, is done with, or is given up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from pentad_bus.clock import Clock
from pentad_bus.counters import Counters
from pentad_bus.entry import Entry
from pentad_bus.expiry import Expiry
from pentad_bus.inbox import Inbox
from pentad_bus.ledger import Ledger
from pentad_bus.limits import Limits
from pentad_bus.schedule import Schedule
from pentad_bus.store.journal import DeadRow
from pentad_common.ids import new_id

NACKED, ACK_WAIT_EXPIRED, CONNECTION_LOST = "NACKED", "ACK_WAIT_EXPIRED", "CONNECTION_LOST"
MAX_ATTEMPTS, EXPIRED, REJECTED, OVERFLOW = "MAX_ATTEMPTS", "EXPIRED", "REJECTED", "QUEUE_OVERFLOW"

_SOON = 3600.0
"""Seconds: what is due within them can be given up when it is."""


_inbox = attrgetter("inbox")


class Settlement:
    """The rules for one entry at a time. Every entry that was admitted ends in `settled`, `bury`
    or `drop`.
    """

    def __init__(self, limits: Limits, ledger: Ledger, clock: Clock, counters: Counters) -> None:
        self.limits = limits
        self.clock = clock
        self.counters = counters
        self.schedule = Schedule()
        self.expiry = Expiry()
        self._ledger = ledger

    def arrive(self, entry: Entry) -> None:
        """A message is stored, and can be delivered when it is due. The caller wakes the inbox."""
        inbox = entry.inbox
        if inbox.closed:
            self.bury(entry, EXPIRED, "the instance is gone")
            return
        if entry.expires:
            self.expiry.watch(entry)
        if entry.due:
            self.hold(entry)
        else:
            inbox.ready.push(entry)
        if inbox.drops_oldest:
            self.make_room(inbox)

    def make_room(self, inbox: Inbox) -> None:
        """Drops the oldest of the lowest priority until the rest fits; the last one that waits stays."""
        while inbox.over and len(inbox.ready) > 1:
            entry = inbox.ready.shed()
            if entry.once or not entry.stored:
                self.drop(entry)
            else:
                self.counters.dropped += 1
                inbox.dropped += 1
                self.bury(
                    entry, OVERFLOW, "the inbox was full, and this was the oldest of its lowest priority"
                )

    def hold(self, entry: Entry) -> None:
        """Keeps an entry back until it is due."""
        entry.inbox.delayed.add(entry)
        self.schedule.at(entry.due, lambda: self._ripen(entry))

    def _ripen(self, entry: Entry) -> None:
        inbox = entry.inbox
        if entry in inbox.delayed and entry.due <= self.clock.wall():
            inbox.delayed.discard(entry)
            entry.due = 0.0
            inbox.ready.put_back(entry)
            if inbox.drops_oldest:
                self.make_room(inbox)
            inbox.wake()

    def settled(self, entries: Sequence[Entry]) -> None:
        """Deliveries are acknowledged; the journal is told with the next commit."""
        self.counters.acked += len(entries)
        stored = self._ledger.later.settled.append
        for inbox, those in groupby(entries, _inbox):
            count = size = 0
            for entry in those:
                count += 1
                size += len(entry.body)
                if entry.stored:
                    stored((entry.seq, inbox.id))
                if entry.expires:
                    self.expiry.forget(entry)
            inbox.in_flight -= count
            inbox.release(size, count)

    def settled_by_commit(self, entry: Entry) -> None:
        """A delivery is acknowledged by a commit that is stored already."""
        self.counters.acked += 1
        entry.inbox.in_flight -= 1
        self._release(entry)

    def give_back(self, entry: Entry, delay: float, reason: str, outcome: str, by: str) -> None:
        """A delivery to `by` failed: the message comes again after `delay` seconds, unless it had its last
        chance.
        """
        entry.inbox.in_flight -= 1
        entry.reason = reason or entry.reason
        entry.note(by, self.clock.wall(), outcome, reason)
        if entry.once:
            self.drop(entry)
        elif entry.expires and entry.expires <= self.clock.wall():
            self.bury(entry, EXPIRED, reason)
        elif entry.attempts >= self.limits.max_attempts:
            self.bury(entry, MAX_ATTEMPTS, entry.reason)
        else:
            self._requeue(entry, delay)

    def hand_back(self, entry: Entry) -> None:
        """A consumer that leaves in order hands a message on: that was no attempt."""
        entry.inbox.in_flight -= 1
        entry.attempts -= 1
        if entry.once:
            self.drop(entry)
        else:
            self._requeue(entry, 0.0)

    def _requeue(self, entry: Entry, delay: float) -> None:
        inbox = entry.inbox
        if inbox.closed:
            self.bury(entry, EXPIRED, "the instance is gone")
            return
        entry.due = self.clock.wall() + delay if delay > 0 else 0.0
        if entry.stored:
            row = (entry.attempts, entry.due, entry.seq, inbox.id, entry.history)
            self._ledger.later.retried.append(row)
            self._ledger.hurry()
        if entry.due:
            self.hold(entry)
        else:
            inbox.ready.put_back(entry)
        if inbox.drops_oldest:
            self.make_room(inbox)

    def bury(self, entry: Entry, reason: str, detail: str = "") -> None:
        """Gives a message up: it goes to the dead letters. The caller has taken it out of its queue."""
        if entry.once:
            self.drop(entry)
            return
        self.counters.dead[reason] += 1
        inbox = entry.inbox
        later = self._ledger.later
        if entry.stored:
            later.settled.append((entry.seq, inbox.id))
        later.dead.append(
            DeadRow(
                new_id(),
                inbox.tenant_id,
                entry.id,
                inbox.name,
                reason,
                detail[:1024],
                entry.attempts,
                entry.body,
                self.clock.wall(),
                entry.history,
            )
        )
        self._release(entry)
        self._ledger.hurry()

    def drop(self, entry: Entry) -> None:
        """Lets a message go without a trace but a count: it was best effort, or its connection ended."""
        self.counters.dropped += 1
        entry.inbox.dropped += 1
        self._release(entry)

    def expire(self, now: float) -> None:
        """Gives up what waited longer than its time to live. What is being worked on goes on."""
        for entry in self.expiry.expired(now):
            inbox = entry.inbox
            if entry in inbox.delayed:
                inbox.delayed.discard(entry)
            elif not inbox.ready.discard(entry):
                continue
            self.bury(entry, EXPIRED)

    def expire_older(self, inbox: Inbox, taken_before: float) -> None:
        """Gives up what waits since before `taken_before`: nothing is kept for ever, nor what follows it."""
        far = self.clock.wall() + _SOON
        for entry in [item for item in inbox.delayed if item.due > far and item.created < taken_before]:
            inbox.delayed.discard(entry)
            self.bury(entry, EXPIRED)
        while old := [entry for entry in inbox.ready.heads() if entry.created < taken_before]:
            for entry in old:
                inbox.ready.discard(entry)
                self.bury(entry, EXPIRED)

    def _release(self, entry: Entry) -> None:
        inbox = entry.inbox
        inbox.release(len(entry.body))
        if entry.expires:
            self.expiry.forget(entry)
