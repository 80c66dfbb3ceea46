"""What the broker asks of its journal, in plain values. Times are epoch seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.entry import NO_HISTORY, Attempt, Entry
from pentad_bus.inbox import Inbox
from pentad_bus.policy import Policy

MessageRow = tuple[int, str, str, bytes]
"""seq, id, tenant, body; all else that the history is searched by is in the body. A tuple: the
fastest to make.
"""

EntryRow = tuple[int, int, str, str, float]
"""message seq, inbox id, tenant, subscription, due time (0: at once)."""

EntryKey = tuple[int, int]
"""message seq, inbox id."""

RetryRow = tuple[int, float, int, int, list[Attempt]]
"""attempts, due time, message seq, inbox id, the deliveries that failed."""


class InboxRow(NamedTuple):
    """An inbox, its topic subscriptions as (pattern, filter), and what its agent asked for."""

    id: int
    tenant_id: str
    name: str
    subscriptions: list[tuple[str, str]]
    policy: Policy = Policy()


class DeadRow(NamedTuple):
    """A message that was given up on."""

    id: str
    tenant_id: str
    message_id: str
    recipient: str
    reason: str
    detail: str
    attempts: int
    body: bytes
    dead_time: float
    history: list[Attempt] = NO_HISTORY


class WaitingRow(NamedTuple):
    """A message that was in an inbox when the last process ended."""

    seq: int
    inbox_id: int
    tenant_id: str
    subscription: str
    attempts: int
    due: float
    message_id: str
    create_time: float
    body: bytes
    history: list[Attempt] = NO_HISTORY

    def entry(self, inbox: Inbox) -> Entry:
        """The entry that it was. Raises DecodeError if its bytes are damaged."""
        message = Message.FromString(self.body)
        ttl = message.ttl.seconds + message.ttl.nanos / 1e9
        entry = Entry(
            inbox,
            self.subscription,
            True,
            False,
            self.seq,
            self.body,
            (message.priority or 2) - 1,
            self.create_time + ttl if ttl else 0.0,
            self.due,
            self.attempts,
        )
        entry.history = self.history
        return entry


class HistoryRow(NamedTuple):
    """A message of the history."""

    seq: int
    body: bytes


MOST_PAGE_BYTES = 3 * 1024 * 1024
"""Of the rows of a page, which is read into memory and must fit into one frame; one row always does."""

Kept = TypeVar("Kept", HistoryRow, DeadRow)


@dataclass(frozen=True, slots=True)
class Page(Generic[Kept]):
    """As many rows as were asked for, or as fit into MOST_PAGE_BYTES."""

    rows: Sequence[Kept]
    more: bool
    """Whether there are others after them."""

    @property
    def last(self) -> Kept | None:
        """After which the next page begins; None on the last one."""
        return self.rows[-1] if self.more and self.rows else None


def fitting(sizes: Iterable[int], most: int) -> int:
    """How many of the first `most` rows of these sizes fit on a page."""
    size = count = 0
    for length in sizes:
        size += length
        if count == most or (count and size > MOST_PAGE_BYTES):
            break
        count += 1
    return count


@dataclass(frozen=True, slots=True)
class Needed:
    """What is not swept: all from the seq `upto` on, and of each of `tenants` all from its seq on."""

    upto: int
    tenants: Mapping[str, int] = field(default_factory=dict)


class Swept(NamedTuple):
    """One step of a sweep."""

    messages: int
    """How many were deleted."""
    size: int
    """Bytes of these."""
    place: int
    """The last seq that was looked at."""
    done: bool
    """Whether there is nothing more to do."""


@dataclass(slots=True)
class Changes:
    """What is stored in one transaction."""

    messages: list[MessageRow] = field(default_factory=list)
    entries: list[EntryRow] = field(default_factory=list)
    settled: list[EntryKey] = field(default_factory=list)
    retried: list[RetryRow] = field(default_factory=list)
    dead: list[DeadRow] = field(default_factory=list)
    inboxes: list[InboxRow] = field(default_factory=list)
    """New, or with other subscriptions."""
    removed: list[int] = field(default_factory=list)
    """Inboxes, with the entries in them."""
    redriven: list[str] = field(default_factory=list)
    """Dead letters that are put back."""

    def __bool__(self) -> bool:
        return bool(
            self.messages
            or self.settled
            or self.entries
            or self.retried
            or self.dead
            or self.inboxes
            or self.removed
            or self.redriven
        )

    @property
    def logged(self) -> bool:
        """Whether there is anything that goes through the log."""
        return bool(self.messages or self.settled or self.entries or self.retried or self.removed)

    @property
    def only_logged(self) -> bool:
        """Whether there is nothing that does not go through the log alone."""
        return not (self.dead or self.inboxes or self.removed or self.redriven)

    def extend(self, other: Changes) -> None:
        """Adds another transaction's, after these."""
        self.messages += other.messages
        self.entries += other.entries
        self.settled += other.settled
        self.retried += other.retried
        self.dead += other.dead
        self.inboxes += other.inboxes
        self.removed += other.removed
        self.redriven += other.redriven


@dataclass(slots=True)
class Recovered:
    """What the journal holds when the bus starts."""

    inboxes: list[InboxRow]
    waiting: list[WaitingRow]
    """In the order in which they were taken."""
    recent: list[tuple[str, str]]
    """(tenant, message id) within the deduplication window."""
    last_seq: int


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which messages of a tenant; unset fields match all."""

    run_id: str = ""
    agent: str = ""
    type: str = ""
    correlation_id: str = ""
    start_time: float | None = None
    end_time: float | None = None


class Journal(Protocol):
    """Stores what the broker decides. Methods block; the writing ones are called from one thread.

    What is written is first kept as it came, in a log; `archive` puts it in order. Readers see it either way.
    Any method raises PentadError UNAVAILABLE when the store cannot be used at the moment.
    """

    at_once_bytes: int
    """Up to so many bytes are written faster than another thread could be asked to; 0: none ever."""

    set_aside: int
    """Messages that could not be put in order, and are kept as they came."""

    @property
    def behind(self) -> int:
        """Messages in the log."""

    def open(self) -> None:
        """Takes possession. Raises StartupError if it cannot be used or another process has it."""

    def recover(self, recent_since: float) -> Recovered:
        """All that waits, and the ids taken since `recent_since`."""

    def write(self, changes: Changes) -> None:
        """Stores all of it in one transaction, or nothing."""

    def write_at_once(self, changes: Changes) -> bool:
        """The same, in any thread; False, and nothing was stored, if that would have meant to wait."""

    def archive(self, most: int) -> int:
        """Takes the oldest of the log, about `most` messages, into what is searched; how many are left."""

    def check(self) -> None:
        """Writes something and takes it back. Raises Unavailable if nothing can be stored at the moment."""

    def sweep(
        self, before: float, keep: int, needed: Needed, most: int, excess: int = 0, after: int = 0
    ) -> Swept:
        """Looks at the `most` oldest messages with a seq above `after`, and deletes what is not needed of it.

        Those taken before `before`, those beyond the newest `keep`, and the oldest `excess` bytes.
        """

    def sweep_dead(self, before: float, keep: int, most: int) -> int:
        """Deletes up to `most` of the oldest dead letters, those from before `before` and those beyond the
        newest `keep`; how many it did.
        """

    def history_size(self) -> int:
        """Bytes of all messages of the history. Reads all of it."""

    def purge(self, tenant: str, ids: Sequence[str], recipient: str) -> int:
        """Deletes dead letters: these, or if there are no ids all of an inbox ("": of all); how many."""

    def history(
        self, tenant: str, wanted: HistoryFilter, *, before: int | None, limit: int
    ) -> Page[HistoryRow]:
        """Messages with a seq below `before`, newest first."""

    def after(
        self, tenant: str, wanted: HistoryFilter, *, seq: int, upto: int, limit: int
    ) -> Page[HistoryRow]:
        """Messages with a seq above `seq` and not above `upto`, oldest first."""

    def oldest_seq(self, tenant: str) -> int | None:
        """The seq of the tenant's oldest message that is kept."""

    def keeps_all_after(self, tenant: str, seq: int) -> bool:
        """Whether it is known that none of the tenant's messages after `seq` was swept."""

    def dead_letters(
        self, tenant: str, recipient: str, *, before: tuple[float, str] | None, limit: int
    ) -> Page[DeadRow]:
        """Dead letters that died before (time, id), newest first."""

    def dead_by_id(self, tenant: str, ids: Iterable[str]) -> Sequence[DeadRow]:
        """Those of these dead letters that there are, oldest first."""

    def dead_counts(self, tenant: str) -> dict[str, int]:
        """Dead letters by recipient."""

    def close(self) -> None:
        """Gives up possession."""
