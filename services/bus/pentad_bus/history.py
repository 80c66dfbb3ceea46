"""What was sent, what was given up on, how full inboxes are: the bus's unary side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest

from pentad_bus.bus import Bus
from pentad_bus.inbox import Inbox
from pentad_bus.publisher import queue_full
from pentad_bus.store.journal import DeadRow, HistoryFilter, HistoryRow
from pentad_bus.tenant import Tenant
from pentad_common.cursor import cut_page, decode_cursor, encode_cursor
from pentad_common.errors import InvalidArgument, NotFound, OutOfRange, PentadError, ResourceExhausted

MESSAGES = "bus.messages"
_DEAD = "bus.dead_letters"
_QUEUES = "bus.queues"
_TAIL_PAGE = 500
_REDRIVE_PAGE = 500
_REPLAY_PAGE = 500


@dataclass(frozen=True, slots=True)
class QueueState:
    """One inbox. `oldest_age` in seconds."""

    recipient: str
    queued: int
    in_flight: int
    delayed: int
    size: int
    oldest_age: float
    consumers: int
    dead_letters: int
    dropped: int
    max_messages: int
    max_bytes: int
    drops_oldest: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """Dead letters: these, all of an inbox, or all there are."""

    ids: Sequence[str] = ()
    recipient: str = ""
    all: bool = False

    def check(self, reason: str) -> None:
        """Raises InvalidArgument with that reason if it says nothing."""
        if not (self.ids or self.recipient or self.all):
            raise InvalidArgument(
                reason,
                "say which: dead_letter_ids, the recipient whose dead letters are meant, or all",
                violations=[("dead_letter_ids", "ids, a recipient or all are required")],
            )


class History:
    """Reads the journal for one tenant at a time."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._journal = bus.journal
        self._dead = asyncio.Lock()
        """Held while dead letters are put back or removed: two callers would both take the same ones."""

    async def messages(
        self, tenant: str, wanted: HistoryFilter, size: int, page_token: str
    ) -> tuple[list[HistoryRow], str]:
        """A page, newest first, and the token of the next one ("" on the last). Raises InvalidArgument
        CURSOR_INVALID.
        """
        before = _seq(page_token) if page_token else self._bus.broker.stored_seq + 1
        page = await self._bus.read(self._journal.history, tenant, wanted, before=before, limit=size)
        return list(page.rows), cursor(page.last.seq) if page.last else ""

    async def tail(
        self, tenant: str, wanted: HistoryFilter, after: str, from_start: bool
    ) -> AsyncIterator[HistoryRow]:
        """Messages as they are stored, after a cursor. Raises OutOfRange CURSOR_EXPIRED, InvalidArgument
        CURSOR_INVALID.
        """
        broker = self._bus.broker
        if after:
            seq = _seq(after)
            await self._check_kept(tenant, seq)
        else:
            seq = 0 if from_start else broker.stored_seq
        while True:
            upto = await self._bus.stored_after(seq, tenant)
            while seq < upto:
                page = await self._bus.read(
                    self._journal.after, tenant, wanted, seq=seq, upto=upto, limit=_TAIL_PAGE
                )
                for row in page.rows:
                    yield row
                seq = page.last.seq if page.last else upto

    async def _check_kept(self, tenant: str, seq: int) -> None:
        stored = self._bus.broker.stored_seq
        if seq >= stored or await self._bus.read(self._journal.keeps_all_after, tenant, seq):
            return
        oldest = await self._bus.read(self._journal.oldest_seq, tenant)
        raise OutOfRange(
            "CURSOR_EXPIRED",
            "the messages after this cursor are no longer kept; start again at the oldest one",
            oldest_cursor=cursor(stored if oldest is None else oldest - 1),
        )

    async def dead_letters(
        self, tenant: str, recipient: str, size: int, page_token: str
    ) -> tuple[list[DeadRow], str]:
        """A page, newest first, and the token of the next one. Raises InvalidArgument CURSOR_INVALID."""
        before = _dead_position(page_token) if page_token else None
        await self._bus.ledger.flushed()
        page = await self._bus.read(self._journal.dead_letters, tenant, recipient, before=before, limit=size)
        last = page.last
        return list(page.rows), encode_cursor(_DEAD, last.dead_time, last.id) if last else ""

    async def dead_letter(self, tenant: str, dead_letter_id: str) -> DeadRow:
        """One dead letter. Raises NotFound DEAD_LETTER_NOT_FOUND."""
        await self._bus.ledger.flushed()
        for row in await self._bus.read(self._journal.dead_by_id, tenant, [dead_letter_id]):
            return row
        raise NotFound(
            "DEAD_LETTER_NOT_FOUND",
            f"there is no dead letter {dead_letter_id!r}; `pentad messages dead` lists them",
            dead_letter_id=dead_letter_id,
        )

    async def purge(self, tenant: str, chosen: Chosen) -> int:
        """Removes dead letters; how many. Raises InvalidArgument NOTHING_TO_PURGE."""
        chosen.check("NOTHING_TO_PURGE")
        async with self._dead:
            return await self._purge(tenant, chosen)

    async def _purge(self, tenant: str, chosen: Chosen) -> int:
        await self._bus.ledger.flushed()
        return await self._bus.ledger.call(self._journal.purge, tenant, chosen.ids, chosen.recipient)

    async def redrive(self, tenant: str, chosen: Chosen) -> int:
        """Puts dead letters back into their inboxes; how many. What has no inbox any more, or no room in it,
        stays.

        Raises InvalidArgument NOTHING_TO_REDRIVE, ResourceExhausted QUEUE_FULL when none has room.
        """
        chosen.check("NOTHING_TO_REDRIVE")
        async with self._dead:
            return await self._redrive(tenant, chosen)

    async def _redrive(self, tenant: str, chosen: Chosen) -> int:
        await self._bus.ledger.flushed()
        if chosen.ids:
            return await self._put_back(
                tenant, await self._bus.read(self._journal.dead_by_id, tenant, chosen.ids)
            )
        count, before = 0, None
        while rows := (
            await self._bus.read(
                self._journal.dead_letters, tenant, chosen.recipient, before=before, limit=_REDRIVE_PAGE
            )
        ).rows:
            before = (rows[-1].dead_time, rows[-1].id)
            try:
                count += await self._put_back(tenant, list(reversed(rows)))
            except ResourceExhausted:
                if not count:
                    raise
        return count

    async def _put_back(self, tenant_id: str, rows: Sequence[DeadRow]) -> int:
        broker = self._bus.broker
        tenant = broker.directory.tenant(tenant_id)
        found = [(row, tenant.inboxes[row.recipient]) for row in rows if row.recipient in tenant.inboxes]
        count = broker.redrive(tenant, found)
        await self._bus.ledger.flushed()
        if found and not count:
            raise full(found[0][1])
        return count

    async def replay(
        self, tenant_id: str, wanted: HistoryFilter, recipient: str, most: int, after: str
    ) -> tuple[int, str]:
        """Puts messages of the history into an inbox, oldest first: how many, and where to go on ("": done).

        Raises NotFound RECIPIENT_UNKNOWN, ResourceExhausted QUEUE_FULL when none has room, OutOfRange
        CURSOR_EXPIRED, InvalidArgument CURSOR_INVALID.
        """
        broker = self._bus.broker
        tenant = broker.directory.tenant(tenant_id)
        inbox = tenant.inbox(recipient)
        seq, upto, count = _seq(after) if after else 0, broker.stored_seq, 0
        if after:
            await self._check_kept(tenant_id, seq)
        while count < most:
            size = min(_REPLAY_PAGE, most - count)
            page = await self._bus.read(
                self._journal.after, tenant_id, wanted, seq=seq, upto=upto, limit=size
            )
            rows = page.rows
            if not rows:
                return count, ""
            taken, last, refusal = await self._replayed(tenant, inbox, rows)
            count, seq = count + taken, last or seq
            if last != rows[-1].seq:
                if refusal is not None and not count:
                    raise refusal
                break
        return count, cursor(seq)

    async def _replayed(
        self, tenant: Tenant, inbox: Inbox, rows: Sequence[HistoryRow]
    ) -> tuple[int, int, PentadError | None]:
        """How many of these went into the inbox, the last that was dealt with, what to say if it is full."""
        taken, last = self._bus.broker.replay(tenant, inbox, rows)
        await self._bus.ledger.flushed()
        return taken, last, full(inbox) if last != rows[-1].seq else None

    async def queues(
        self, tenant: str, agent: str, size: int, page_token: str
    ) -> tuple[list[QueueState], str]:
        """The inboxes of an agent and its instances, or all, by name: a page, and the token of the next one.
        Raises InvalidArgument CURSOR_INVALID.
        """
        after = _queue_name(page_token) if page_token else ""
        dead = await self._bus.read(self._journal.dead_counts, tenant)
        names = {name for name in await self._names(tenant) | dead.keys() if name > after}
        if agent:
            names = {name for name in names if agent in (name, name.split("/")[0])}
        page, last = cut_page(nsmallest(size + 1, names), size)
        states = await self._states(tenant, page, dead)
        gone = QueueState("", 0, 0, 0, 0, 0.0, 0, 0, 0, 0, 0, False)
        found = [
            states.get(name) or replace(gone, recipient=name, dead_letters=dead.get(name, 0)) for name in page
        ]
        return found, encode_cursor(_QUEUES, last) if last else ""

    async def _names(self, tenant: str) -> set[str]:
        """Of all inboxes."""
        return set(self._bus.broker.directory.tenant(tenant).inboxes)

    async def _states(
        self, tenant: str, names: Sequence[str], dead: Mapping[str, int]
    ) -> dict[str, QueueState]:
        """Of those of these inboxes that there are."""
        now = self._bus.broker.clock.wall()
        inboxes = self._bus.broker.directory.tenant(tenant).inboxes
        return {name: _state(inboxes[name], now, dead.get(name, 0)) for name in names if name in inboxes}


def cursor(seq: int) -> str:
    """The place after the message with this seq."""
    return encode_cursor(MESSAGES, seq)


def full(inbox: Inbox) -> ResourceExhausted:
    """What is said when nothing could be put into it."""
    return queue_full(inbox.name, inbox.messages, inbox.size)


def _seq(token: str) -> int:
    values = decode_cursor(MESSAGES, token)
    if len(values) != 1 or not isinstance(values[0], int):
        raise InvalidArgument("CURSOR_INVALID", f"{token!r} is not a cursor of {MESSAGES}")
    return values[0]


def _queue_name(token: str) -> str:
    values = decode_cursor(_QUEUES, token)
    if len(values) != 1 or not isinstance(values[0], str):
        raise InvalidArgument("CURSOR_INVALID", f"{token!r} is not a page token of {_QUEUES}")
    return values[0]


def _dead_position(token: str) -> tuple[float, str]:
    values = decode_cursor(_DEAD, token)
    if len(values) != 2 or not isinstance(values[0], float | int) or not isinstance(values[1], str):
        raise InvalidArgument("CURSOR_INVALID", f"{token!r} is not a page token of dead letters")
    return float(values[0]), values[1]


def _state(inbox: Inbox, now: float, dead_letters: int) -> QueueState:
    oldest = min((entry.created for entry in inbox.ready.heads()), default=now)
    return QueueState(
        inbox.name,
        len(inbox.ready),
        inbox.in_flight,
        len(inbox.delayed),
        inbox.size,
        max(0.0, now - oldest),
        len(inbox.consumers),
        dead_letters,
        inbox.dropped,
        inbox.max_messages,
        inbox.max_bytes,
        inbox.drops_oldest,
    )
