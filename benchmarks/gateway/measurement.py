"""One measurement: one system in one scenario, once."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.bus.process import MIB, Talker
from benchmarks.bus.profile import Profile
from benchmarks.gateway.gateways import Gateway, Upstream
from benchmarks.gateway.job import Job
from benchmarks.gateway.scenario import MEMORY_CALLS, Scenario
from benchmarks.gateway.system import DIRECT, System

LONGEST_SECONDS = 90.0
"""That a measurement may take beyond its time: the slowest start, and calls under way."""
UNITS = {
    "calls_per_second": "calls/s",
    "hits_per_second": "hits/s",
    "latency_p50": "ms",
    "latency_p99": "ms",
    "added_latency_p50": "ms",
    "added_latency_p99": "ms",
    "first_token_p50": "ms",
    "first_token_p99": "ms",
    "added_first_token_p50": "ms",
    "tokens_per_second": "tokens/s",
    "gateway_cpu_per_call": "ms",
    "client_cpu_per_call": "ms",
    "calls": "calls",
    "rss_before": "MiB",
    "rss_after": "MiB",
}
"""The metrics and their units."""

ADDED = {"latency_p50", "latency_p99", "first_token_p50"}
"""Metrics of which it is told how much more they are than without a gateway, called one at a time."""


class House:
    """Everything started, for as long as the benchmark goes on: who is not measured has nothing to do."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        self._folder = folder
        self._upstream = upstream
        self._stack = ExitStack()
        self._running: dict[str, tuple[Gateway, Talker]] = {}
        upstream.start()
        self._stack.callback(upstream.stop)

    def close(self) -> None:
        """Ends all processes."""
        self._stack.close()

    def gateway(self, system: System, fresh: bool = False) -> tuple[Gateway, Talker]:
        """A system's gateway and its callers' process, started when first needed; `fresh`: started now."""
        if fresh or system.name not in self._running:
            folder = self._folder / f"{system.name}-{time.monotonic_ns()}"
            gateway = system.gateway(folder, self._upstream.address)
            self._stack.callback(gateway.stop)
            gateway.start()
            callers = Talker([sys.executable, "-m", "benchmarks.gateway.load"], folder / "callers.log")
            self._stack.callback(callers.stop)
            self._running[system.name] = gateway, callers
        return self._running[system.name]

    def measure(
        self, system: System, scenario: Scenario, quick: bool, profile: Profile | None = None
    ) -> dict[str, float]:
        """What callers and the gateway's process say. Raises RuntimeError if something goes wrong."""
        gateway, callers = self.gateway(system, fresh=scenario.memory)
        if scenario.memory:  # what it has in memory once it has done everything it does
            self._ready(callers, _job(gateway, scenario, 5.0, calls=1000))
            self._done(callers, 5.0)
        job = _job(gateway, scenario, system.seconds(scenario, quick))
        self._ready(callers, job)
        cpu, memory = gateway.cpu_seconds(), gateway.memory_bytes()
        answers = self._upstream.answers()
        if profile is not None and gateway.processes:
            profile.record({"gateway": gateway.processes[-1].pid}, job.seconds)
        said = self._done(callers, job.seconds)
        if profile is not None:
            profile.stop()
        found = metrics(scenario, said, self._upstream.answers() - answers)
        if gateway.processes:
            used = gateway.cpu_seconds() - cpu
            found["gateway_cpu_per_call"] = 1000 * used / whole_calls(scenario, said)
        if scenario.memory:
            found |= {"rss_before": memory / MIB, "rss_after": gateway.memory_bytes() / MIB}
            gateway.stop()
            del self._running[system.name]
        return found

    def _ready(self, callers: Talker, job: Job) -> None:
        callers.tell(job.to_json())
        _told(callers.answer(job.seconds + LONGEST_SECONDS))

    def _done(self, callers: Talker, seconds: float) -> dict[str, Any]:
        callers.tell("go")
        return _told(callers.answer(seconds + LONGEST_SECONDS))


def _told(said: dict[str, Any]) -> dict[str, Any]:
    if "failed" in said:
        raise RuntimeError(f"a call failed: {said['failed']}")
    return said


def _job(gateway: Gateway, scenario: Scenario, seconds: float, calls: int = MEMORY_CALLS) -> Job:
    return Job(
        protocol=gateway.protocol,
        address=gateway.address,
        key=gateway.key,
        model=gateway.model,
        concurrency=scenario.concurrency,
        seconds=seconds,
        calls=calls,
        tokens=scenario.tokens,
        stream=scenario.stream,
        cache=gateway.cache if scenario.cache else "",
    )


def metrics(scenario: Scenario, said: Mapping[str, Any], answers: int) -> dict[str, float]:
    """What the callers' report comes to; the provider gave so many `answers` meanwhile.

    Raises RuntimeError if the cache was to answer and did not.
    """
    rate = whole_calls(scenario, said) / said["elapsed"]
    found = {"calls_per_second": rate}
    if scenario.cache:
        if answers > said["calls"] * 0.1:
            raise RuntimeError(f"of {said['calls']} answers {answers} came from the provider, not the cache")
        found = {"hits_per_second": rate}
    if scenario.stream:
        found["tokens_per_second"] = said["tokens"] / said["elapsed"]
        found |= {name: said[name] for name in ("first_token_p50", "first_token_p99")}
    elif not scenario.memory:
        found |= {name: said[name] for name in ("latency_p50", "latency_p99")}
    if scenario.memory:
        found["calls"] = said["calls"]
    found["client_cpu_per_call"] = 1000 * said["cpu"] / whole_calls(scenario, said)
    return found


def whole_calls(scenario: Scenario, said: Mapping[str, Any]) -> float:
    """How many answers came, those that were left unfinished by their part."""
    return float(said["tokens"]) / scenario.tokens


def add_differences(of_one_run: Mapping[tuple[str, str], dict[str, float]], scenario: Scenario) -> None:
    """Adds to each system's metrics what it adds to those of direct calls in the same run."""
    direct = of_one_run.get((scenario.name, DIRECT))
    if direct is None or scenario.concurrency != 1:
        return
    for (name, system), found in of_one_run.items():
        if name == scenario.name and system != DIRECT:
            for metric in ADDED & found.keys():
                found[f"added_{metric}"] = found[metric] - direct[metric]
