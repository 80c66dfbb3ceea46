"""Publishes what committed moves owe, and then forgets it. A message published twice has one id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from pentad_common.errors import PentadError, Unavailable
from pentad_common.telemetry import get_logger
from pentad_orchestrator.background import Background
from pentad_orchestrator.lines import Lines
from pentad_orchestrator.run import Owed
from pentad_orchestrator.store.runs import RunStore

log = get_logger(__name__)

Refuse = Callable[[Owed, PentadError], Awaitable[None]]

_SETTLE_SECONDS = 0.05
"""Published messages are forgotten together, off the way of the next step."""


class Outbox:
    """The messages of this instance that are on their way."""

    def __init__(self, store: RunStore, lines: Lines, background: Background, refuse: Refuse) -> None:
        self._store = store
        self._lines = lines
        self._background = background
        self._refuse = refuse
        self._under_way: set[int] = set()
        self._settled: list[int] = []

    def send(self, owed: Iterable[Owed]) -> None:
        """Publishes these in the background, if that is not being done already."""
        for item in owed:
            if item.seq not in self._under_way:
                self._under_way.add(item.seq)
                self._background.spawn(self._publish(item), item.tenant)

    async def take_up(self, older_than: float) -> None:
        """Sends what was committed at least `older_than` seconds ago and is not yet published."""
        owed, needless = await self._store.owed(older_than)
        for seq in needless:
            self.forget(seq)
        self.send(owed)

    async def _publish(self, item: Owed) -> None:
        try:
            await self._lines.of(item.tenant).publish(item.message)
        except Unavailable as error:
            # The bus has not refused it; it may even have it. The next poll sends it again, under its id.
            log.warning("a message could not be published", run=item.run_id, error=str(error))
            self._under_way.discard(item.seq)
            return
        except PentadError as error:
            log.warning("the bus refused a message", run=item.run_id, reason=error.reason, error=str(error))
            await self._refuse(item, error)
        except BaseException:
            self._under_way.discard(item.seq)
            raise
        self.forget(item.seq)

    def forget(self, seq: int) -> None:
        """The message is done with."""
        if seq in self._settled:
            return
        self._under_way.add(seq)
        self._settled.append(seq)
        if len(self._settled) == 1:
            self._background.spawn(self._settle())

    async def _settle(self) -> None:
        await asyncio.sleep(_SETTLE_SECONDS)
        seqs, self._settled = self._settled, []
        await self._store.settle(seqs)
        self._under_way.difference_update(seqs)
