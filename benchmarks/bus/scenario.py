"""What is measured of every system."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who sends what to whom."""

    name: str
    what: str
    producers: int = 1
    consumers: int = 1
    durable: bool | None = None
    """True or False: only for systems that can; None: each in the way it was made for."""
    broadcast: bool = False
    variant: bool = False
    """Another mode of a scenario above: only for systems that have more than one."""
    rate: int = 0
    """Messages a second; 0: as many as there can be."""

    def seconds(self, quick: bool) -> float:
        """How long is sent."""
        if quick:
            return 3.0 if self.rate else 1.0
        return 10.0 if self.rate else 4.0


LOSSY: dict[str, bool] = {"durable": False, "variant": True}

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("durable-1-1", "one to one, stored before it is confirmed, acked", durable=True),
        Scenario("lossy-1-1", "one to one, fire and forget", durable=False),
        Scenario("broadcast-1-10", "one to ten, each gets a copy", consumers=10, broadcast=True),
        Scenario("many-10-10", "ten to ten, in turn", producers=10, consumers=10),
        Scenario("paced-1k", "one to one, 1,000 messages a second: latency", rate=1000),
        # The systems that were made for one mode only are compared in that above.
        Scenario("broadcast-1-10-lossy", "the same, lossy", consumers=10, broadcast=True, **LOSSY),
        Scenario("many-10-10-lossy", "the same, lossy", producers=10, consumers=10, **LOSSY),
        Scenario("paced-1k-lossy", "the same, lossy", rate=1000, **LOSSY),
    )
}
