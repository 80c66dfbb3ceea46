"""What conditions get to see of the steps so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pentad_orchestrator.core.conditions import text_of, value_of
from pentad_orchestrator.core.state import Output, RunState

_NOTHING = Output("")


def values_after(state: RunState, name: str) -> dict[str, Callable[[], Any]]:
    """The variables of a condition on what comes after the step, each made when asked for."""
    output, step = state.outputs.get(name, _NOTHING), state.steps[name]
    return {
        "output": lambda: value_of(output),
        "text": lambda: text_of(output),
        "failed": lambda: output.failure is not None,
        "reason": lambda: output.failure.reason if output.failure else "",
        "attempt": lambda: step.attempt,
        "steps": lambda: {other: value_of(found) for other, found in state.outputs.items()},
        "agent": lambda: step.agent,
    }
