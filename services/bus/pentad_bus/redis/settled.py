"""What became of deliveries, gathered until Redis is told with the next exchange."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from pentad_bus.redis.chunks import DONE, DURABLE, FLEETING, HANDED, Chunk, RemoteEntry
from pentad_common.ids import new_id


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


class Blobs:
    """Bytes by their place in a request."""

    def __init__(self) -> None:
        self.list: list[bytes] = []

    def place(self, data: bytes) -> int:
        """From 1."""
        self.list.append(data)
        return len(self.list)


class _Part:
    """What is settled of a chunk."""

    __slots__ = ("indexes", "released", "size", "whole")

    def __init__(self) -> None:
        self.indexes: list[int] = []
        self.released = 0
        """How many of them the inbox does not hold any longer."""
        self.size = 0
        """Bytes of these."""
        self.whole: bytearray | None = None
        """What the chunk is with them, if that is all of it, once it is written."""


class Settled:
    """Acks, returns, dead letters and changes of the directory. Told until Redis has answered."""

    def __init__(self) -> None:
        self._chunks: dict[Chunk, _Part] = {}
        self._expiring: list[RemoteEntry] = []
        self._returned: list[tuple[RemoteEntry, float]] = []
        self._dead: list[tuple[str, bytes]] = []
        self._dropped: Counter[str] = Counter()
        self._handed: list[Chunk] = []
        self.directory: list[list[Any]] = []

    def __bool__(self) -> bool:
        return bool(self._chunks or self._dropped or self.directory or self._handed)

    @property
    def urgent(self) -> bool:
        """Whether someone may wait for some of it: for acks nobody does."""
        return bool(self.directory or self._returned or self._dead)

    @property
    def has_directory(self) -> bool:
        """Whether it changes who is there."""
        return bool(self.directory)

    def settle(self, entry: RemoteEntry) -> None:
        """It is done with."""
        part = self._chunks.get(entry.chunk)
        if part is None:
            part = self._chunks[entry.chunk] = _Part()
        part.indexes.append(entry.index)
        part.released += 1
        part.size += len(entry.body)
        if entry.expires:
            self._expiring.append(entry)

    def reopen(self, entry: RemoteEntry) -> None:
        """It is not, after all. Only what this very one has settled."""
        part = self._chunks[entry.chunk]
        part.indexes.remove(entry.index)
        part.released -= 1
        part.size -= len(entry.body)
        if entry.expires:
            self._expiring.remove(entry)

    def hand_out(self, chunks: Iterable[Chunk]) -> None:
        """Some of what is in them has reached an agent, unless it is settled by now."""
        self._handed += [chunk for chunk in chunks if HANDED in chunk.done]

    def chunks(self) -> list[Chunk]:
        """Those of which something is settled."""
        return list(self._chunks)

    def told(self) -> None:
        """Redis has it all."""
        for chunk, part in self._chunks.items():
            if part.whole is not None:
                chunk.done = part.whole
                continue
            for index in part.indexes:  # others were given to an agent meanwhile
                chunk.done[index] = DONE

    def give_back(self, entry: RemoteEntry, due: float) -> None:
        """It comes again, not before `due` (epoch seconds)."""
        self.settle(entry)
        part = self._chunks[entry.chunk]
        part.released -= 1
        part.size -= len(entry.body)
        self._returned.append((entry, due))

    def bury(self, entry: RemoteEntry, reason: str, detail: str, now: float) -> None:
        """It goes to the dead letters."""
        self.settle(entry)
        history = json.dumps(entry.history) if entry.history else ""
        told = [new_id(), entry.inbox.name, reason, detail, entry.attempts, now, history]
        self._dead.append((json.dumps(told), entry.body))

    def drop(self, entry: RemoteEntry) -> None:
        """It is of no use to anyone; what is delivered at most once is not in Redis any more."""
        if not entry.once:
            self.settle(entry)
        self._dropped[entry.inbox.name] += 1

    def write(self, names: Names, blobs: Blobs) -> dict[str, Any]:
        """Its part of a request."""
        return {
            "ack": self._acks(names),
            "ret": [self._return(entry, due, names, blobs) for entry, due in self._returned],
            "dead": [[blobs.place(body), told] for told, body in self._dead],
            "drop": [[names.place(name), count] for name, count in self._dropped.items()],
            "dir": self.directory,
        }

    def _acks(self, names: Names) -> list[list[Any]]:
        rows: dict[tuple[int, int], list[Any]] = {}
        for chunk, part in self._chunks.items():
            row = _row(rows, chunk, names)
            row[5] += len(part.indexes)
            row[6] += part.released
            row[7] += part.size
            image = chunk.done.copy()
            for index in part.indexes:
                image[index] = DONE
            if image.count(DONE) < len(image):
                part.whole = None
                row[4].append([chunk.id, image.decode()])
                chunk.marked = True
            else:
                part.whole = image
                row[3 if chunk.aside else 2].append(chunk.id)
                row[9] |= int(chunk.marked)
        for chunk in self._handed:
            if chunk not in self._chunks and HANDED in chunk.done:
                _row(rows, chunk, names)[4].append([chunk.id, chunk.done.decode()])
                chunk.marked = True
        for entry in self._expiring:
            rows[names.place(entry.inbox.name), entry.level][8].append(entry.chunk.id)
        return list(rows.values())

    @staticmethod
    def _return(entry: RemoteEntry, due: float, names: Names, blobs: Blobs) -> list[Any]:
        kind = DURABLE if entry.stored else FLEETING
        return [
            names.place(entry.inbox.name),
            entry.level,
            f"{entry.seq}-1",
            blobs.place(entry.record()),
            round(due * 1000),
            kind,
            entry.subscription,
            round(entry.expires * 1000),
        ]


def _row(rows: dict[tuple[int, int], list[Any]], chunk: Chunk, names: Names) -> list[Any]:
    """What is said of the inbox and level of a chunk, as `lua/settling.lua` takes it."""
    key = (names.place(chunk.inbox.name), chunk.level)
    row = rows.get(key)
    if row is None:
        row = rows[key] = [*key, [], [], [], 0, 0, 0, [], 0]
    return row
