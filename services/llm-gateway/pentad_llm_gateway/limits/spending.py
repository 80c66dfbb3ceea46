"""What was spent before the counters began to count: from the records of calls."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from pentad_llm_gateway.limits.claims import Subject
from pentad_llm_gateway.limits.counters import Spent


class Spending(Protocol):
    """Knows the calls that ended."""

    async def spent(self, tenant: str, subject: Subject, since: datetime) -> Spent:
        """What the subject's calls took that began at `since` or later."""
