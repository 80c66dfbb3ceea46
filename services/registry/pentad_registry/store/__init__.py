"""Where the registry keeps what it knows. Cards outlive a restart; leases, reports and the log need not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pentad_registry.model import AgentFile, Card, Change, Lease


class CardStore(Protocol):
    """Cards, of every version that was ever registered and not forgotten."""

    async def put(self, tenant: str, card: Card) -> Card:
        """Keeps a card under its name and version; returns it with `since` set."""
        ...

    async def latest(self, tenant: str) -> Mapping[str, Card]:
        """Each agent's newest card, by name."""
        ...

    async def remove(self, tenant: str, name: str) -> bool:
        """Forgets all of an agent's cards; returns whether there were any."""
        ...


class LiveStore(Protocol):
    """What is true only now. Every method is atomic; none knows a rule."""

    registry_epoch: str
    """Another one when the leases were lost."""

    async def lease(self, tenant: str, agent: str, instance: str) -> Lease | None:
        """One instance's lease."""
        ...

    async def leases(self, tenant: str, agent: str | None = None) -> list[Lease]:
        """The leases of an agent, or all of the tenant."""
        ...

    async def all_leases(self) -> list[Lease]:
        """The leases of every tenant."""
        ...

    async def last_epoch(self, tenant: str, agent: str, instance: str) -> int:
        """The highest epoch that the instance ever had, as far as it is remembered; 0 if none."""
        ...

    async def put(self, lease: Lease) -> Lease | None:
        """Stores the lease if the stored generation is the one it carries (0: none is stored).

        Returns it with its new generation, or None if somebody else was faster.
        """
        ...

    async def remove(self, lease: Lease) -> bool:
        """Takes the lease away if its generation is the stored one."""
        ...

    async def append(self, tenant: str, change: Change) -> int:
        """Adds to the tenant's log; returns the position. The log forgets its oldest entries."""
        ...

    async def position(self, tenant: str) -> int:
        """The position of the log's newest entry; 0 before the first."""
        ...

    async def changes(self, tenant: str, after: int) -> Sequence[tuple[int, Change]] | None:
        """Entries after a position, oldest first; None if some of them were forgotten."""
        ...

    async def oldest(self, tenant: str) -> int:
        """The lowest position that `changes` can start after."""
        ...

    async def wait(self, tenant: str, after: int) -> None:
        """Returns when the log has an entry after this position."""
        ...

    async def put_report(
        self, tenant: str, host: str, files: Sequence[AgentFile], expire_time: float
    ) -> None:
        """Replaces a host's report."""
        ...

    async def reports(self, tenant: str, now: float) -> list[AgentFile]:
        """The files in all reports that have not expired."""
        ...
