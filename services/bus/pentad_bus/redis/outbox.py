"""What a tenant's line to Redis has to say, gathered until its next exchange."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from pentad_bus.entry import Entry
from pentad_bus.redis.chunks import HANDED, Chunk, RemoteEntry
from pentad_bus.redis.drafts import Frame
from pentad_bus.redis.fetching import Fetching
from pentad_bus.redis.script import out_of_memory, unavailable
from pentad_bus.redis.settled import Settled
from pentad_bus.tenant import Tenant
from pentad_client.signal import Signal
from pentad_common.errors import PentadError

_MOST_MESSAGES = 4096
_MOST_BYTES = 4 * 1024 * 1024
_PATIENCE = 0.002
"""Seconds that acks wait for something else to be said: an exchange costs as much as twenty messages."""
_HANDED_SECONDS = 0.01
"""After which Redis is told that an agent was given something: most of it is acked before."""

Given = Sequence[tuple[int, Entry]]
"""Deliveries by tag."""


class Outbox:
    """Everything that connections and the clock want Redis to know of one tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self.fetching = Fetching(tenant, self._unwanted)
        self.attached = False
        """Whether this process is known to the tenant's part of Redis."""
        self.failing = False
        """Whether Redis did not answer last time."""
        self.full = False
        """Whether Redis had no memory left for a publish."""
        self.on_sooner: Callable[[float], None] = lambda due: None
        """Called when something is due (epoch seconds) that was not known to be."""
        self._settled = Settled()
        self._late = False
        """Whether acks have waited long enough."""
        self._timer: asyncio.TimerHandle | None = None
        self._handed: list[tuple[Given, Mapping[int, Entry]]] = []
        self._frames: deque[Frame] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._wanted = Signal()

    @property
    def busy(self) -> bool:
        """Whether something was said that is not stored yet, or cannot be at the moment."""
        return bool(self._settled or self._frames or self.failing)

    def kick(self) -> None:
        """There is something to say or to ask."""
        self._wanted.set()

    def submit(self, frame: Frame) -> None:
        """Publishes. While Redis is away or full they fail at once."""
        if self.failing:
            frame.fail(unavailable())
        elif self.full:
            frame.fail(out_of_memory())
        else:
            self._frames.append(frame)
            self._wanted.set()

    def ack(self, entry: RemoteEntry) -> None:
        """A delivery is done."""
        self._settled.settle(entry)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._acks_are_late)

    def _acks_are_late(self) -> None:
        self._timer = None
        self._hurry()

    def _hurry(self) -> None:
        self._late = True
        self._wanted.set()

    @property
    def _pressing(self) -> bool:
        """Whether something is to be said now, publishes aside."""
        settled = self._settled
        return settled.urgent or bool(settled and (self._late or self._waiters))

    def handed(self, given: Given, still_open: Mapping[int, Entry]) -> None:
        """An agent was given these: that counts as an attempt, even if this process dies."""
        if not self._handed:
            asyncio.get_running_loop().call_later(_HANDED_SECONDS, self._tell_handed)
        self._handed.append((given, still_open))

    def _tell_handed(self) -> None:
        handed, self._handed = self._handed, []
        chunks: dict[Chunk, None] = {}
        for given, still_open in handed:
            for entry in [entry for tag, entry in given if tag in still_open and not entry.once]:
                chunk = cast(RemoteEntry, entry).chunk
                chunk.done[cast(RemoteEntry, entry).index] = HANDED
                chunks[chunk] = None
        if chunks:
            self._settled.hand_out(chunks)
            self._hurry()

    def give_back(self, entry: RemoteEntry, delay: float) -> None:
        """A delivery is to come again."""
        due = time.time() + delay if delay > 0 else 0.0
        self._settled.give_back(entry, due)
        self.fetching.want([entry.inbox.name])
        if due:
            self.on_sooner(due)
        self._wanted.set()

    def bury(self, entry: RemoteEntry, reason: str, detail: str) -> None:
        """A delivery goes to the dead letters."""
        self._settled.bury(entry, reason, detail, time.time())
        self._wanted.set()

    def drop(self, entry: RemoteEntry) -> None:
        """A delivery is of no use to anyone."""
        self._settled.drop(entry)
        self._hurry()

    def _unwanted(self, entry: RemoteEntry) -> None:
        if entry.once:
            self.drop(entry)
        else:
            self.give_back(entry, 0.0)

    def change(self, *change: Any) -> None:
        """Something in the directory; `lua/directory.lua` has the kinds."""
        self._settled.directory.append(list(change))
        self._wanted.set()

    def hungry(self) -> None:
        """There is room for more."""
        if self.fetching:
            self._wanted.set()

    def look(self, names: list[str]) -> None:
        """There may be something in these inboxes."""
        self.fetching.want(names)
        self._wanted.set()

    async def flushed(self) -> None:
        """Waits until all that was said so far is stored. Raises Unavailable."""
        if not self.busy and self.attached:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wanted.set()
        await waiter

    def _refuse(self, error: PentadError) -> None:
        frames, self._frames = self._frames, deque()
        for frame in frames:
            frame.fail(error)

    def _wake_waiters(self, error: PentadError | None, until: int | None = None) -> None:
        waiters, self._waiters = self._waiters[:until], self._waiters[len(self._waiters[:until]) :]
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    def _next_frames(self) -> list[Frame]:
        frames: list[Frame] = []
        messages = size = 0
        while self._frames and messages < _MOST_MESSAGES and size < _MOST_BYTES:
            frame = self._frames.popleft()
            frames.append(frame)
            messages += len(frame.drafts)
            size += sum([len(draft.body) for draft in frame.drafts])
        return frames
