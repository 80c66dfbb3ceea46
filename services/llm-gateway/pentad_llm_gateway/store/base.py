"""What keeps the records of calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.completion import Usage
from pentad_llm_gateway.limits.claims import Subject
from pentad_llm_gateway.limits.counters import Spent


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which calls to sum up; None and "" are no condition. `start` is included, `end` is not."""

    start: datetime | None = None
    end: datetime | None = None
    run_id: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What the calls to one model cost. `cost_micros` is of those with a known price; None if there are
    none."""

    provider: str
    model: str
    usage: Usage
    calls: int
    failures: int
    cost_micros: int | None


class CallStore(Protocol):
    """Keeps calls and sums them up."""

    async def add(self, calls: Sequence[CallRecord]) -> None:
        """Keeps calls that have ended; one that is kept already stays as it is."""

    async def usage(self, tenant: str, query: UsageQuery) -> list[ModelUsage]:
        """The tenant's calls by provider and model, in that order."""

    async def spent(self, tenant: str, subject: Subject, since: datetime) -> Spent:
        """What the calls of a tenant, or of one of its keys, models or runs, took that began at `since` or
        later."""
