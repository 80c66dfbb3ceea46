"""One connection: what is open to it, what it may still take, and what it has to be told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from pentad_bus.entry import Entry
from pentad_bus.inbox import Inbox
from pentad_bus.likeness import Likenesses
from pentad_bus.limits import MOST_BATCH_BYTES, MOST_BATCH_MESSAGES
from pentad_bus.publisher import Origin
from pentad_bus.settlement import ACK_WAIT_EXPIRED, CONNECTION_LOST, NACKED, REJECTED, Settlement
from pentad_common.errors import FailedPrecondition, PentadError


class Nack(NamedTuple):
    """A delivery given back. `delay` in seconds, None for the bus's own backoff."""

    tag: int
    delay: float | None
    reason: str
    terminal: bool


class Session:
    """Deliveries carry a tag that counts up from 1; an ack can so never settle what another
    connection has.
    """

    def __init__(
        self, origin: Origin, agent: str, own: Inbox, settlement: Settlement, wake: Callable[[], None]
    ) -> None:
        self.origin = origin
        self.agent = agent
        self.instance = own.instance
        self.own = own
        """The inbox of this instance."""
        self.inboxes = [own]
        """What it takes from."""
        self.open: dict[int, Entry] = {}
        """By tag, in the order in which they run out."""
        self.wake = wake
        self.idle = False
        """Set by the shell while it waits for something to send."""
        self.silent = False
        """A delivery ran out and nothing was heard since: others are asked first."""
        self.draining = False
        self.ended: PentadError | None = None
        self.meant = False
        self.confirmed = 0
        self.outstanding = 0
        """Frames whose commit is under way."""
        self.rejections: list[tuple[int, PentadError]] = []
        self.stale: list[tuple[int, PentadError]] = []
        self.alike = Likenesses()
        self._settlement = settlement
        self._credit = 0
        self._credit_bytes = 0
        self._open_bytes = 0
        self._last_tag = 0

    @property
    def open_count(self) -> int:
        """Deliveries that are not settled."""
        return len(self.open)

    @property
    def hungry(self) -> bool:
        """Whether it waits for something and may take it."""
        return self.idle and not self.draining and self.room > 0

    @property
    def room(self) -> int:
        """How many more deliveries its credit allows."""
        if self._credit_bytes and self._open_bytes >= self._credit_bytes:
            return 0
        return self._credit - len(self.open)

    @property
    def has_something(self) -> bool:
        """Whether it can be told or given something right now. What is being stored says so itself."""
        if self.rejections or self.stale:
            return True
        return self.room > 0 and self._anything_ready()

    def grant(self, messages: int, size: int) -> None:
        """Sets the credit: messages, and bytes (0: no bound)."""
        self._credit, self._credit_bytes = messages, size

    # --------------------------------------------------------------------------------------------- deliveries

    def take(self) -> list[tuple[int, Entry]]:
        """Takes what is next, by tag: at most a batch, and no more than its credit allows."""
        if self.draining or self.ended or self.room <= 0 or not self._anything_ready():
            return []
        deadline = self._settlement.clock.steady() + self._settlement.limits.ack_wait
        now = self._settlement.clock.wall()
        taken: list[tuple[int, Entry]] = []
        size = 0
        inboxes = self.inboxes
        for inbox in inboxes:
            if inbox.ready:
                size = self._take_from(inbox, taken, size, deadline, now)
        if len(inboxes) > 1 and taken:
            inboxes.append(inboxes.pop(0))  # the other one first next time
        return taken

    def _anything_ready(self) -> bool:
        for inbox in self.inboxes:  # noqa: SIM110 - a generator costs more than all else here
            if inbox.ready:
                return True
        return False

    def _take_from(
        self, inbox: Inbox, taken: list[tuple[int, Entry]], size: int, deadline: float, now: float
    ) -> int:
        most = min(MOST_BATCH_MESSAGES - len(taken), self.room, inbox.share(self))
        ready, counters, open_ = inbox.ready, self._settlement.counters, self.open
        credit = self._credit_bytes
        count = 0
        only = ready.only_level()  # nothing is put back meanwhile
        while count < most and size < MOST_BATCH_BYTES and not (credit and self._open_bytes >= credit):
            entry = next(ready, None) if only is None else only.popleft() if only else None
            if entry is None:
                break
            if entry.expires and entry.expires <= now:
                self._settlement.bury(entry, "EXPIRED")
                continue
            count += 1
            entry.attempts += 1
            counters.redelivered += entry.attempts > 1
            entry.deadline = deadline
            self._last_tag = tag = self._last_tag + 1
            open_[tag] = entry
            length = len(entry.body)
            self._open_bytes += length
            size += length
            taken.append((tag, entry))
        ready.count_again()
        inbox.in_flight += count
        counters.delivered += count
        return size

    def _close(self, tag: int) -> Entry | None:
        entry = self.open.pop(tag, None)
        if entry is None:
            self._stale(tag)
        else:
            self._open_bytes -= len(entry.body)
        return entry

    def _stale(self, tag: int) -> None:
        self.stale.append((tag, self._why_stale(tag)))
        self._settlement.counters.stale += 1

    def _why_stale(self, tag: int) -> FailedPrecondition:
        if 0 < tag <= self._last_tag:
            return FailedPrecondition(
                "DELIVERY_EXPIRED",
                f"delivery {tag} is not open any more: it was settled, or its ack_wait ran out and the "
                "message went to "
                "someone else",
                tag=tag,
            )
        return FailedPrecondition(
            "DELIVERY_UNKNOWN", f"there was no delivery {tag} on this connection", tag=tag
        )

    # ---------------------------------------------------------------------------------------------- settling

    def ack(self, tags: Iterable[int]) -> None:
        """Settles deliveries."""
        take = self.open.pop
        entries = []
        size = 0
        for tag in tags:
            entry = take(tag, None)
            if entry is None:
                self._stale(tag)
            else:
                size += len(entry.body)
                entries.append(entry)
        self._open_bytes -= size
        self._settlement.settled(entries)

    def nack(self, nack: Nack) -> None:
        """Gives a delivery back."""
        entry = self._close(nack.tag)
        if entry is None:
            return
        self._settlement.counters.nacked += 1
        if nack.terminal:
            entry.inbox.in_flight -= 1
            entry.note(self.own.name, self._settlement.clock.wall(), REJECTED, nack.reason)
            self._settlement.bury(entry, REJECTED, nack.reason)
        else:
            limits = self._settlement.limits
            delay = limits.backoff(entry.attempts) if nack.delay is None else nack.delay
            self._settlement.give_back(entry, delay, nack.reason, NACKED, self.own.name)
        entry.inbox.wake()

    def progress(self, tag: int) -> None:
        """Starts a delivery's ack_wait anew."""
        entry = self.open.pop(tag, None)
        if entry is None:
            self._stale(tag)
            return
        entry.deadline = self._settlement.clock.steady() + self._settlement.limits.ack_wait
        self.open[tag] = entry

    def settleable(self, tag: int) -> Entry:
        """The open delivery `tag`. Raises FailedPrecondition DELIVERY_EXPIRED or DELIVERY_UNKNOWN."""
        entry = self.open.get(tag)
        if entry is None:
            raise self._why_stale(tag)
        return entry

    def set_aside(self, tag: int) -> None:
        """A commit is about to settle the delivery: until then it neither runs out nor comes back."""
        self._open_bytes -= len(self.open.pop(tag).body)

    def reopen(self, tag: int, entry: Entry) -> None:
        """The commit that should have settled the delivery failed."""
        if self.ended:
            self._settlement.give_back(entry, 0.0, "the connection ended", CONNECTION_LOST, self.own.name)
            entry.inbox.wake()
            return
        entry.deadline = self._settlement.clock.steady() + self._settlement.limits.ack_wait
        self._open_bytes += len(entry.body)
        self.open[tag] = entry

    def run_out(self, now: float) -> None:
        """Takes back deliveries whose ack_wait is over, by the steady clock."""
        late = []
        for tag, entry in self.open.items():
            if entry.deadline > now:
                break
            late.append(tag)
        for tag in late:
            entry = self.open.pop(tag)
            self._open_bytes -= len(entry.body)
            self._settlement.counters.expired_leases += 1
            self.silent = True
            self._settlement.give_back(entry, 0.0, "ack_wait ran out", ACK_WAIT_EXPIRED, self.own.name)
            entry.inbox.wake()

    def release_all(self) -> None:
        """Gives everything back, at once: the connection is over."""
        entries = list(self.open.values())
        self.open.clear()
        self._open_bytes = 0
        for entry in entries:
            if entry.inbox is self.own and entry.subscription and not entry.stored:
                entry.inbox.in_flight -= 1
                self._settlement.drop(entry)  # a copy for this connection alone
            elif self.meant:
                self._settlement.hand_back(entry)
            else:
                self._settlement.give_back(
                    entry, 0.0, "the connection was lost", CONNECTION_LOST, self.own.name
                )
