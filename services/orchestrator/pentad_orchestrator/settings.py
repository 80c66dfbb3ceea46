"""Settings of the orchestrator."""

from __future__ import annotations

from pydantic import Field

from pentad_common.settings import ServiceSettings
from pentad_orchestrator.core import Policy


class OrchestratorSettings(ServiceSettings):
    """What every service has, and what holds where a plan says nothing."""

    retry_max_attempts: int = Field(default=4, ge=1, le=100)
    retry_initial_seconds: float = Field(default=2.0, ge=0)
    retry_multiplier: float = Field(default=2.0, ge=1)
    retry_max_seconds: float = Field(default=300.0, ge=0)
    step_timeout_seconds: float = Field(default=300.0, gt=0)
    agent_wait_seconds: float = Field(default=30.0, ge=0)
    """How long a step waits for an agent that is not there, before the attempt fails."""
    artifact_max_bytes: int = Field(default=100 * 1024 * 1024, ge=1)
    artifact_orphan_seconds: float = Field(default=86_400.0, gt=0)
    """How long an artifact that no run uses is kept."""
    run_inline_bytes: int = Field(default=512 * 1024, ge=0)
    """Bytes of a run's inputs and outputs that travel inside messages; what is beyond becomes artifacts.

    A task, which may carry all of it, must fit into what the bus takes (PENTAD_BUS_MAX_MESSAGE_BYTES)."""
    run_retention_days: float = Field(default=30.0, gt=0)
    poll_seconds: float = Field(default=1.0, gt=0)
    """How often to look for runs that an instance left behind when it died."""
    sweep_seconds: float = Field(default=3600.0, gt=0)
    """How often to remove what is too old to keep."""

    def policy(self) -> Policy:
        """These, as the core takes them."""
        return Policy(
            max_attempts=self.retry_max_attempts,
            initial_backoff=self.retry_initial_seconds,
            multiplier=self.retry_multiplier,
            max_backoff=self.retry_max_seconds,
            timeout=self.step_timeout_seconds,
            agent_wait=self.agent_wait_seconds,
        )
