"""The queue of four priorities."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pentad_bus.queue import LEVELS, PATIENCE, PriorityQueue


@dataclass
class Item:
    level: int
    seq: int


LEVEL = st.integers(0, LEVELS - 1)


def filled(levels: list[int]) -> PriorityQueue[Item]:
    queue: PriorityQueue[Item] = PriorityQueue()
    for seq, level in enumerate(levels):
        queue.push(Item(level, seq))
    return queue


@given(st.lists(LEVEL))
def test_everything_comes_out_once_and_in_order_within_a_level(levels: list[int]) -> None:
    """Nothing is lost or repeated, and two items of one priority never change places."""
    taken = list(filled(levels))
    assert sorted(item.seq for item in taken) == list(range(len(levels)))
    for level in range(LEVELS):
        seqs = [item.seq for item in taken if item.level == level]
        assert seqs == sorted(seqs)


@given(st.lists(LEVEL, min_size=1, max_size=PATIENCE))
def test_higher_goes_first(levels: list[int]) -> None:
    """As long as nobody has waited too long, the highest priority that waits is next."""
    assert [item.level for item in filled(levels)] == sorted(levels, reverse=True)


@settings(deadline=None)
@given(st.lists(LEVEL, min_size=1, max_size=400), st.integers(0, 10))
def test_no_level_starves(levels: list[int], rounds: int) -> None:
    """However much of higher priority keeps coming, the head of a level waits for a bounded
    number of others.
    """
    queue = filled(levels)
    waited = dict.fromkeys(range(LEVELS), 0)
    for seq in range(len(levels), len(levels) + 300 + rounds):
        queue.push(Item(LEVELS - 1, seq))
        waiting = {item.level for item in queue.heads()}
        taken = next(queue)
        for level in range(LEVELS):
            waited[level] = waited[level] + 1 if level in waiting and level != taken.level else 0
            assert waited[level] <= PATIENCE + LEVELS


@given(st.lists(LEVEL, min_size=1, max_size=60), st.data())
def test_what_is_put_back_takes_its_old_place(levels: list[int], data: st.DataObject) -> None:
    """An item that failed comes again before those that were behind it in its level."""
    queue = filled(levels)
    taken = [next(queue) for _ in range(data.draw(st.integers(1, len(levels))))]
    for item in data.draw(st.permutations(taken)):
        queue.put_back(item)
    assert len(queue) == len(levels)
    rest = list(queue)
    for level in range(LEVELS):
        seqs = [item.seq for item in rest if item.level == level]
        assert seqs == sorted(seqs)


def test_an_item_can_be_taken_out_of_the_middle() -> None:
    """Discarding says whether the item was there, and leaves the others."""
    queue = filled([1, 1, 1])
    assert queue.discard(Item(1, 1))
    assert not queue.discard(Item(1, 1))
    assert [item.seq for item in queue.drain()] == [0, 2]
    assert len(queue) == 0


class CountedSeq(int):
    """A seq that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        CountedSeq.compared += 1
        return int(self) < other


def test_thousands_that_come_back_hold_nobody_up() -> None:
    """A lost consumer gives back all it had, in front of all that waits: no walk for each of them."""
    queue: PriorityQueue[Item] = PriorityQueue()
    for seq in range(20_000):
        queue.push(Item(1, CountedSeq(seq)))
    taken = [next(queue) for _ in range(10_000)]
    CountedSeq.compared = 0
    for item in taken:
        queue.put_back(item)
    assert CountedSeq.compared < 10_000 * 50
    assert [item.seq for item in queue.drain()] == list(range(20_000))
