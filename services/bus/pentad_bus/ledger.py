"""What is to be stored: the broker writes it down, the shell commits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pentad_bus.entry import Entry
from pentad_bus.store.journal import Changes
from pentad_common.errors import PentadError

Done = Callable[[PentadError | None], None]


def nothing(_error: PentadError | None) -> None:
    """Does nothing."""


@dataclass(slots=True)
class Commit:
    """Publishes that came together: stored together or not at all."""

    changes: Changes = field(default_factory=Changes)
    fresh: list[Entry] = field(default_factory=list)
    """They enter their queues once it is stored."""
    ids: list[str] = field(default_factory=list)
    """Ids that the deduplication window forgets if it is not."""
    size: int = 0
    """Bytes of the messages, those that are not stored too."""
    behind: bool = False
    """A duplicate is among them: confirmed no earlier than the first of its id."""
    done: Done = nothing

    def end(self, error: PentadError | None) -> None:
        """Calls `done`, and lets go of it: it holds the commit in turn, and with it all its messages, until
        Python's collector comes.
        """
        done, self.done = self.done, nothing
        done(error)


class Ledger(Protocol):
    """Takes what is to be stored. Nothing here blocks."""

    later: Changes
    """What nobody waits for, such as acknowledgements: stored with the next commit, or within milliseconds.
    """

    def submit(self, commit: Commit) -> None:
        """Stores a commit, and `later` with it; then calls its `done`, in the order of submission."""

    def hurry(self) -> None:
        """Says that `later` has something."""
