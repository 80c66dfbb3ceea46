"""Runs of agents that do nothing: what is left is what Pentad itself costs."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.embedded import pentad, running, status
from benchmarks.report import Row, row
from pentad.orchestrator.v1 import orchestrator_pb2 as proto
from pentad_client import ClientConfig, Pentad

WARM_UP, RUNS, COMMANDS = 5, 40, 7
LONG = 12


def measure() -> list[Row]:
    """A sequential run of three agents, by a client and by the command; the overhead of a step."""
    with tempfile.TemporaryDirectory(prefix="pentad-bench-") as folder, running(Path(folder)):
        state = Path(folder)
        short, long, parallel = asyncio.run(_by_client(_config(state)))
        command = [_by_command(state) for _ in range(COMMANDS)]
    step = [1000 * took / LONG for took in long]
    return [
        row("sequential, 3 agents, no model", "create to end, client", "s", short),
        row("parallel, 3 agents + aggregator, no model", "create to end, client", "s", parallel),
        row("sequential, 3 agents, no model", "`pentad run`, from the shell", "s", command),
        row(f"sequential, {LONG} steps, no model", "overhead of a step", "ms", step),
    ]


async def _by_client(config: ClientConfig) -> tuple[list[float], list[float], list[float]]:
    """Seconds of runs of three agents, of LONG steps, and of three in parallel; interleaved."""
    three = [proto.Step(agent=name) for name in ("first", "second", "third")]
    many = [proto.Step(agent="first") for _ in range(LONG)]
    short = proto.CreateRunRequest(instruction="go", sequential=proto.Sequential(steps=three))
    long = proto.CreateRunRequest(instruction="go", sequential=proto.Sequential(steps=many))
    gather = proto.Parallel(steps=three, aggregator=proto.Step(agent="first"))
    parallel = proto.CreateRunRequest(instruction="go", parallel=gather)
    seconds: tuple[list[float], list[float], list[float]] = ([], [], [])
    async with Pentad(config) as client:
        for number in range(WARM_UP + RUNS):
            for samples, request in zip(seconds, (short, long, parallel), strict=True):
                took = await _run(client, request)
                if number >= WARM_UP:
                    samples.append(took)
    return seconds


async def _run(client: Pentad, template: proto.CreateRunRequest) -> float:
    request = proto.CreateRunRequest()
    request.CopyFrom(template)
    began = time.perf_counter()
    run = await client.orchestrator.create_run(request)
    async for event in client.orchestrator.watch_run(run.run_id):
        state = event.state
    took = time.perf_counter() - began
    assert state == proto.STATE_COMPLETED, f"run {run.run_id} ended as {state}"
    return took


def _by_command(state: Path) -> float:
    began = time.perf_counter()
    pentad(state, "run", "go", "--agents", "first,second,third", "--json")
    return time.perf_counter() - began


def _config(state: Path) -> ClientConfig:
    addresses = status(state)["addresses"]
    return ClientConfig(
        api_key=(state / "key").read_text().strip(),
        **{f"{name}_address": address for name, address in addresses.items()},
    )
