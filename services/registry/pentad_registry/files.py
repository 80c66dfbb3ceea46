"""Hosts' reports of the files in their folders of agents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pentad_registry.model import AgentFile
from pentad_registry.store import LiveStore

REPORTS_A_LEASE = 3


class FileReports:
    """The newest report of each host, forgotten when the host is silent for `seconds`."""

    def __init__(self, live: LiveStore, seconds: float, clock: Callable[[], float]) -> None:
        self._live = live
        self._seconds = seconds
        self._clock = clock

    async def put(self, tenant: str, host: str, files: Sequence[AgentFile]) -> float:
        """Takes a host's report; returns the seconds after which to repeat it."""
        await self._live.put_report(tenant, host, files, self._clock() + self._seconds)
        return self._seconds / REPORTS_A_LEASE

    async def list(self, tenant: str) -> list[AgentFile]:
        """The reported files, by host and path."""
        reported = await self._live.reports(tenant, self._clock())
        return sorted(reported, key=lambda item: (item.host, item.path))
