"""Settings of the context service."""

from __future__ import annotations

from pydantic import Field

from pentad_common.settings import ServiceSettings


class ContextSettings(ServiceSettings):
    """PENTAD_HISTORY_DAYS and so on, and what every service has."""

    history_days: float = Field(default=30.0, gt=0)
    """How long changes are kept."""
    history_per_key: int = Field(default=1000, ge=1)
    """How many changes of a key are kept, apart from those of the last `history_seconds`."""
    history_seconds: float = Field(default=600.0, ge=0)
    """All changes are kept for so long, so that watches can resume; so are answers to requests with an id."""
    poll_seconds: float = Field(default=0.5, gt=0)
    """How soon a watch sees what another process wrote."""
