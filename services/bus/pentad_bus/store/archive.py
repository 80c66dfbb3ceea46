"""Several segments of the log as one: what came and went within them leaves no trace but the history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pentad_bus.entry import NO_HISTORY, Attempt
from pentad_bus.store.journal import Changes, EntryKey, EntryRow, MessageRow, RetryRow


@dataclass(slots=True)
class Merged:
    """What segments change in the tables, in this order: removed inboxes, new rows, retries, settled rows."""

    removed: list[int] = field(default_factory=list)
    messages: list[MessageRow] = field(default_factory=list)
    entries: dict[EntryKey, tuple[EntryRow, int, list[Attempt]]] = field(default_factory=dict)
    """Those still waiting at the end, with their attempts, and those that failed."""
    retried: list[RetryRow] = field(default_factory=list)
    """Of entries that were there before."""
    settled: list[EntryKey] = field(default_factory=list)
    """Of entries that were there before."""

    def rows(self) -> list[tuple[int, int, str, str, float, int, list[Attempt]]]:
        """The entries, in order."""
        return [(*entry, attempts, history) for entry, attempts, history in self.entries.values()]


def merged(segments: Iterable[Changes]) -> Merged:
    """The segments' changes, one after the other."""
    whole = Merged()
    entries = whole.entries
    for changes in segments:
        if changes.removed:
            gone = set(changes.removed)
            whole.removed += changes.removed
            for key in [key for key in entries if key[1] in gone]:
                del entries[key]
        whole.messages += changes.messages
        for entry in changes.entries:
            entries[entry[0], entry[1]] = (entry, 0, NO_HISTORY)
        for row in changes.retried:
            _retry(whole, row)
        for key in changes.settled:
            if entries.pop(key, None) is None:
                whole.settled.append(key)
    return whole


def _retry(whole: Merged, row: RetryRow) -> None:
    attempts, due, seq, inbox_id, history = row
    known = whole.entries.get((seq, inbox_id))
    if known is None:
        whole.retried.append(row)
        return
    entry = known[0]
    whole.entries[seq, inbox_id] = ((*entry[:4], due), attempts, history)
