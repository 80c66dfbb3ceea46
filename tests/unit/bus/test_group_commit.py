"""Group commit: what is stored together, in which order, and what happens when it cannot be."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pentad_bus.counters import Counters
from pentad_bus.group_commit import MOST_BEHIND, PATIENCE, SLOW, SLOW_REST, GroupCommit
from pentad_bus.ledger import Commit
from pentad_bus.store.journal import Changes, MessageRow
from pentad_common.errors import PentadError
from tests.unit.bus.world import FULL_DISK


class Paper:
    """A journal that only writes: each group as the list of its settled keys' seqs."""

    at_once_bytes = 0
    behind = 0

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.errors: list[Exception] = []
        self.poison: int | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.delay = 0.0
        """Seconds that the disk stalls."""

    def write(self, changes: Changes) -> None:
        self.gate.wait(10)
        time.sleep(self.delay)
        seqs = [seq for seq, _ in changes.settled]
        if self.errors:
            raise self.errors.pop(0)
        if self.poison in seqs:
            raise ValueError("cannot be stored")
        self.groups.append(seqs)


class QuickPaper(Paper):
    """Writes at once what is small enough, unless it is busy."""

    at_once_bytes = 100

    def __init__(self) -> None:
        super().__init__()
        self.busy = False
        self.at_once: list[list[int]] = []

    def write_at_once(self, changes: Changes) -> bool:
        if self.busy:
            return False
        self.write(changes)
        self.at_once.append(self.groups[-1])
        return True


@asynccontextmanager
async def ledger_on(paper: Any) -> AsyncIterator[GroupCommit]:
    ledger = GroupCommit(paper, Counters())
    ledger.start()
    try:
        yield ledger
    finally:
        paper.gate.set()
        await ledger.close()


def submit(ledger: GroupCommit, *seqs: int) -> list[str]:
    """Hands in a commit a seq; the list tells how they ended, in order."""
    outcomes: list[str] = []

    def note(seq: int) -> Any:
        def done(error: PentadError | None) -> None:
            outcomes.append(f"{seq} {error.reason if error else 'stored'}")

        return done

    for seq in seqs:
        ledger.submit(Commit(changes=Changes(settled=[(seq, 1)]), done=note(seq)))
    return outcomes


async def test_what_comes_while_a_commit_runs_is_the_next_one() -> None:
    """One transaction for all of it; confirmed in the order of submission."""
    paper = Paper()
    async with ledger_on(paper) as ledger:
        paper.gate.clear()
        first = submit(ledger, 1)
        await asyncio.sleep(0.05)
        rest = submit(ledger, 2, 3, 4)
        paper.gate.set()
        await ledger.flushed()
    assert paper.groups == [[1], [2, 3, 4]]
    assert (first, rest) == (["1 stored"], ["2 stored", "3 stored", "4 stored"])


async def test_what_nobody_waits_for_is_stored_soon_or_with_the_next_commit() -> None:
    """Acks ride along, or go by themselves within milliseconds."""
    paper = Paper()
    async with ledger_on(paper) as ledger:
        ledger.later.settled.append((7, 1))
        ledger.hurry()
        submit(ledger, 1)
        await ledger.flushed()
        assert paper.groups == [[7, 1]]
        ledger.later.settled.append((8, 1))
        ledger.hurry()
        async with asyncio.timeout(5):
            while len(paper.groups) < 2:  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.01)
    assert paper.groups[1] == [8]


async def test_when_the_journal_fails_commits_are_refused_and_acks_are_kept() -> None:
    """Those that waited behind are refused as well; what nobody waits for is stored once it works again."""
    paper = Paper()
    paper.errors = [FULL_DISK]
    async with ledger_on(paper) as ledger:
        paper.gate.clear()
        ledger.later.settled.append((7, 1))
        first = submit(ledger, 1)
        await asyncio.sleep(0.05)
        behind = submit(ledger, 2)
        paper.gate.set()
        async with asyncio.timeout(5):
            while not paper.groups:  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.01)
        again = submit(ledger, 1)
        await ledger.flushed()
    assert (first, behind) == (["1 JOURNAL_UNAVAILABLE"], ["2 JOURNAL_UNAVAILABLE"])
    assert again == ["1 stored"]
    assert paper.groups == [[7], [1]]


async def test_one_that_cannot_be_stored_does_not_take_others_along() -> None:
    """A group that fails by its content is stored one by one."""
    paper = Paper()
    paper.poison = 2
    async with ledger_on(paper) as ledger:
        outcomes = submit(ledger, 1, 2, 3)
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while len(outcomes) < 3:  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.01)
    assert outcomes == ["1 stored", "2 JOURNAL_UNAVAILABLE", "3 stored"]


async def test_what_is_small_is_written_where_it_is() -> None:
    """The first that came in a turn of the event loop at once, all others of the turn in one transaction; a
    thread takes what is large, and what cannot be written at once.
    """
    paper = QuickPaper()
    async with ledger_on(paper) as ledger:
        outcomes = submit(ledger, 1, 2, 3)
        assert outcomes == ["1 stored"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (paper.at_once, outcomes) == ([[1], [2, 3]], ["1 stored", "2 stored", "3 stored"])
        large: list[PentadError | None] = []
        ledger.submit(Commit(changes=Changes(settled=[(4, 1)]), size=101, done=large.append))
        await ledger.flushed()
        paper.busy = True
        submit(ledger, 5)
        await ledger.flushed()
    assert large == [None]
    assert paper.groups == [[1], [2, 3], [4], [5]]
    assert paper.at_once == [[1], [2, 3]]


async def test_what_nobody_waits_for_is_stored_after_a_commit_that_took_some_along() -> None:
    """However often a commit took along what was to be hurried, the next is stored within moments."""
    paper = QuickPaper()
    async with ledger_on(paper) as ledger:
        for seq in range(0, 9, 3):
            ledger.later.settled.append((seq, 1))
            ledger.hurry()
            submit(ledger, seq + 1)
            await asyncio.sleep(3 * PATIENCE)
            ledger.later.settled.append((seq + 2, 1))
            ledger.hurry()
            async with asyncio.timeout(5):
                while ledger.later:  # noqa: ASYNC110 - nobody tells us
                    await asyncio.sleep(0.001)
    assert paper.groups == [[0, 1], [2], [3, 4], [5], [6, 7], [8]]


async def test_a_disk_that_stalls_holds_the_event_loop_up_once() -> None:
    """After a slow commit the thread writes, until a while has passed without another."""
    paper = QuickPaper()
    paper.delay = SLOW + 0.01
    async with ledger_on(paper) as ledger:
        for seq in (1, 2, 3):
            submit(ledger, seq)
            await ledger.flushed()
        assert paper.at_once == [[1]]
        paper.delay = 0.0
        submit(ledger, 4)
        await ledger.flushed()
        await asyncio.sleep(SLOW_REST)
        submit(ledger, 5)
        await ledger.flushed()
    assert (paper.at_once, paper.groups) == ([[1], [5]], [[1], [2], [3], [4], [5]])


async def test_a_failure_where_it_is_is_the_threads_affair() -> None:
    """It tries again, and then says so: nothing is confirmed, and nothing is lost that nobody waits for."""
    paper = QuickPaper()
    paper.errors = [FULL_DISK, FULL_DISK, FULL_DISK]
    async with ledger_on(paper) as ledger:
        ledger.later.settled.append((7, 1))
        first = submit(ledger, 1)
        async with asyncio.timeout(5):
            while not first:  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.01)
        assert first == ["1 JOURNAL_UNAVAILABLE"]
        assert submit(ledger, 2) == []
        await ledger.flushed()
    assert paper.groups == [[7, 2]]


async def test_a_log_that_grows_too_long_is_archived_with_each_commit() -> None:
    """Twice as much as came, so that it shrinks; the commits themselves are stored all the same."""
    asked: list[int] = []

    class LongPaper(QuickPaper):
        behind = MOST_BEHIND + 1

        def archive(self, most: int) -> int:
            asked.append(most)
            raise FULL_DISK

    paper = LongPaper()
    async with ledger_on(paper) as ledger:
        stored: list[PentadError | None] = []
        rows: list[MessageRow] = [(seq, "", "t", b"") for seq in (1, 2)]
        ledger.submit(Commit(changes=Changes(messages=rows), done=stored.append))
        await ledger.flushed()
    assert (stored, asked, paper.at_once) == ([None], [4], [])
