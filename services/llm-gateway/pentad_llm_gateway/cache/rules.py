"""The section `cache` of the catalog."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pentad_llm_gateway.cache.base import CachePolicy


class CacheRules(BaseModel):
    """Which answers are kept, and for how long. Sizes are bytes, times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: Literal["never", "on_request", "always"] = "on_request"
    """`on_request`: for calls that name a `ttl`."""
    ttl: float = Field(default=3600.0, gt=0, le=2_592_000)
    """Of calls that name none."""
    max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Of all answers together, in memory; Redis has a bound of its own (`maxmemory`)."""
    max_answer_bytes: int = Field(default=256 * 1024, ge=1024)
    """What is larger is not kept."""

    def lifetime(self, policy: CachePolicy) -> float | None:
        """How long the answer to a call is kept; None if the call has nothing to do with the cache."""
        if self.enabled == "never" or (self.enabled == "on_request" and policy.ttl is None):
            return None
        return self.ttl if policy.ttl is None else policy.ttl
