"""What all inboxes hold together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pentad_bus.inbox import Inbox


@dataclass(slots=True)
class Totals:
    """Messages, unless it says otherwise."""

    inboxes: int = 0
    queued: int = 0
    in_flight: int = 0
    delayed: int = 0
    queued_bytes: int = 0
    """Of all that is held, in flight and delayed too."""


def totals_of(inboxes: Iterable[Inbox]) -> Totals:
    """Counted one by one."""
    found = Totals()
    for inbox in inboxes:
        found.inboxes += 1
        found.queued += len(inbox.ready)
        found.in_flight += inbox.in_flight
        found.delayed += len(inbox.delayed)
        found.queued_bytes += inbox.size
    return found
