"""Group commit: whatever was handed in while the last commit ran is the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pentad_bus.counters import Counters
from pentad_bus.ledger import Commit
from pentad_bus.store.journal import Changes, Journal
from pentad_common.errors import PentadError, Unavailable
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

PATIENCE = 0.01
"""Seconds that what nobody waits for waits for company."""
RETRY = 0.5
"""Seconds until it is tried again after the journal failed."""
SLOW = 0.05
"""Seconds; after a commit on the event loop that took longer, for a disk that stalls or another's lock, the
thread writes instead.
"""
SLOW_REST = 0.5
"""Seconds for which it does, after the last that was slow."""
BYTES_PER_SECOND = 50e6
"""That a disk should write at least, for the thread's own commits to count as quick."""
MOST_MESSAGES = 8192
MOST_BYTES = 16 * 1024 * 1024
MOST_BEHIND = 500_000
"""Messages in the journal's log before each commit takes some of them further: a restart does it first."""

Result = TypeVar("Result")


class GroupCommit:
    """The broker's `Ledger`: a transaction at a time, in order.

    What is small is written where it is, once all that is ready in this turn of the event loop was handed in:
    another thread would take longer to wake up. All else is written by a thread.
    """

    def __init__(self, journal: Journal, counters: Counters) -> None:
        self.later = Changes()
        self._journal = journal
        self._counters = counters
        self._queue: list[Commit] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._wanted = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self._writing = False
        self._turn: asyncio.Handle | None = None
        self._rested = 0.0
        """When the event loop may write again, by `time.monotonic`."""
        self.on_health: Callable[[bool], None] = lambda healthy: None
        """Called when the journal cannot be written any more, and when it can again."""
        self._singly = 0
        """How many of the queue are to be stored one by one."""

    def start(self) -> None:
        """Begins to write; needs a running event loop."""
        self._task = asyncio.create_task(self._run(), name="journal")

    async def close(self) -> None:
        """Stores what is left, then stops."""
        if self._task is not None:
            try:
                await self.flushed()
            except PentadError as error:
                log.error("the journal could not be completed", reason=error.reason)
            self._task.cancel()
        self._thread.shutdown(wait=True)

    def submit(self, commit: Commit) -> None:
        """Stores a commit: the first in a turn of the event loop at once, if it can be; what follows in that
        turn as a group.
        """
        self._queue.append(commit)
        if self._turn is None and not self._writing:
            self._turn = asyncio.get_running_loop().call_soon(self._write_soon)
            self._written_at_once()

    @property
    def idle(self) -> bool:
        """Whether nothing is being stored, and nothing waits to be."""
        return not (self._queue or self._writing)

    def hurry(self) -> None:
        """Sees to it that `later` is stored within PATIENCE."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._write_soon)

    async def flushed(self) -> None:
        """Waits until all that was handed in so far is stored. Raises PentadError if it cannot be."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.submit(Commit(done=lambda error: resolve(done, error)))
        await done

    async def call(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Runs another writing method of the journal, between two groups."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _write_soon(self) -> None:
        """Writes what is there, here if it is little."""
        self._turn = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not (self._queue or self.later or self._failing):
            return
        written = not self._writing and self._written_at_once()
        while written and self.later:  # what came of the commits, such as dead letters
            written = self._written_at_once()
        if not written:
            self._wanted.set()

    def _written_at_once(self) -> bool:
        most = self._journal.at_once_bytes
        if not most or self._failing or self._journal.behind > MOST_BEHIND:
            return False
        began = time.monotonic()
        if began < self._rested:
            return False
        if _weight(self._queue, self.later) > most:
            return False
        commits, later = self._take()
        group = _together(commits, later)
        try:
            if group and not self._journal.write_at_once(group):
                raise BlockingIOError
        except Exception:  # the thread meets it again, and deals with it
            self._queue[:0] = commits
            self.later = later
            return False
        self._note_speed(began, 0)
        self._stored(commits, bool(group))
        return True

    def _note_speed(self, began: float, weight: int) -> None:
        ended = time.monotonic()
        if ended - began > SLOW + weight / BYTES_PER_SECOND:
            self._rested = ended + SLOW_REST

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._writing = True
            while self._queue or self.later or self._failing:
                await self._write_group()
                if self._failing and not self._queue:
                    self._timer = asyncio.get_running_loop().call_later(RETRY, self._write_soon)
                    break
            self._writing = False

    async def _write_group(self) -> None:
        commits, later = self._take()
        group = _together(commits, later)
        try:
            if group:
                await self.call(self._write, group, _weight(commits, later))
            elif self._failing:
                await self.call(self._journal.check)
        except Unavailable as error:
            self._fail(commits, later, error)
            return
        except Exception as error:
            if len(commits) < 2:
                self._fail(commits, later, error)
            else:  # one of them cannot be stored: the others must not suffer for it
                self.later, self._singly = later, len(commits)
                self._queue = commits + self._queue
            return
        if self._failing:
            log.info("the journal works again")
            self.on_health(True)
        self._failing = False
        self._stored(commits, bool(group))

    def _write(self, group: Changes, weight: int) -> None:
        began = time.monotonic()
        self._journal.write(group)
        self._note_speed(began, weight)
        if self._journal.behind > MOST_BEHIND:
            try:
                self._journal.archive(2 * len(group.messages))
            except Exception as error:  # the group is stored nevertheless
                log.warning("the log could not be archived", error=str(error))

    def _stored(self, commits: list[Commit], written: bool) -> None:
        self._counters.commits += written
        for commit in commits:
            commit.end(None)

    def _take(self) -> tuple[list[Commit], Changes]:
        if self._singly:
            self._singly -= 1
            later, self.later = self.later, Changes()
            return [self._queue.pop(0)], later
        count = messages = size = 0
        for commit in self._queue:
            count += 1
            messages += len(commit.changes.messages)
            size += commit.size
            if messages >= MOST_MESSAGES or size >= MOST_BYTES:
                break
        commits, self._queue = self._queue[:count], self._queue[count:]
        later = self.later
        if later:
            self.later = Changes()
        return commits, later

    def _fail(self, commits: list[Commit], later: Changes, error: Exception) -> None:
        """Refuses the commits, those still queued too: one of them may be a duplicate of one that failed."""
        later.extend(self.later)
        self.later = later
        if not self._singly:
            commits, self._queue = commits + self._queue, []
        self._counters.failed_commits += 1
        if not self._failing:
            log.error("the journal cannot be written", exc_info=error)
            if isinstance(error, Unavailable):
                self.on_health(False)
        self._failing = True
        refusal = error if isinstance(error, PentadError) else _unavailable()
        for commit in commits:
            commit.end(refusal)


def _together(commits: list[Commit], later: Changes) -> Changes:
    if len(commits) == 1 and not later:
        return commits[0].changes
    group = Changes()
    group.extend(later)
    for commit in commits:
        group.extend(commit.changes)
    return group


def _weight(commits: list[Commit], later: Changes) -> int:
    """Bytes to be written, about."""
    weight = 16 * len(later.settled)
    for commit in commits:
        weight += commit.size + 16 * len(commit.changes.entries)
    if later.dead:
        weight += sum(len(row.body) for row in later.dead)
    return weight


def _unavailable() -> Unavailable:
    return Unavailable(
        "JOURNAL_UNAVAILABLE",
        "the bus cannot store messages at the moment; its log has the details",
        retry_after=1.0,
    )


def resolve(done: asyncio.Future[None], error: PentadError | None) -> None:
    """Ends a wait, with the error if there is one."""
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
