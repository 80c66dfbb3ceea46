"""Messages as Redis has them: several of one inbox and level in a chunk, one record behind the other.

`lua/chunks.lua` reads and writes the same records.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

from pentad_bus.entry import Entry
from pentad_bus.inbox import Inbox

_HEAD = struct.Struct(">IHIddI")
"""Bytes of the body, attempts, order within its exchange; created, expires (epoch seconds, 0: never); bytes
of the history. Then the history, as JSON, and the body.
"""
HEAD_SIZE = _HEAD.size

DONE, HANDED = b"12"
"""How far a message of a chunk is, beside 0: `HANDED` are those whose frame was written to an agent."""

DURABLE, ONCE, FLEETING = "e", "o", "k"
"""Kinds of a chunk: best effort is `o`, a copy for one connection alone ends in `k`."""


class Chunk:
    """A chunk that this process has. `done`: how far its messages are, a character each. What is not this
    process's is `DONE`, and what is settled becomes so when Redis has been told.
    """

    __slots__ = ("aside", "done", "first", "id", "inbox", "level", "marked", "pattern")

    def __init__(self, inbox: Inbox, level: int, id: str, aside: bool, pattern: str, part: str) -> None:
        first, _, count = id.partition("-")
        self.inbox = inbox
        self.level = level
        self.id = id
        self.first = int(first)
        self.aside = aside
        """Whether it is in the hash of what was set aside; otherwise in the stream."""
        self.pattern = pattern
        self.done = bytearray(part.encode()) if part else bytearray(b"0") * int(count)
        self.marked = bool(part)
        """Whether Redis has a note of what is done."""

    @property
    def member(self) -> str:
        """How the script names it."""
        return f"{self.level}|{self.id}|{self.inbox.name}"


class RemoteEntry(Entry):
    """A delivery that Redis holds for this process: message `index` of a chunk."""

    __slots__ = ("_created", "chunk", "index")

    def __init__(
        self,
        chunk: Chunk,
        index: int,
        kind: str,
        body: bytes,
        attempts: int,
        created: float,
        expires: float,
        history: bytes,
    ) -> None:
        Entry.__init__(
            self,
            chunk.inbox,
            chunk.pattern,
            kind == DURABLE,
            kind[0] == ONCE,
            chunk.first + index,
            body,
            chunk.level,
            expires,
            0.0,
            attempts,
        )
        self.chunk = chunk
        self.index = index
        self._created = created
        if history:
            self.history = [tuple(attempt) for attempt in json.loads(history)]

    @property
    def created(self) -> float:
        """When the bus took the message."""
        return self._created

    def record(self) -> bytes:
        """As it goes back into Redis."""
        history = json.dumps(self.history, separators=(",", ":")).encode() if self.history else b""
        head = _HEAD.pack(len(self.body), self.attempts, 0, self._created, self.expires, len(history))
        return head + history + self.body


def entries(chunk: Chunk, kind: str, data: bytes) -> Iterator[RemoteEntry]:
    """What of a chunk is this process's to deliver."""
    unpack, done = _HEAD.unpack_from, chunk.done
    at, index, end = 0, 0, len(data)
    while at < end:
        size, attempts, _, created, expires, told = unpack(data, at)
        at += HEAD_SIZE
        body = at + told
        if done[index] != DONE:
            yield RemoteEntry(
                chunk, index, kind, data[body : body + size], attempts, created, expires, data[at:body]
            )
        at = body + size
        index += 1


def head(size: int, order: int, created: float, expires: float) -> bytes:
    """What stands before the body of a new message."""
    return _HEAD.pack(size, 0, order, created, expires, 0)


def bodies(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages of a chunk, each with its order within the exchange that brought it."""
    at = 0
    while at < len(data):
        size, _, order, _, _, told = _HEAD.unpack_from(data, at)
        body = at + HEAD_SIZE + told
        yield order, data[body : body + size]
        at = body + size
