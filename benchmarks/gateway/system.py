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

    memory_seconds: float = 60.0
    """For as many as there can be of the calls after which memory is looked at."""

    def seconds(self, scenario: Scenario, quick: bool) -> float:
        """How long is asked, at most."""
        if scenario.memory:
            return 4.0 if quick else self.memory_seconds
        return scenario.seconds(quick)

    def takes(self, scenario: Scenario) -> bool:
        """Whether it can be measured in it."""
        if scenario.cache:
            return bool(self.gateway.cache)
        return not scenario.memory or self.name != DIRECT


SYSTEMS = {
    system.name: system
    for system in (
        System(DIRECT, Direct),
        System("pentad", PentadGateway, memory_seconds=300.0),
        System("pentad-http", PentadHttp, PentadHttp.missing),
        System("litellm", LiteLlm),
    )
}
