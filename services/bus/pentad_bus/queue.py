"""A queue of four priorities: the higher first, but none left waiting for ever."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from operator import attrgetter
from typing import Protocol, TypeVar

LEVELS = 4
PATIENCE = 16
"""How often a level that has something is passed over before it is its turn."""


class Ordered(Protocol):
    """What can be queued. `seq` is its place among those of its level."""

    level: int
    seq: int


T = TypeVar("T", bound=Ordered)
_seq = attrgetter("seq")


class PriorityQueue(Iterator[T]):
    """Level 3 goes before 2, 1 and 0; within a level, in order of `seq`.

    A level that was passed over PATIENCE times goes next, the highest such one first: so of a full queue
    about one in 16 is of each lower level, and the head of any level waits for at most PATIENCE + LEVELS
    others.
    """

    __slots__ = ("_levels", "_passed", "_size")

    def __init__(self) -> None:
        self._levels: tuple[deque[T], ...] = tuple(deque() for _ in range(LEVELS))
        self._passed = [0] * LEVELS
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, item: T) -> None:
        """Adds an item behind those of its level that came before it: as a rule, all."""
        level = self._levels[item.level]
        if level and item.seq < level[-1].seq:
            level.insert(_place(level, item.seq), item)
        else:
            level.append(item)
        self._size += 1

    put_back = push
    """Adds an item that was taken before, at its old place."""

    def __next__(self) -> T:
        """Takes the item that is next; StopIteration if there is none."""
        if not self._size:
            raise StopIteration
        self._size -= 1
        levels = self._levels
        chosen = 3 if levels[3] else 2 if levels[2] else 1 if levels[1] else 0
        if self._size >= len(levels[chosen]):  # something waits in another level
            chosen = self._next_level(chosen)
        return levels[chosen].popleft()

    def only_level(self) -> deque[T] | None:
        """What waits, if all of it is of one level; else None. Whoever takes from it has it counted again."""
        levels = [level for level in self._levels if level]
        return levels[0] if len(levels) == 1 else None

    def count_again(self) -> None:
        """After something was taken from `only_level`."""
        self._size = sum(map(len, self._levels))

    def _next_level(self, highest: int) -> int:
        passed = self._passed
        chosen = highest
        for level in range(highest - 1, -1, -1):
            if not self._levels[level]:
                passed[level] = 0
            elif chosen == highest and passed[level] >= PATIENCE:
                chosen = level
                passed[level] = 0
            else:
                passed[level] += 1
        return chosen

    def shed(self) -> T:
        """Takes the oldest of the lowest level that has one. Raises IndexError if there is none."""
        level = next((level for level in self._levels if level), self._levels[0])
        item = level.popleft()
        self._size -= 1
        return item

    def heads(self) -> Iterator[T]:
        """The first item of each level that has one."""
        return (level[0] for level in self._levels if level)

    def peek(self) -> list[T]:
        """All that is here, and stays."""
        return [item for level in self._levels for item in level]

    def drain(self) -> list[T]:
        """Takes all, the highest level first."""
        items = [item for level in reversed(self._levels) for item in level]
        for level in self._levels:
            level.clear()
        self._size = 0
        return items

    def discard(self, item: T) -> bool:
        """Takes out one item, wherever it is; False if it is not here."""
        level = self._levels[item.level]
        for place in range(_place(level, item.seq), len(level)):
            if level[place] == item:
                del level[place]
                self._size -= 1
                return True
            if level[place].seq != item.seq:
                break
        return False


def _place(level: deque[T], seq: int) -> int:
    """Where an item with that `seq` is, or belongs, in a level; quicker near the front, where most come back
    to.

    Thousands come back at once when a consumer is lost or delays end together: a walk for each would hold
    up everyone.
    """
    high = 1
    while high < len(level) and level[high].seq < seq:
        high *= 2
    return bisect_left(level, seq, high // 2, min(high, len(level)), key=_seq)
