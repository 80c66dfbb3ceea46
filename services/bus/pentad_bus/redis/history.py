"""The unary side on Redis: what is not in SQL yet is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pentad_bus.group_commit import resolve
from pentad_bus.history import History, QueueState
from pentad_bus.redis.link import Frame
from pentad_bus.store.journal import DeadRow, HistoryFilter, HistoryRow
from pentad_common.errors import PentadError

if TYPE_CHECKING:
    from pentad_bus.redis.bus import RedisBus
    from pentad_bus.redis.drafts import Draft


class RedisHistory(History):
    """As `History`; the archive is some milliseconds behind."""

    def __init__(self, bus: RedisBus) -> None:
        super().__init__(bus)  # type: ignore[arg-type] # reads the same of both
        self._redis = bus

    async def messages(
        self, tenant: str, wanted: HistoryFilter, size: int, page_token: str
    ) -> tuple[list[HistoryRow], str]:
        """A page, newest first."""
        if not page_token:
            await self._redis.catch_up(tenant)
        return await super().messages(tenant, wanted, size, page_token)

    async def tail(
        self, tenant: str, wanted: HistoryFilter, after: str, from_start: bool
    ) -> AsyncIterator[HistoryRow]:
        """Messages as they are archived, after a cursor."""
        await self._redis.catch_up(tenant)
        async for row in super().tail(tenant, wanted, after, from_start):
            yield row

    async def dead_letters(
        self, tenant: str, recipient: str, size: int, page_token: str
    ) -> tuple[list[DeadRow], str]:
        """A page, newest first."""
        await self._settled(tenant)
        return await super().dead_letters(tenant, recipient, size, page_token)

    async def redrive(self, tenant: str, ids: Sequence[str], recipient: str) -> int:
        """Puts dead letters back into their inboxes; how many."""
        await self._settled(tenant)
        return await super().redrive(tenant, ids, recipient)

    async def _settled(self, tenant: str) -> None:
        await self._redis.ledger.flushed()
        await self._redis.catch_up(tenant)

    async def _put_back(self, rows: Sequence[DeadRow]) -> int:
        if not rows:
            return 0
        tenant_id = rows[0].tenant_id
        link = self._redis.broker.link(tenant_id)
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        taken: list[Draft] = []

        def finish(draft: Draft, error: PentadError | None, duplicate: bool) -> None:
            if error is None and not duplicate:
                taken.append(draft)

        drafts = [self._redis.broker.redriven(row, finish) for row in rows]
        link.submit(Frame(drafts, partial(resolve, answered, None)))
        await answered
        await self._redis.catch_up(tenant_id)
        return len(taken)

    async def queues(self, tenant: str, agent: str) -> list[QueueState]:
        """The inboxes of an agent and its instances, or all; by name."""
        await self._settled(tenant)
        dead = await self._redis.read(self._redis.journal.dead_counts, tenant)
        link = self._redis.broker.link(tenant)
        await link.ready.wait()
        found = await self._redis.stats(tenant, agent)
        states = [_state(row, link.replica.consumers(row[0]), dead.pop(row[0], 0)) for row in found]
        states += [QueueState(name, 0, 0, 0, 0, 0.0, 0, count, 0) for name, count in dead.items()]
        wanted = [
            item for item in states if not agent or agent in (item.recipient, item.recipient.split("/")[0])
        ]
        return sorted(wanted, key=lambda item: item.recipient)


def _state(row: list[Any], consumers: int, dead_letters: int) -> QueueState:
    name, queued, in_flight, delayed, size, oldest_age, dropped = row
    return QueueState(
        name, queued, in_flight, delayed, size, oldest_age / 1000, consumers, dead_letters, dropped
    )
