"""What the bus counts: plain numbers, read when metrics are scraped, for a metric's own lock costs more than
a delivery.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Since the process started."""

    published: int = 0
    published_bytes: int = 0
    stored_bytes: int = 0
    """Of what went into the history."""
    duplicates: int = 0
    delivered: int = 0
    redelivered: int = 0
    acked: int = 0
    nacked: int = 0
    expired_leases: int = 0
    stale: int = 0
    dropped: int = 0
    commits: int = 0
    failed_commits: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """By reason."""
    dead: Counter[str] = field(default_factory=Counter)
    """By reason."""
