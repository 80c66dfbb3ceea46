"""A run for people: what was asked, what each step did, what came out."""

from __future__ import annotations

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_cli.outcome import show_parts, why
from pentad_cli.parts import content_type
from pentad_cli.run_document import moment, state_name
from pentad_cli.table import show_table
from pentad_cli.terminal import plain
from pentad_cli.units import size, span

HEADINGS = ("step", "agent", "attempt", "state", "took", "tokens", "outcome")


def show_run(run: orchestrator_pb2.Run) -> None:
    """Prints all about a run on standard output."""
    for name, value in _fields(run):
        if value:
            print(f"{name:<12}{plain(value)}")
    print()
    show_table(HEADINGS, [_row(attempt) for attempt in run.agent_runs], "no step has begun")
    if run.result:
        print()
        show_parts(run.result)


def _fields(run: orchestrator_pb2.Run) -> list[tuple[str, str]]:
    created, ended = moment(run, "create_time"), moment(run, "end_time")
    took = span((ended - created).total_seconds()) if created and ended else ""
    tokens = run.usage.input_tokens + run.usage.output_tokens
    ends = (orchestrator_pb2.STATE_FAILED, orchestrator_pb2.STATE_CANCELLED)
    return [
        ("run", run.run_id),
        ("state", why(run) if run.state in ends else state_name(run.state)),
        ("missing", ", ".join(run.missing)),
        ("strategy", run.strategy),
        ("asked", run.instruction),
        ("files", ", ".join(_input(part) for part in run.inputs)),
        ("created", created.astimezone().strftime("%Y-%m-%d %H:%M:%S") if created else ""),
        ("took", took),
        ("tokens", f"{tokens} in {run.usage.calls} calls" if tokens else ""),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(run.labels.items()))),
    ]


def _input(part: common_pb2.Part) -> str:
    length = part.artifact.size if part.HasField("artifact") else len(part.content.data)
    return f"{part.name} ({size(length)}, {content_type(part)})"


def _row(attempt: orchestrator_pb2.AgentRun) -> list[str]:
    began, ended = moment(attempt, "start_time"), moment(attempt, "end_time")
    tokens = attempt.usage.input_tokens + attempt.usage.output_tokens
    outcome = ", ".join(part.name or content_type(part) for part in attempt.outputs)
    if attempt.HasField("error"):
        outcome = f"{attempt.error.reason}: {attempt.error.message}"
    return [
        attempt.step,
        attempt.agent,
        str(attempt.attempt),
        state_name(attempt.state),
        span((ended - began).total_seconds()) if began and ended else "",
        str(tokens) if tokens else "",
        outcome,
    ]
