"""What can happen to a run, and what it wants done: the core's input and output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_orchestrator.core.state import Failure, Phase

EventType = orchestrator_pb2.RunEvent


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """What the registry says of an agent. `live`: one of its instances can take work."""

    name: str
    live: bool = True
    description: str = ""
    capabilities: tuple[str, ...] = ()


Directory = Mapping[str, AgentInfo]
"""All agents that the registry knows, by name."""


# What happens.


@dataclass(frozen=True, slots=True)
class Start:
    """The run begins."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed, or agents came and went. `again`: ask the registry anew, its answer may be lost."""

    again: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """An agent answered an attempt."""

    step: str
    attempt: int
    parts: tuple[common_pb2.Part, ...] = ()
    failure: Failure | None = None
    usage: common_pb2.Usage | None = None
    handoff: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """An agent tells of its work on an attempt."""

    step: str
    attempt: int
    fraction: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """An attempt could not be handed over."""

    step: str
    attempt: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Resolved:
    """The registry's answer: an agent, or nobody at the moment (`busy` says why), or never (`failure`)."""

    step: str
    attempt: int
    agent: str = ""
    busy: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """A person answered."""

    step: str
    parts: tuple[common_pb2.Part, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Start nothing further."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """End it."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Take it up again where it failed."""


Event = Start | Tick | Result | Progress | Refused | Resolved | Input | Pause | Resume | Cancel | Retry


# What is wanted.


@dataclass(frozen=True, slots=True)
class Record:
    """Store the attempt as it stands. `parts` and `usage` are those of its answer."""

    step: str
    attempt: int
    agent: str
    phase: Phase
    parts: tuple[common_pb2.Part, ...] = ()
    failure: Failure | None = None
    usage: common_pb2.Usage | None = None


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Send the attempt to its agent. `due`: when its answer is no longer wanted."""

    step: str
    attempt: int
    agent: str
    due: float
    instruction: str = ""
    inputs: tuple[str, ...] | None = None
    """Names of the run's inputs it gets; None is all."""
    previous: tuple[str, ...] = ()
    """Steps whose outputs it gets."""
    candidates: tuple[AgentInfo, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recall:
    """Tell agents to stop: an attempt, or all of the run when `step` is empty."""

    reason: str
    step: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Resolve:
    """Ask the registry who does this attempt: `agent` by name, or whoever has `capability`."""

    step: str
    attempt: int
    agent: str = ""
    capability: str = ""


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell watchers. `type` is a RunEvent.Type."""

    type: orchestrator_pb2.RunEvent.Type
    step: str = ""
    attempt: int = 0
    message: str = ""
    fraction: float | None = None
    due: float | None = None


Command = Record | Dispatch | Recall | Resolve | Emit
