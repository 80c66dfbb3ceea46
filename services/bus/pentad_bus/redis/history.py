"""The unary side on Redis: what is not in SQL yet is waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.admission import REPLAYED
from pentad_bus.history import Chosen, History, QueueState
from pentad_bus.inbox import Inbox
from pentad_bus.redis.readmission import Old
from pentad_bus.store.journal import DeadRow, HistoryFilter, HistoryRow
from pentad_bus.tenant import Tenant
from pentad_common.errors import PentadError, Unavailable

if TYPE_CHECKING:
    from pentad_bus.redis.bus import RedisBus


class RedisHistory(History):
    """As `History`; the archive is some milliseconds behind."""

    def __init__(self, bus: RedisBus) -> None:
        super().__init__(bus)  # type: ignore[arg-type] # reads the same of both
        self._redis = bus

    async def messages(
        self, tenant: str, wanted: HistoryFilter, size: int, page_token: str
    ) -> tuple[list[HistoryRow], str]:
        """A page, newest first. Raises Unavailable HISTORY_BEHIND."""
        if not page_token:
            await self._complete(tenant)
        return await super().messages(tenant, wanted, size, page_token)

    async def tail(
        self, tenant: str, wanted: HistoryFilter, after: str, from_start: bool
    ) -> AsyncIterator[HistoryRow]:
        """Messages as they are archived, after a cursor. Raises Unavailable HISTORY_BEHIND."""
        await self._complete(tenant)
        async for row in super().tail(tenant, wanted, after, from_start):
            yield row

    async def dead_letters(
        self, tenant: str, recipient: str, size: int, page_token: str
    ) -> tuple[list[DeadRow], str]:
        """A page, newest first."""
        await self._settled(tenant)
        return await super().dead_letters(tenant, recipient, size, page_token)

    async def dead_letter(self, tenant: str, dead_letter_id: str) -> DeadRow:
        """One dead letter."""
        await self._settled(tenant)
        return await super().dead_letter(tenant, dead_letter_id)

    async def _purge(self, tenant: str, chosen: Chosen) -> int:
        await self._settled(tenant)
        return await super()._purge(tenant, chosen)

    async def _redrive(self, tenant: str, chosen: Chosen) -> int:
        await self._settled(tenant)
        count = await super()._redrive(tenant, chosen)
        await self._redis.catch_up(tenant)
        return count

    async def replay(
        self, tenant_id: str, wanted: HistoryFilter, recipient: str, most: int, after: str
    ) -> tuple[int, str]:
        """Puts messages of the history into an inbox, oldest first. Raises Unavailable HISTORY_BEHIND."""
        await self._redis.broker.link(tenant_id).ready.wait()
        await self._redis.ledger.flushed()
        await self._complete(tenant_id)
        return await super().replay(tenant_id, wanted, recipient, most, after)

    async def _complete(self, tenant: str) -> None:
        """The history has all that was confirmed before."""
        if not await self._redis.catch_up(tenant):
            raise Unavailable(
                "HISTORY_BEHIND",
                "the history does not have all that was sent so far: that was much, or the process that "
                "writes it is stuck; try again",
                retry_after=1.0,
            )

    async def _settled(self, tenant: str) -> None:
        await self._redis.ledger.flushed()
        await self._redis.catch_up(tenant)

    async def _put_back(self, tenant_id: str, rows: Sequence[DeadRow]) -> int:
        link = self._redis.broker.link(tenant_id)
        await link.ready.wait()
        by_inbox: dict[str, list[DeadRow]] = {}
        for row in rows:
            if row.recipient in link.tenant.inboxes:
                by_inbox.setdefault(row.recipient, []).append(row)
        count, full = 0, None
        for name, found in by_inbox.items():
            drafts = [Old(row.body, letter=row.id) for row in found]
            done, refusal = await link.readmit(name, drafts, stop=False)
            count, full = count + sum(done), full or refusal
        if full is not None and not count:
            raise full
        return count

    async def _replayed(
        self, tenant: Tenant, inbox: Inbox, rows: Sequence[HistoryRow]
    ) -> tuple[int, int, PentadError | None]:
        link = self._redis.broker.link(tenant.id)
        drafts, seqs = [], []
        for row in rows:
            message = Message.FromString(row.body)
            if REPLAYED not in message.headers:
                drafts.append(Old(row.body, {REPLAYED: message.create_time.ToJsonString()}))
                seqs.append(row.seq)
        done, refusal = await link.readmit(inbox.name, drafts, stop=True) if drafts else ([], None)
        if len(done) == len(drafts):
            return len(done), rows[-1].seq, None
        first_left = seqs[len(done)]
        before = [row.seq for row in rows if row.seq < first_left]
        return len(done), before[-1] if before else 0, refusal

    async def queues(
        self, tenant: str, agent: str, size: int, page_token: str
    ) -> tuple[list[QueueState], str]:
        """A page of inboxes, by name."""
        await self._settled(tenant)
        return await super().queues(tenant, agent, size, page_token)

    async def _names(self, tenant: str) -> set[str]:
        return await self._redis.inbox_names(tenant)

    async def _states(
        self, tenant: str, names: Sequence[str], dead: Mapping[str, int]
    ) -> dict[str, QueueState]:
        link = self._redis.broker.link(tenant)
        await link.ready.wait()
        found = await self._redis.stats(tenant, names)
        consumers = link.replica.consumers()
        return {row[0]: _state(row, consumers.get(row[0], 0), dead.get(row[0], 0)) for row in found}


def _state(row: list[Any], consumers: int, dead_letters: int) -> QueueState:
    name, queued, in_flight, delayed, size, age, dropped, most, most_bytes, drops = row
    age = max(0.0, age)
    return QueueState(
        name,
        queued,
        in_flight,
        delayed,
        size,
        age,
        consumers,
        dead_letters,
        dropped,
        most,
        most_bytes,
        drops,
    )
