"""What is measured of every gateway."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is asked, and by how many at once."""

    name: str
    what: str
    concurrency: int
    stream: bool = False
    tokens: int = 64
    """Of each answer."""
    cache: bool = False
    """All ask the same, and take it from the gateway's cache."""
    memory: bool = False
    """As many calls as there can be up to `MEMORY_CALLS`, of a fresh process."""

    def seconds(self, quick: bool) -> float:
        """How long is asked, at most."""
        return 1.5 if quick else 3.0


MEMORY_CALLS = 100_000

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("unary-1", "whole answers, one call at a time: latency", 1),
        Scenario("unary-10", "whole answers, 10 calls at once", 10),
        Scenario("unary-100", "whole answers, 100 calls at once", 100),
        Scenario(
            "stream-1", "streams of 8 tokens, one at a time: time to the first", 1, stream=True, tokens=8
        ),
        Scenario("stream-100", "100 streams at once", 100, stream=True),
        Scenario("cache-10", "the same question again and again, 10 calls at once", 10, cache=True),
        Scenario("memory", f"up to {MEMORY_CALLS:,} calls, 32 at once", 32, memory=True),
    )
}
