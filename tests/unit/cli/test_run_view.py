"""What is known of a run from its events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as proto
from pentad_cli.run_view import RunView

BEGAN = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
Type = proto.RunEvent.Type


def event(kind: Any, second: float, state: Any = proto.STATE_RUNNING, **fields: Any) -> proto.RunEvent:
    made = proto.RunEvent(type=kind, state=state, run_id="r1", **fields)
    made.time.FromDatetime(BEGAN + timedelta(seconds=second))
    return made


def attempt(number: int = 1, **fields: Any) -> proto.AgentRun:
    return proto.AgentRun(step="write", agent="writer", attempt=number, **fields)


def test_tells_a_run_from_start_to_end() -> None:
    """Each event becomes a line with what a person wants to know of it."""
    view = RunView("r1")
    usage = common_pb2.Usage(input_tokens=100, output_tokens=20)
    error = common_pb2.Error(reason="LLM_OFF", message="no model")
    waiting = event(Type.TYPE_STEP_WAITING, 2, step="write", agent_run=attempt(), message="retry")
    waiting.due_time.FromDatetime(BEGAN + timedelta(seconds=4))
    lines = [
        view.apply(made)
        for made in (
            event(Type.TYPE_RUN_CREATED, 0, proto.STATE_PENDING),
            event(Type.TYPE_STEP_STARTED, 1, step="write", agent_run=attempt()),
            event(Type.TYPE_STEP_PROGRESS, 1.2, step="write", fraction=0.5, message="reading"),
            event(Type.TYPE_STEP_PROGRESS, 1.3, step="write", fraction=0.6, message="reading"),
            event(Type.TYPE_STEP_FAILED, 2, step="write", agent_run=attempt(error=error)),
            waiting,
            event(Type.TYPE_STEP_STARTED, 4, step="write", agent_run=attempt(2)),
            event(Type.TYPE_STEP_COMPLETED, 5.5, step="write", agent_run=attempt(2, usage=usage)),
            event(Type.TYPE_RUN_COMPLETED, 5.6, proto.STATE_COMPLETED),
        )
    ]
    assert lines == [
        "",
        "write (writer) started",
        "write (writer): 50% reading",
        "",
        "write (writer) failed after 1.00 s: LLM_OFF: no model",
        "write (writer) waits for 2.00 s: retry",
        "write (writer) started (attempt 2)",
        "write (writer) completed after 1.50 s, 120 tokens",
        "run r1 completed after 5.60 s",
    ]
    assert (view.over, view.tokens, view.seconds()) == (True, 120, 5.6)
    assert view.steps["write"].number == 2


def test_says_why_a_run_failed() -> None:
    """A failed run's reason is known; its last line leaves it to the outcome that follows."""
    view = RunView("r1")
    view.apply(event(Type.TYPE_RUN_CREATED, 0, proto.STATE_PENDING))
    line = view.apply(event(Type.TYPE_RUN_FAILED, 1, proto.STATE_FAILED, message="NO_AGENT: nobody"))
    assert line == "run r1 failed after 1.00 s"
    assert (view.state, view.message) == ("failed", "NO_AGENT: nobody")
