"""One move of a run: the state as it becomes, and the commands that go with it."""

from __future__ import annotations

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_orchestrator.core.graph import Graph, Step
from pentad_orchestrator.core.plan import Policy
from pentad_orchestrator.core.signals import Command, Directory, Emit, EventType, Recall, Record
from pentad_orchestrator.core.state import Failure, Output, Phase, RunState, StepState, Wait


class Turn:
    """What a move works on. `directory` is None while the registry cannot be asked."""

    def __init__(
        self, graph: Graph, state: RunState, now: float, directory: Directory | None, policy: Policy
    ) -> None:
        self.graph = graph
        self.state = state.copy()
        self.now = now
        self.directory = directory
        self.policy = policy
        self.commands: list[Command] = []
        self.limits = orchestrator_pb2.Limits()

    def step(self, name: str) -> Step:
        """The step's description; steps that an adaptive run adds share one."""
        known = self.graph.steps.get(name)
        if known is not None:
            return known
        assert self.graph.adaptive is not None
        return self.graph.adaptive.step

    def emit(
        self,
        kind: orchestrator_pb2.RunEvent.Type,
        step: str = "",
        message: str = "",
        due: float | None = None,
        fraction: float | None = None,
    ) -> None:
        """Tells watchers; about the step's current attempt, if it is about a step."""
        attempt = self.state.steps[step].attempt if step else 0
        self.commands.append(Emit(kind, step, attempt, message, fraction, due))

    def record(
        self,
        name: str,
        phase: Phase,
        parts: tuple[common_pb2.Part, ...] = (),
        failure: Failure | None = None,
        usage: common_pb2.Usage | None = None,
    ) -> None:
        """Stores the step's current attempt as it stands."""
        step = self.state.steps[name]
        self.commands.append(Record(name, step.attempt, step.agent, phase, parts, failure, usage))

    # Ends of a run.

    def complete(self, result: list[str], message: str = "") -> None:
        """The run ends with the outputs of these steps; what failed on the way is missing from it."""
        state = self.state
        state.result = result
        failed = (name for name, step in state.steps.items() if step.phase is Phase.FAILED)
        state.missing = list(dict.fromkeys([*state.missing, *failed]))
        state.degraded = bool(state.missing)
        if state.degraded and not message:
            message = f"without {', '.join(state.missing)}"
        self._end(Phase.COMPLETED, EventType.TYPE_RUN_COMPLETED, message)

    def fail(self, failure: Failure) -> None:
        """The run ends without a result; agents at work are told."""
        self.state.failure = failure
        self.stop(failure.message)
        self._end(Phase.FAILED, EventType.TYPE_RUN_FAILED, failure.message)

    def cancel(self, reason: str) -> None:
        """The run ends because somebody said so."""
        message = reason or "cancelled"
        self.state.failure = Failure(1, "RUN_CANCELLED", message)
        self.stop(message)
        self._end(Phase.CANCELLED, EventType.TYPE_RUN_CANCELLED, message)

    def stop(self, reason: str) -> None:
        """Ends all attempts under way."""
        if any(step.phase is Phase.RUNNING for step in self.state.steps.values()):
            self.commands.append(Recall(reason))
        for name in self.state.active():
            step = self.state.steps[name]
            if step.phase is Phase.RUNNING or step.wait in (Wait.AGENT, Wait.INPUT):
                self.record(name, Phase.CANCELLED)
            step.phase, step.wait, step.due, step.look = Phase.CANCELLED, Wait.NONE, None, None

    def _end(self, phase: Phase, kind: orchestrator_pb2.RunEvent.Type, message: str) -> None:
        state = self.state
        state.phase, state.paused, state.ended = phase, False, self.now
        self.emit(kind, message=message)

    # Ends of a step.

    def settle(self, name: str, phase: Phase, output: Output | None = None) -> StepState:
        """The step comes to an end."""
        step = self.state.steps[name]
        step.phase, step.wait, step.due, step.look = phase, Wait.NONE, None, None
        if output is not None:
            self.state.outputs[name] = output
        if phase is not Phase.SKIPPED:
            self.state.last = name
        return step
