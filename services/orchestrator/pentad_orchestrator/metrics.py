"""What Prometheus gets to see of runs."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_orchestrator.run import Change, StoredRun

RUNS = Counter("pentad_runs", "Runs that ended.", ["state", "strategy"])
ATTEMPTS = Counter("pentad_agent_runs", "Attempts that ended.", ["state"])
SECONDS = Histogram(
    "pentad_agent_run_seconds", "How long attempts took.", buckets=(0.01, 0.1, 0.5, 1, 5, 15, 60, 300)
)


def count(run: StoredRun, change: Change) -> None:
    """Counts what a move brought to an end."""
    for attempt in change.attempts.values():
        if attempt.HasField("end_time"):
            ATTEMPTS.labels(orchestrator_pb2.State.Name(attempt.state).removeprefix("STATE_")).inc()
            SECONDS.observe((attempt.end_time.ToMicroseconds() - attempt.start_time.ToMicroseconds()) / 1e6)
    if change.state.over:
        RUNS.labels(str(change.state.phase), run.header.strategy).inc()
