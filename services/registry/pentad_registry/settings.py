"""Settings of the registry."""

from __future__ import annotations

from pydantic import Field

from pentad_common.settings import ServiceSettings


class RegistrySettings(ServiceSettings):
    """PENTAD_LEASE_SECONDS, PENTAD_MOST_INSTANCES, and what every service has."""

    lease_seconds: float = Field(default=10.0, ge=1, le=600)
    """How long an instance that asks for nothing else may be silent."""
    most_instances: int = Field(default=10_000, ge=1)
    """Of a tenant."""
