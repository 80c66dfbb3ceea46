"""A segment of the journal's log: what one group commit took and settled, as bytes.

Numbers stand together in columns and bodies one behind the other, so that a message costs a few steps in C
and no statement of its own: measured, 0.6 µs instead of 11 for rows.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

from pentad_bus.store.journal import Changes, EntryRow, MessageRow

FORMAT = 1
_COMMON_INDEX = 512
"""Bytes up to which an index is remembered."""
_to_json = json.JSONEncoder(separators=(",", ":")).encode
_HEAD = struct.Struct("<BI")
"""Format, and bytes of the index."""
_ONE = struct.Struct("<QIIQQIId")
"""All columns of a message and an entry."""


def encode(changes: Changes) -> bytes:
    """The messages, entries, settled, retried and removed of a transaction. All else is not in the log."""
    messages, entries, settled = changes.messages, changes.entries, changes.settled
    if len(messages) == len(entries) == 1 and not (settled or changes.retried or changes.removed):
        return _encode_one(messages[0], entries[0])
    names: dict[str, int] = {}
    parts: list[bytes] = []
    bodies: Sequence[bytes] = ()
    if messages:
        seqs, _, tenants, bodies = zip(*messages, strict=True)
        parts += [_numbers("Q", seqs), _texts(names, tenants), _numbers("I", list(map(len, bodies)))]
    if entries:
        seqs, inboxes, tenants, patterns, dues = zip(*entries, strict=True)
        parts += [_numbers("Q", seqs), _numbers("Q", inboxes)]
        parts += [_texts(names, tenants), _texts(names, patterns), _numbers("d", dues)]
    if settled:
        seqs, inboxes = zip(*settled, strict=True)
        parts += [_numbers("Q", seqs), _numbers("Q", inboxes)]
    counts = len(messages), len(entries), len(settled)
    if changes.retried or changes.removed:
        index = _to_json([counts, list(names), changes.retried, changes.removed]).encode()
    else:
        index = _plain_index(counts, tuple(names))
    return b"".join([_HEAD.pack(FORMAT, len(index)), index, *parts, *bodies])


def _encode_one(message: MessageRow, entry: EntryRow) -> bytes:
    """The same for a message on its own with one recipient, whose sender waits: in one step."""
    seq, _, tenant, body = message
    _, inbox, _, pattern, due = entry
    index = _plain_index((1, 1, 0), (tenant, pattern))
    columns = _ONE.pack(seq, 0, len(body), seq, inbox, 0, 1, due)
    return b"".join((_HEAD.pack(FORMAT, len(index)), index, columns, body))


@lru_cache(maxsize=256)
def _plain_index(counts: tuple[int, int, int], names: tuple[str, ...]) -> bytes:
    return _to_json([counts, names, [], []]).encode()


def _numbers(kind: str, values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}{kind}", *values)


def _texts(names: dict[str, int], values: Sequence[str]) -> bytes:
    for value in set(values):
        if value not in names:
            names[value] = len(names)
    return _numbers("I", [names[value] for value in values])


def decode(data: bytes) -> Changes:
    """What was encoded, but for the messages' ids: they are in the bodies. Raises ValueError if it is
    of a later format.
    """
    (counts, _, retried, removed), columns = _opened(data)
    messages = columns.messages(counts[0])
    entries, settled = columns.entries(counts[1]), columns.settled(counts[2])
    return Changes(
        messages=columns.with_bodies(*messages),
        entries=entries,
        settled=settled,
        retried=[(*row[:4], [tuple(attempt) for attempt in row[4]]) for row in retried],
        removed=removed,
    )


def newest(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    """The messages of what was encoded, the last one first: seq, tenant, body. Raises ValueError as
    `decode`.
    """
    (counts, *_), columns = _opened(data)
    seqs, tenants, lengths = columns.messages(counts[0])
    end = len(data)
    for seq, tenant, length in zip(reversed(seqs), reversed(tenants), reversed(lengths), strict=True):
        yield seq, tenant, data[end - length : end]
        end -= length


def _opened(data: bytes) -> tuple[Any, _Columns]:
    kind, size = _HEAD.unpack_from(data)
    if kind != FORMAT:
        raise ValueError(f"a log segment of format {kind}; this version reads {FORMAT}")
    start = _HEAD.size
    read = _read_index if size < _COMMON_INDEX else json.loads
    index = read(data[start : start + size])
    return index, _Columns(data, start + size, index[1])


@lru_cache(maxsize=256)
def _read_index(data: bytes) -> Any:
    """Most segments of a time have one of a few. What is found is not to be changed."""
    return json.loads(data)


class _Columns:
    """Reads columns one behind the other."""

    def __init__(self, data: bytes, place: int, names: Sequence[str]) -> None:
        self._data = data
        self._place = place
        self._names = names

    def messages(self, count: int) -> tuple[Sequence[int], Sequence[str], Sequence[int]]:
        return self._numbers("Q", count), self._texts(count), self._numbers("I", count)

    def entries(self, count: int) -> list[EntryRow]:
        seqs, inboxes = self._numbers("Q", count), self._numbers("Q", count)
        tenants, patterns = self._texts(count), self._texts(count)
        return list(zip(seqs, inboxes, tenants, patterns, self._numbers("d", count), strict=True))

    def settled(self, count: int) -> list[tuple[int, int]]:
        return list(zip(self._numbers("Q", count), self._numbers("Q", count), strict=True))

    def with_bodies(
        self, seqs: Sequence[int], tenants: Sequence[str], lengths: Sequence[int]
    ) -> list[MessageRow]:
        data = self._data
        places = accumulate(lengths, initial=self._place)
        return [
            (seq, "", tenant, data[place : place + length])
            for seq, tenant, place, length in zip(seqs, tenants, places, lengths, strict=False)
        ]

    def _numbers(self, kind: str, count: int) -> tuple[Any, ...]:
        layout = struct.Struct(f"<{count}{kind}")
        values = layout.unpack_from(self._data, self._place)
        self._place += layout.size
        return values

    def _texts(self, count: int) -> list[str]:
        names = self._names
        return [names[number] for number in self._numbers("I", count)]
