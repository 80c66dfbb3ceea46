"""Where entries are kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pentad_context.model import Address, Entry, Outcome, Position

Step = Callable[[Mapping[Address, Entry], int], Outcome]
"""Decides a transaction: from the stored entries that it names and the tenant's revision to what it does."""


@dataclass(frozen=True, slots=True)
class Request:
    """Names a write, so that a repeat can be told. `fingerprint`: SHA-256 of what was asked, in hex."""

    writer: str
    request_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Done:
    """What was done; `repeated`: the fingerprint of the earlier request of the same id whose outcome
    this is.
    """

    outcome: Outcome
    repeated: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, whether there are more after them, and the tenant's revision at the time of reading."""

    entries: list[Entry]
    more: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes with their positions; `end` is where to go on. `oldest`: changes up to this revision may be
    missing.
    """

    items: list[tuple[Position, Entry]]
    end: Position
    more: bool
    oldest: int


@dataclass(frozen=True, slots=True)
class Past:
    """An entry at an older revision. `compacted`: what it was is no longer known."""

    entry: Entry | None
    compacted: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Retention:
    """What histories keep: `age`, and `per_key` changes of a key, but all that is younger than
    `least_age`.
    """

    age: timedelta = timedelta(days=30)
    per_key: int = 1000
    least_age: timedelta = timedelta(minutes=10)
    requests: timedelta = timedelta(minutes=10)


class ContextStore(Protocol):
    """Entries, their histories and one revision counter for each tenant. Every method is one transaction."""

    async def transact(
        self, tenant: str, addresses: Collection[Address], step: Step, request: Request | None = None
    ) -> Done:
        """Lets `step` decide, with no other writer of the tenant in between, and stores what it decided.

        `step` may be called again, if the database asks for it; what it raises undoes all. A request that was
        done before is not done again.
        """
        ...

    async def get(self, tenant: str, address: Address) -> tuple[Entry | None, int]:
        """The stored entry, expired or not, and the tenant's revision."""
        ...

    async def get_at(self, tenant: str, address: Address, revision: int) -> Past:
        """What an entry was at a revision."""
        ...

    async def list(
        self,
        tenant: str,
        prefix: Address,
        *,
        after: str = "",
        size: int = 100,
        keys_only: bool = False,
        until: int | None = None,
        now: datetime,
    ) -> Page:
        """Entries below a prefix with keys after `after`, by key; `until`: those not changed since that
        revision.
        """
        ...

    async def changes(self, tenant: str, prefix: Address, after: Position, size: int = 100) -> Changes:
        """Changes below a prefix after a position, in order."""
        ...

    async def history(self, tenant: str, address: Address, before: int | None, size: int) -> Page:
        """An entry's changes before a revision, newest first."""
        ...

    async def revisions(self, tenants: Collection[str]) -> dict[str, int]:
        """The tenants' revisions."""
        ...

    async def expire(self, now: datetime) -> dict[str, int]:
        """Removes entries that have expired; returns the new revisions of the tenants it changed."""
        ...

    async def trim(self, retention: Retention, now: datetime) -> int:
        """Forgets what histories need not keep; returns how many changes that were."""
        ...
