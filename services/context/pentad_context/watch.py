"""Watches: every change below a prefix, once and in order, from a cursor on.

A cursor is a position in the tenant's changes and, while what was there at the beginning is still being sent,
the last key that was. What was there is read page by page; an entry that changes meanwhile comes as a change
only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

from pentad_common.call import CallContext
from pentad_common.clock import utcnow
from pentad_common.cursor import decode_cursor, encode_cursor
from pentad_common.errors import InvalidArgument, OutOfRange
from pentad_context.addresses import check_access, check_prefix
from pentad_context.feed import Feed
from pentad_context.model import END, Address, Entry, Position
from pentad_context.store import Changes, ContextStore

CURSOR = "context-watch"


@dataclass(frozen=True, slots=True)
class Start:
    """Where a watch begins: after a cursor, or a revision (0: now), or with what is there."""

    cursor: str = ""
    revision: int = 0
    current: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """An entry after a change (None: where the watch begins); `revision`: everything up to it has been
    sent.
    """

    entry: Entry | None
    cursor: str
    revision: int


class Watches:
    """Streams of changes out of the histories in a store."""

    def __init__(self, store: ContextStore, feed: Feed, clock: Callable[[], datetime] = utcnow) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock

    async def changes(self, call: CallContext, prefix: Address, start: Start) -> AsyncIterator[News]:
        """Where the watch begins, then changes, for ever.

        Raises PermissionDenied NAMESPACE_FORBIDDEN, InvalidArgument CURSOR_INVALID, OutOfRange
        CURSOR_EXPIRED.
        """
        prefix = check_prefix(prefix)
        check_access(call, prefix)
        tenant = call.tenant_id
        position, sent = await self._begin(tenant, start)
        await self._check_kept(tenant, prefix, position)
        yield News(None, _cursor(position, sent), position.revision if sent is None else 0)
        if sent is not None:
            async for news in self._present(tenant, prefix, position, sent):
                yield news
        while True:
            changes = await self._store.changes(tenant, prefix, position)
            _check(position, changes.oldest)
            for news in _to_news(changes):
                yield news
            position = changes.end
            if not changes.more:
                await self._feed.wait(tenant, position.revision)

    async def _begin(self, tenant: str, start: Start) -> tuple[Position, str | None]:
        """The position to go on from, and the last key sent of what was there (None: all that was to be
        sent).
        """
        if start.cursor:
            return _decode(start.cursor)
        if start.revision and not start.current:
            return Position(start.revision, END), None
        current = (await self._store.revisions([tenant])).get(tenant, 0)
        return Position(current, END), "" if start.current else None

    async def _check_kept(self, tenant: str, prefix: Address, position: Position) -> None:
        """Before the first answer: a position that is not to be had, or not yet, is refused."""
        probe = await self._store.changes(tenant, prefix, Position(position.revision, END), 1)
        _check(position, probe.oldest)
        current = (await self._store.revisions([tenant])).get(tenant, 0)
        if position.revision > current:
            raise _expired(probe.oldest, "the cursor is ahead of what is there; start anew")

    async def _present(
        self, tenant: str, prefix: Address, position: Position, sent: str
    ) -> AsyncIterator[News]:
        more = True
        while more:
            page = await self._store.list(
                tenant, prefix, after=sent, until=position.revision, now=self._clock()
            )
            more = page.more
            for index, entry in enumerate(page.entries, start=1):
                sent = entry.address.key
                last = not more and index == len(page.entries)
                yield News(entry, _cursor(position, None if last else sent), position.revision if last else 0)


def _to_news(changes: Changes) -> list[News]:
    """The changes; after the last one of a revision everything up to that has been sent."""
    revisions = [position.revision for position, _ in changes.items]
    following = [*revisions[1:], revisions[-1] if changes.more else 0] if revisions else []
    news = []
    for (position, entry), after in zip(changes.items, following, strict=True):
        if after == position.revision:
            news.append(News(entry, _cursor(position), position.revision - 1))
        else:
            news.append(News(entry, _cursor(Position(position.revision, END)), position.revision))
    return news


def _cursor(position: Position, sent: str | None = None) -> str:
    return encode_cursor(CURSOR, position.revision, position.ordinal, sent)


def _decode(cursor: str) -> tuple[Position, str | None]:
    match decode_cursor(CURSOR, cursor):
        case [int() as revision, int() as ordinal, (str() | None) as sent] if revision >= 0 <= ordinal:
            return Position(revision, ordinal), sent
    raise InvalidArgument("CURSOR_INVALID", f"{cursor!r} is not a cursor of {CURSOR}", kind=CURSOR)


def _check(position: Position, oldest: int) -> None:
    """Changes up to `oldest` may be missing, so what follows must all be later."""
    if position < (oldest, END) and oldest:
        raise _expired(oldest, "changes after this position are no longer kept; start anew")


def _expired(oldest: int, why: str) -> OutOfRange:
    return OutOfRange("CURSOR_EXPIRED", why, oldest=oldest, oldest_cursor=_cursor(Position(oldest, END)))
