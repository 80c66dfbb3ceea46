"""A run as one JSON document: what `pentad run --json` and `pentad runs show --json` print."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_cli.parts import parts_value
from pentad_cli.units import iso_time


def state_name(state: int) -> str:
    """`completed` for STATE_COMPLETED."""
    return orchestrator_pb2.State.Name(orchestrator_pb2.State.ValueType(state)).removeprefix("STATE_").lower()


def moment(message: Any, field: str) -> datetime | None:
    """A timestamp field; None where it is unset."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return stamp.ToDatetime(tzinfo=UTC)


def run_document(run: orchestrator_pb2.Run) -> dict[str, Any]:
    """Everything about a run but its plan and its input files' bytes."""
    return {
        **run_summary(run),
        "degraded": run.degraded,
        "missing": list(run.missing),
        "steps": [attempt_document(attempt) for attempt in run.agent_runs],
        "result": parts_value(run.result),
        "error": error_document(run, "error"),
        "usage": usage_document(run.usage),
    }


def run_summary(run: orchestrator_pb2.Run) -> dict[str, Any]:
    """A run in a list."""
    return {
        "run_id": run.run_id,
        "status": state_name(run.state),
        "strategy": run.strategy,
        "instruction": run.instruction,
        "created": iso_time(moment(run, "create_time")),
        "started": iso_time(moment(run, "start_time")),
        "finished": iso_time(moment(run, "end_time")),
    }


def attempt_document(attempt: orchestrator_pb2.AgentRun) -> dict[str, Any]:
    """One attempt of one step."""
    return {
        "name": attempt.step,
        "agent": attempt.agent,
        "attempt": attempt.attempt,
        "status": state_name(attempt.state),
        "started": iso_time(moment(attempt, "start_time")),
        "finished": iso_time(moment(attempt, "end_time")),
        "output": parts_value(attempt.outputs),
        "error": error_document(attempt, "error"),
        "usage": usage_document(attempt.usage),
    }


def error_document(message: Any, field: str) -> dict[str, Any] | None:
    """Reason and message of an error; None where there is none."""
    if not message.HasField(field):
        return None
    error: common_pb2.Error = getattr(message, field)
    document: dict[str, Any] = {"reason": error.reason, "message": error.message}
    if error.metadata:
        document["metadata"] = dict(error.metadata)
    return document


def usage_document(usage: common_pb2.Usage) -> dict[str, Any]:
    """Tokens and cost; `cost` in units of its currency, None where no price is known."""
    cost = usage.cost if usage.HasField("cost") else None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "calls": usage.calls,
        "estimated": usage.estimated,
        "cost": {"currency": cost.currency_code, "amount": cost.micros / 1e6} if cost else None,
    }
