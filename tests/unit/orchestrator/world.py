"""A run without a world around it: events go in one by one, time is a number."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad_orchestrator.core import Graph, Policy, RunState, advance, compile_strategy, next_wake, signals
from pentad_orchestrator.core.state import Failure, Phase, dump_state, load_state


def text_part(text: str, kind: str = "text/plain") -> common_pb2.Part:
    return common_pb2.Part(content=common_pb2.Content(content_type=kind, data=text.encode()))


def json_part(value: Any) -> common_pb2.Part:
    return text_part(json.dumps(value), "application/json")


def steps(*names: str, **fields: Any) -> list[pb.Step]:
    return [pb.Step(agent=name, **fields) for name in names]


def edge(source: str, target: str, condition: str = "") -> pb.Edge:
    return pb.Edge(**{"from": source}, to=target, condition=condition)


def sequential(*names: str, **fields: Any) -> dict[str, Any]:
    return {"sequential": pb.Sequential(steps=steps(*names, **fields))}


def directory(*names: str, gone: tuple[str, ...] = ()) -> dict[str, signals.AgentInfo]:
    known = {name: signals.AgentInfo(name) for name in names}
    return known | {name: signals.AgentInfo(name, live=False) for name in gone}


@dataclass
class World:
    """A run and the agents that it knows; `sent` are the attempts that went out, in order."""

    graph: Graph
    state: RunState
    known: dict[str, signals.AgentInfo] | None
    policy: Policy = field(default_factory=Policy)
    limits: pb.Limits = field(default_factory=pb.Limits)
    now: float = 1000.0
    sent: list[signals.Dispatch] = field(default_factory=list)
    events: list[signals.Emit] = field(default_factory=list)
    commands: list[signals.Command] = field(default_factory=list)
    records: list[signals.Record] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        known: dict[str, signals.AgentInfo] | None = None,
        policy: Policy | None = None,
        limits: pb.Limits | None = None,
        **strategy: Any,
    ) -> World:
        policy = policy or Policy()
        plan = compile_strategy(pb.CreateRunRequest(instruction="do it", **strategy), policy)
        if known is None:
            known = directory(*(step.agent for step in plan.steps if step.agent))
        world = cls(Graph(plan), RunState(), known, policy, limits or pb.Limits())
        world.apply(signals.Start())
        return world

    def apply(self, event: signals.Event) -> list[signals.Command]:
        """Applies one event, by way of the stored form of the state, and keeps what came of it."""
        before = dump_state(self.state)
        state, commands = advance(
            self.graph,
            self.state,
            event,
            now=self.now,
            directory=self.known,
            limits=self.limits,
            policy=self.policy,
        )
        assert dump_state(self.state) == before, "advance must not change the state it was given"
        self.state = load_state(dump_state(state), state.outputs)
        self.commands += commands
        self.sent += [command for command in commands if isinstance(command, signals.Dispatch)]
        self.events += [command for command in commands if isinstance(command, signals.Emit)]
        self.records += [command for command in commands if isinstance(command, signals.Record)]
        return commands

    def answer(self, step: str, text: str = "", **fields: Any) -> None:
        """The agent of the step's attempt under way answers."""
        parts = fields.pop("parts", (text_part(text or f"{step} done"),))
        self.apply(signals.Result(step, self.state.steps[step].attempt, parts, **fields))

    def break_(self, step: str, reason: str = "BROKEN", retry_after: float | None = None) -> None:
        """The agent of the step's attempt under way fails."""
        failure = Failure(13, reason, f"{step} broke", retry_after=retry_after)
        self.apply(signals.Result(step, self.state.steps[step].attempt, failure=failure))

    def pass_time(self) -> float:
        """Time goes on to when the run wants to be looked at; returns how long that took."""
        wake = next_wake(self.state)
        assert wake is not None
        waited, self.now = max(0.0, wake - self.now), max(self.now, wake)
        self.apply(signals.Tick())
        return waited

    @property
    def phase(self) -> Phase:
        """Where the run stands."""
        return self.state.phase

    def kinds(self) -> list[str]:
        return [pb.RunEvent.Type.Name(event.type).removeprefix("TYPE_") for event in self.events]

    def at_work(self) -> list[str]:
        return [name for name, step in self.state.steps.items() if step.phase is Phase.RUNNING]

    def result(self) -> list[str]:
        parts = [part for name in self.state.result for part in self.state.outputs[name].parts]
        return [part.content.data.decode() for part in parts]
