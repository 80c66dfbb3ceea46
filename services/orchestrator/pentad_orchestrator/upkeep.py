"""What has to be done now and then: taking up what dead instances left, and removing what is too old."""

from __future__ import annotations

import asyncio
import time

from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_orchestrator.engine import Engine
from pentad_orchestrator.settings import OrchestratorSettings
from pentad_orchestrator.store.artifacts import ArtifactStore
from pentad_orchestrator.store.runs import RunStore

log = get_logger(__name__)

_GRACE_SECONDS = 1.5
"""What is late by less is left to the instance that has the timer or the message."""
_TENANTS_SECONDS = 5.0
_IDLE_SECONDS = 600.0


class Upkeep:
    """Loops beside the engine."""

    def __init__(
        self, engine: Engine, runs: RunStore, artifacts: ArtifactStore, settings: OrchestratorSettings
    ) -> None:
        self._engine = engine
        self._runs = runs
        self._artifacts = artifacts
        self._settings = settings
        self._idle_since: dict[str, float] = {}
        self._tenants_seen = 0.0

    def start(self) -> None:
        """Begins, first with what was left when the last instance stopped."""
        self._engine.background.spawn(self._poll())
        self._engine.background.spawn(self._sweep())

    async def _poll(self) -> None:
        recovered = False
        while True:
            try:
                if not recovered:
                    await self._recover()
                    recovered = True
                await self._take_up()
            except PentadError as error:
                log.warning("looking for work failed", reason=error.reason, error=str(error))
            await asyncio.sleep(self._settings.poll_seconds)

    async def _recover(self) -> None:
        """Looks at every run under way: this instance may be the only one, and just have come back."""
        await self._engine.outbox.take_up(0)
        for tenant, run_id in await self._runs.active_runs():
            self._engine.look(tenant, run_id, again=True)

    async def _take_up(self) -> None:
        for tenant, run_id in await self._runs.claim_due(_GRACE_SECONDS):
            self._engine.look(tenant, run_id, again=True)
        await self._engine.outbox.take_up(_GRACE_SECONDS)
        if time.monotonic() - self._tenants_seen > _TENANTS_SECONDS:
            self._tenants_seen = time.monotonic()
            await self._mind_lines()

    async def _mind_lines(self) -> None:
        """Every tenant with runs has a line; one that has been without for long has none."""
        active = await self._runs.active_tenants()
        for tenant in active:
            self._engine.lines.of(tenant)
            self._idle_since.pop(tenant, None)
        now = time.monotonic()
        for tenant in self._engine.lines.tenants() - active:
            if now - self._idle_since.setdefault(tenant, now) > _IDLE_SECONDS:
                del self._idle_since[tenant]
                self._engine.lines.close(tenant)
                self._engine.directories.close(tenant)

    async def _sweep(self) -> None:
        while True:
            try:
                await self.sweep()
            except PentadError as error:
                log.warning("sweeping failed", reason=error.reason, error=str(error))
            await asyncio.sleep(self._settings.sweep_seconds)

    async def sweep(self) -> None:
        """Removes old runs, and artifacts that no run uses, in small portions."""
        runs = files = -1
        while runs:
            runs = await self._runs.delete_ended(self._settings.run_retention_days)
        while files:
            files = await self._artifacts.delete_orphans(self._settings.artifact_orphan_seconds)
