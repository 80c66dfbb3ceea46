"""What a bus process has to say to Redis about one tenant, gathered until the next exchange."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pentad_bus.publisher import Target
from pentad_bus.redis.drafts import Draft, RemoteEntry


class Names:
    """Inboxes by their place in a request, so that each name is said once."""

    def __init__(self) -> None:
        self.list: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, name: str) -> int:
        """From 1."""
        place = self._places.get(name)
        if place is None:
            self.list.append(name)
            place = self._places[name] = len(self.list)
        return place


class Settled:
    """Acks, returns, dead letters and changes of the directory. Told until Redis has answered."""

    def __init__(self) -> None:
        self.acks: dict[tuple[str, int], list[RemoteEntry]] = {}
        self.returned: list[tuple[RemoteEntry, int, float]] = []
        self.dead: list[tuple[RemoteEntry, str, str]] = []
        self.dropped: list[RemoteEntry] = []
        self.directory: list[list[Any]] = []

    def __bool__(self) -> bool:
        return bool(self.acks or self.returned or self.dead or self.dropped or self.directory)

    def write(self, names: Names) -> dict[str, Any]:
        """Its part of a request."""
        return {
            "ack": [_acks(names.place(name), level, found) for (name, level), found in self.acks.items()],
            "ret": [
                [names.place(entry.inbox.name), entry.level, entry.place, attempts, round(due * 1000)]
                for entry, attempts, due in self.returned
            ],
            "dead": [
                [names.place(entry.inbox.name), entry.level, entry.place, reason, detail, entry.attempts]
                for entry, reason, detail in self.dead
            ],
            "drop": [
                [names.place(entry.inbox.name), entry.level, entry.place, len(entry.body)]
                for entry in self.dropped
            ],
            "dir": self.directory,
        }


def _acks(place: int, level: int, entries: list[RemoteEntry]) -> list[Any]:
    size = sum(len(entry.body) for entry in entries)
    return [
        place,
        level,
        [entry.place for entry in entries],
        size,
        [entry.place for entry in entries if entry.expires],
    ]


def write_draft_row(draft: Draft, targets: Iterable[Target], names: Names) -> list[Any]:
    """A message's part of a request; `tenant.lua` reads it by these places."""
    message, settled = draft.message, draft.settled
    row = [
        f"redrive:{draft.redriven}" if draft.redriven else draft.id,
        len(draft.meta),
        len(draft.body),
        (message.priority or 2) - 1,
        round(draft.expires * 1000),
        0 if draft.redriven else round(draft.due * 1000),
        int(draft.once),
        [[names.place(inbox.name), pattern, int(not lasting)] for inbox, pattern, lasting in targets],
        int(message.HasField("recipient") and not draft.redriven),
        _settles(settled, names) if isinstance(settled, RemoteEntry) and not settled.once else 0,
    ]
    if draft.redriven:
        row.append(draft.redriven)
    return row


def _settles(entry: RemoteEntry, names: Names) -> list[Any]:
    return [names.place(entry.inbox.name), entry.level, entry.place, len(entry.body)]
