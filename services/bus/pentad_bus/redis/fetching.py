"""What a process asks Redis for, and where it puts that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from pentad_bus.redis.chunks import Chunk, RemoteEntry, entries
from pentad_bus.redis.script import Answer
from pentad_bus.redis.settled import Names
from pentad_bus.redis.settlement import RemoteInbox
from pentad_bus.tenant import Tenant

if TYPE_CHECKING:
    from pentad_bus.session import Session

MOST_FETCHED = 4096
"""Of one inbox in one exchange: what one process fetched no other can have."""


class Fetching:
    """Which inboxes may have something for a connection here."""

    def __init__(self, tenant: Tenant, unwanted: Callable[[RemoteEntry], None]) -> None:
        self._tenant = tenant
        self._wanted: set[str] = set()
        self._unwanted = unwanted
        """Called with what came when nobody was there for it any more."""

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def want(self, names: Iterable[str]) -> None:
        """There may be something in these inboxes."""
        self._wanted.update(names)

    def want_all(self) -> None:
        """There may be something in any."""
        self._wanted.update(inbox.name for inbox in self._tenant.inboxes.values() if inbox.consumers)

    def ask(self, names: Names, touched: Iterable[str] = ()) -> dict[int, int]:
        """How much to fetch of which inbox (by place): as much as its connections here have room for."""
        inboxes, wanted = self._tenant.inboxes, self._wanted
        wanted.update(name for name in touched if name in inboxes and inboxes[name].consumers)
        pulls: dict[int, int] = {}
        for name in list(wanted):
            inbox = inboxes.get(name)
            if inbox is None or not inbox.consumers:
                wanted.discard(name)
                continue
            sessions = cast("list[Session]", inbox.consumers)
            room = sum(session.room for session in sessions if not session.draining and not session.ended)
            room -= len(inbox.ready)
            if room > 0:
                pulls[names.place(name)] = min(room, MOST_FETCHED)
        return pulls

    def asked(self, names: list[str], pulls: dict[int, int]) -> None:
        """A wake-up from now on is news."""
        self._wanted -= {names[place - 1] for place in pulls}

    def take(self, answer: Answer, names: list[str]) -> None:
        """Puts what was fetched into the inboxes here."""
        self._wanted |= {names[place - 1] for place in answer["more"]}
        touched: dict[str, RemoteInbox] = {}
        for row, data in zip(answer["got"] or (), answer["bytes"], strict=True):
            place, level, chunk_id, aside, kind, pattern, part = row
            inbox = cast(RemoteInbox, self._tenant.inboxes[names[place - 1]])
            chunk = Chunk(inbox, level, chunk_id, bool(aside), pattern, part)
            if not inbox.consumers:
                for entry in entries(chunk, kind, data):
                    self._unwanted(entry)
                continue
            put = inbox.ready.put_back if aside else inbox.ready.push
            for entry in entries(chunk, kind, data):
                put(entry)
            touched[inbox.name] = inbox
        for inbox in touched.values():
            inbox.wake()
