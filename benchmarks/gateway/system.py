"""What is measured: calls without a gateway, by Pentad's, and by its peer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.gateway.gateways import Direct, Gateway, LiteLlm, PentadGateway, PentadHttp
from benchmarks.gateway.scenario import Scenario

DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class System:
    """A gateway."""

    name: str
    gateway: type[Gateway]
    missing: Callable[[], str] = lambda: ""
    """Why it cannot be measured here; empty if it can."""

    def takes(self, scenario: Scenario) -> bool:
        """Whether it can be measured in it."""
        if scenario.cache:
            return bool(self.gateway.cache)
        return not scenario.memory or self.name != DIRECT


SYSTEMS = {
    system.name: system
    for system in (
        System(DIRECT, Direct),
        System("pentad", PentadGateway),
        System("pentad-http", PentadHttp, PentadHttp.missing),
        System("litellm", LiteLlm),
    )
}
