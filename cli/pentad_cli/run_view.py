"""A run as its events tell it: what the picture and the lines of progress are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_cli.run_document import moment, state_name
from pentad_cli.units import span

Type = orchestrator_pb2.RunEvent.Type
_WORTH_A_LINE = 0.25
_ENDS = {Type.TYPE_RUN_COMPLETED, Type.TYPE_RUN_FAILED, Type.TYPE_RUN_CANCELLED}


@dataclass
class Attempt:
    """One attempt of a step, or a step that waits or was left out."""

    step: str
    agent: str
    number: int = 1
    state: str = "pending"
    started: datetime | None = None
    ended: datetime | None = None
    tokens: int = 0
    fraction: float | None = None
    told: float = 0.0
    """The fraction at the last line about it."""
    message: str = ""

    @property
    def title(self) -> str:
        """The step, with its agent where that is another word."""
        return self.step if self.agent in ("", self.step) else f"{self.step} ({self.agent})"

    def seconds(self, now: datetime | None = None) -> float | None:
        """How long it took, or has taken so far."""
        if self.started is None:
            return None
        end = self.ended or now or datetime.now(UTC)
        return max(0.0, (end - self.started).total_seconds())


@dataclass
class RunView:
    """What is known of a run so far. `apply` takes its events in order."""

    run_id: str
    state: str = "pending"
    message: str = ""
    created: datetime | None = None
    ended: datetime | None = None
    steps: dict[str, Attempt] = field(default_factory=dict)
    """The newest attempt of each step, in the order in which they began."""

    @property
    def over(self) -> bool:
        return self.state in ("completed", "failed", "cancelled")

    @property
    def tokens(self) -> int:
        return sum(attempt.tokens for attempt in self.steps.values())

    def seconds(self) -> float | None:
        """How long the run took, or has taken so far."""
        if self.created is None:
            return None
        return max(0.0, ((self.ended or datetime.now(UTC)) - self.created).total_seconds())

    def apply(self, event: orchestrator_pb2.RunEvent) -> str:
        """Takes an event; returns it as a line for people, or "" if it is not worth one."""
        time = moment(event, "time")
        self.created = self.created or time
        if event.state:
            self.state = state_name(event.state)
        if event.type in _ENDS:
            self.ended, self.message = time, event.message
            return self._end_line()
        if event.step:
            return self._apply_step(event, time)
        return _RUN_LINES.get(event.type, event.message)

    def _apply_step(self, event: orchestrator_pb2.RunEvent, time: datetime | None) -> str:
        attempt = self._attempt(event)
        before = attempt.message
        attempt.message = event.message
        match event.type:
            case Type.TYPE_STEP_STARTED:
                attempt.state, attempt.started = "running", attempt.started or time
                again = f" (attempt {attempt.number})" if attempt.number > 1 else ""
                return f"{attempt.title} started{again}"
            case Type.TYPE_STEP_PROGRESS:
                return self._progress_line(attempt, event, before)
            case Type.TYPE_STEP_COMPLETED | Type.TYPE_STEP_FAILED:
                return self._attempt_end_line(attempt, event, time)
            case Type.TYPE_STEP_WAITING:
                attempt.state = "waiting"
                return f"{attempt.title} waits{_until(event)}{_because(event.message)}"
            case Type.TYPE_STEP_SKIPPED:
                attempt.state = "skipped"
                return f"{attempt.title} is left out{_because(event.message)}"
        return event.message

    def _attempt(self, event: orchestrator_pb2.RunEvent) -> Attempt:
        told = event.agent_run
        known = self.steps.get(event.step)
        if known is None or told.attempt > known.number:
            known = Attempt(event.step, told.agent or (known.agent if known else ""), max(1, told.attempt))
            self.steps[event.step] = known
        known.agent = told.agent or known.agent
        known.started = moment(told, "start_time") or known.started
        known.ended = moment(told, "end_time") or known.ended
        known.tokens = (told.usage.input_tokens + told.usage.output_tokens) or known.tokens
        return known

    def _progress_line(self, attempt: Attempt, event: orchestrator_pb2.RunEvent, before: str) -> str:
        attempt.fraction = event.fraction if event.HasField("fraction") else attempt.fraction
        attempt.message = event.message or before
        told = attempt.fraction is not None and attempt.fraction - attempt.told < _WORTH_A_LINE
        if event.message == before and (told or attempt.fraction is None):
            return ""
        attempt.told = attempt.fraction or 0.0
        percent = f"{event.fraction:.0%} " if event.HasField("fraction") else ""
        return f"{attempt.title}: {percent}{attempt.message}".rstrip()

    def _attempt_end_line(
        self, attempt: Attempt, event: orchestrator_pb2.RunEvent, time: datetime | None
    ) -> str:
        attempt.ended = attempt.ended or time
        after = f" after {span(attempt.seconds())}"
        if event.type == Type.TYPE_STEP_COMPLETED:
            attempt.state, attempt.fraction = "completed", None
            tokens = f", {attempt.tokens} tokens" if attempt.tokens else ""
            return f"{attempt.title} completed{after}{tokens}"
        attempt.state = "failed"
        error = event.agent_run.error
        attempt.message = f"{error.reason}: {error.message}" if error.reason else event.message
        return f"{attempt.title} failed{after}{_because(attempt.message)}"

    def _end_line(self) -> str:
        after = f" after {span(self.seconds())}"
        return f"run {self.run_id} {self.state}{after}"


_RUN_LINES: dict[Any, str] = {
    Type.TYPE_RUN_CREATED: "",
    Type.TYPE_RUN_STARTED: "",
    Type.TYPE_RUN_PAUSED: "the run is paused",
    Type.TYPE_RUN_RESUMED: "the run goes on",
}


def _until(event: orchestrator_pb2.RunEvent) -> str:
    due, time = moment(event, "due_time"), moment(event, "time")
    return f" for {span((due - time).total_seconds())}" if due and time else ""


def _because(message: str) -> str:
    return f": {message}" if message else ""
