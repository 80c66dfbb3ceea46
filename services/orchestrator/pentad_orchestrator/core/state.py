"""Where a run stands: plain values, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from pentad.common.v1 import common_pb2
from pentad_common.errors import PentadError, error_for_code, to_proto


class Phase(StrEnum):
    """Where a run, a step or an attempt stands. Only steps are skipped; only runs are paused."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"


class Wait(StrEnum):
    """What a waiting step waits for."""

    NONE = ""
    RETRY = "retry"
    LOOKUP = "lookup"
    """An answer of the registry."""
    AGENT = "agent"
    INPUT = "input"


ENDED = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED})
ACTIVE = frozenset({Phase.RUNNING, Phase.WAITING})
_MOST_CHARACTERS = 8192
SETTLED = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.SKIPPED})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed. `retry_after`: seconds, None when trying again does not help."""

    code: int
    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)
    retry_after: float | None = None

    @classmethod
    def of(cls, error: PentadError) -> Failure:
        """The failure that an error stands for."""
        return cls(int(error.code), error.reason, error.message, dict(error.metadata), error.retry_after)

    @classmethod
    def from_proto(cls, error: common_pb2.Error) -> Failure:
        """What an agent reports, cut to what a state can carry; without a reason it is AGENT_ERROR."""
        after = error.retry_after.ToNanoseconds() / 1e9 if error.HasField("retry_after") else None
        return cls(
            error.code if 1 <= error.code <= 16 else 2,
            error.reason[:128] or "AGENT_ERROR",
            error.message[:_MOST_CHARACTERS] or "the agent gave no message",
            {key[:128]: value[:1024] for key, value in list(error.metadata.items())[:64]},
            None if after is None else max(0.0, after),
        )

    def proto(self) -> common_pb2.Error:
        """The failure as it travels in messages."""
        return to_proto(error_for_code(self.code, self.reason, self.message, self.metadata, self.retry_after))


@dataclass(frozen=True, slots=True)
class Output:
    """What a step came to. `parts` is empty when it failed."""

    agent: str
    parts: tuple[common_pb2.Part, ...] = ()
    failure: Failure | None = None


@dataclass(slots=True)
class StepState:
    """One step. `due`: when its attempt times out, its next attempt begins, or waiting for an agent ends."""

    phase: Phase = Phase.PENDING
    wait: Wait = Wait.NONE
    attempt: int = 0
    before: int = 0
    """Attempts made before the run was last retried: they do not count against the policy."""
    agent: str = ""
    due: float | None = None
    look: float | None = None
    """When to look for an agent again."""
    failure: Failure | None = None
    target: str = ""
    """With steps that an adaptive run added: the agent that was chosen."""
    choice: bool = False
    """An adaptive run asks its router in this step."""
    handoff: str = ""
    final: bool = False


@dataclass(slots=True)
class RunState:
    """A run. `outputs` of settled steps are kept beside the JSON, with the attempts that made them."""

    phase: Phase = Phase.PENDING
    steps: dict[str, StepState] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)
    paused: bool = False
    attempts: int = 0
    usage: common_pb2.Usage = field(default_factory=common_pb2.Usage)
    failure: Failure | None = None
    degraded: bool = False
    missing: list[str] = field(default_factory=list)
    result: list[str] = field(default_factory=list)
    """Steps whose outputs are the result."""
    deadline: float | None = None
    started: float | None = None
    ended: float | None = None
    last: str = ""
    """The step that settled last."""
    notes: list[str] = field(default_factory=list)
    """What an adaptive run passed over while it chose its next agent."""
    traceparent: str = ""
    """The trace that the run belongs to."""
    inline_bytes: int = 0
    """Bytes of inputs and outputs kept inline; beyond a bound they become artifacts."""

    @property
    def over(self) -> bool:
        """Whether nothing can happen any more, short of a retry."""
        return self.phase in ENDED

    def copy(self) -> RunState:
        """A copy that can be changed without changing this one."""
        usage = common_pb2.Usage()
        usage.CopyFrom(self.usage)
        return replace(
            self,
            steps={name: replace(step) for name, step in self.steps.items()},
            outputs=dict(self.outputs),
            usage=usage,
            missing=list(self.missing),
            result=list(self.result),
            notes=list(self.notes),
        )

    def active(self) -> list[str]:
        """Steps at work or waiting, in order."""
        return [name for name, step in self.steps.items() if step.phase in ACTIVE]

    def settled(self, names: Iterable[str]) -> bool:
        """Whether all of these steps have come to an end."""
        return all(self.steps[name].phase in SETTLED for name in names)


_RUN_FIELDS = [
    item.name for item in fields(RunState) if item.name not in ("steps", "outputs", "usage", "failure")
]
_FRESH_STEP = StepState()
_STEP_FIELDS = [item.name for item in fields(StepState) if item.name != "failure"]


def dump_state(state: RunState) -> bytes:
    """The state as JSON, without outputs; what has its default is left out."""
    document: dict[str, Any] = {name: getattr(state, name) for name in _RUN_FIELDS}
    document["steps"] = {name: _dump_step(step) for name, step in state.steps.items()}
    document["usage"] = state.usage.SerializeToString().hex()
    document["failure"] = asdict(state.failure) if state.failure else None
    return json.dumps(document, separators=(",", ":")).encode()


def _dump_step(step: StepState) -> dict[str, Any]:
    values = {name: getattr(step, name) for name in _STEP_FIELDS}
    changed = {name: value for name, value in values.items() if value != getattr(_FRESH_STEP, name)}
    return {**changed, "failure": asdict(step.failure)} if step.failure else changed


def load_state(data: bytes, outputs: dict[str, Output]) -> RunState:
    """The state that `dump_state` wrote, with these outputs."""
    document = json.loads(data)
    state = RunState(**{name: document[name] for name in _RUN_FIELDS if name in document}, outputs=outputs)
    state.phase = Phase(state.phase)
    state.steps = {name: _load_step(values) for name, values in document["steps"].items()}
    state.usage = common_pb2.Usage.FromString(bytes.fromhex(document["usage"]))
    state.failure = _load_failure(document["failure"])
    return state


def _load_step(values: dict[str, Any]) -> StepState:
    step = StepState(**{name: value for name, value in values.items() if name in _STEP_FIELDS})
    step.phase, step.wait = Phase(step.phase), Wait(step.wait)
    step.failure = _load_failure(values.get("failure"))
    return step


def _load_failure(values: dict[str, Any] | None) -> Failure | None:
    return Failure(**values) if values else None
