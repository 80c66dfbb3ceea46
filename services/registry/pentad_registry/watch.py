"""Watches: what is there, then every change, from a cursor on with no gap and no repeat.

A cursor is the registry's epoch, a position in the tenant's log and, while what is there is still being sent,
the last agent that was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from pentad_common.cursor import decode_cursor, encode_cursor
from pentad_common.errors import InvalidArgument, OutOfRange
from pentad_registry.directory import Directory
from pentad_registry.model import Agent, Change, ChangeKind, Lease
from pentad_registry.store import LiveStore

CURSOR = "agents"


class Watches:
    """Streams out of the log of changes."""

    def __init__(self, directory: Directory, live: LiveStore) -> None:
        self._directory = directory
        self._live = live

    async def changes(self, tenant: str, after: str = "") -> AsyncIterator[tuple[Change, str]]:
        """Changes with their cursors, for ever. Without `after`: what is there, SYNCED, then changes.

        Raises OutOfRange CURSOR_EXPIRED when changes after the cursor are no longer kept; InvalidArgument
        CURSOR_INVALID.
        """
        position, sent = await self._resume(tenant, after)
        if sent is not None:
            agents = await self._directory.agents(tenant)
            if not after:
                position = await self._live.position(tenant)
            for item in self._present(agents, position, sent):
                yield item
        async for number, change in self._log(tenant, position):
            yield change, self._cursor(number)

    async def drain_orders(self, tenant: str, position: int) -> AsyncIterator[Lease]:
        """Instances that are under order to drain, as changes after a position tell; may repeat one."""
        async for _, change in self._log(tenant, position):
            for lease in change.agent.instances if change.agent else ():
                if lease.drain_ordered:
                    yield lease

    async def _log(self, tenant: str, position: int) -> AsyncIterator[tuple[int, Change]]:
        while True:
            entries = await self._live.changes(tenant, position)
            if entries is None:
                raise await self._expired(tenant)
            for number, change in entries:
                position = number
                yield number, change
            await self._live.wait(tenant, position)

    async def _resume(self, tenant: str, after: str) -> tuple[int, str | None]:
        """The position in the log to go on from, and the last agent sent of what was there (None: all)."""
        if not after:
            return 0, ""
        epoch, position, sent = _decode(after)
        known = await self._live.oldest(tenant) <= position <= await self._live.position(tenant)
        if epoch != self._live.registry_epoch or not known:
            raise await self._expired(tenant)
        return position, sent

    def _present(self, agents: list[Agent], position: int, sent: str) -> list[tuple[Change, str]]:
        now = self._directory.now()
        left = [agent for agent in agents if agent.card.name > sent]
        items = [
            (Change(ChangeKind.UPDATED, agent, now), self._cursor(position, agent.card.name))
            for agent in left
        ]
        return [*items, (Change(ChangeKind.SYNCED, None, now), self._cursor(position))]

    def _cursor(self, position: int, sent: str | None = None) -> str:
        return encode_cursor(CURSOR, self._live.registry_epoch, position, sent)

    async def _expired(self, tenant: str) -> OutOfRange:
        oldest = self._cursor(await self._live.oldest(tenant))
        return OutOfRange(
            "CURSOR_EXPIRED",
            "changes after this cursor are no longer kept; start anew without a cursor",
            oldest=oldest,
        )


def _decode(cursor: str) -> tuple[str, int, str | None]:
    match decode_cursor(CURSOR, cursor):
        case [str() as epoch, int() as position, (str() | None) as sent]:
            return epoch, position, sent
    raise InvalidArgument("CURSOR_INVALID", f"{cursor!r} is not a cursor of {CURSOR}")
