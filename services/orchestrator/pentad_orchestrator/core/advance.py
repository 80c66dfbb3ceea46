"""`advance`: the one way in which a run moves."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from typing import Any

from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_common.errors import FailedPrecondition
from pentad_orchestrator.core import adaptive, signals
from pentad_orchestrator.core.conditions import ConditionError, evaluate
from pentad_orchestrator.core.graph import Edge, Graph
from pentad_orchestrator.core.outputs import values_after
from pentad_orchestrator.core.plan import Policy, seconds
from pentad_orchestrator.core.signals import Command, Directory, EventType
from pentad_orchestrator.core.state import Failure, Output, Phase, RunState, StepState, Wait
from pentad_orchestrator.core.steps import answered, begin, fail_attempt, find_agent, resolved, time_out
from pentad_orchestrator.core.turn import Turn


def advance(
    graph: Graph,
    state: RunState,
    event: signals.Event,
    *,
    now: float,
    directory: Directory | None,
    limits: orchestrator_pb2.Limits | None = None,
    policy: Policy | None = None,
) -> tuple[RunState, list[Command]]:
    """The run after the event, and what is to be done about it; `state` itself stays as it is.

    An event that comes too late or twice changes nothing and asks for nothing.
    Raises FailedPrecondition RUN_ENDED, RUN_NOT_PAUSED, STEP_NOT_WAITING or RUN_NOT_FAILED for what a person
    asks for at the wrong time.
    """
    turn = Turn(graph, state, now, directory, policy or Policy())
    turn.limits = limits or turn.limits
    if state.over and not isinstance(event, signals.Retry | signals.Pause | signals.Resume | signals.Input):
        return turn.state, []
    apply_event(event, turn)
    if turn.state.phase is not Phase.PENDING:
        _go_on(turn)
    return turn.state, turn.commands


def next_wake(state: RunState) -> float | None:
    """When somebody must look at the run again, if nothing happens before."""
    if state.over:
        return None
    if state.phase is Phase.PENDING:
        return 0.0
    times = [time for step in state.steps.values() for time in _wakes(step, state.paused)]
    return min([*times, *([state.deadline] if state.deadline else [])], default=None)


def _wakes(step: StepState, paused: bool) -> list[float]:
    if paused and step.phase is not Phase.RUNNING and step.wait is not Wait.INPUT:
        return []
    return [time for time in (step.due, step.look) if time is not None]


# What happens.


@singledispatch
def apply_event(event: Any, turn: Turn) -> None:
    """Changes the state by the event alone; what follows from it comes after."""
    raise TypeError(f"not an event: {event!r}")


@apply_event.register
def _start(event: signals.Start, turn: Turn) -> None:
    state = turn.state
    if state.phase is not Phase.PENDING:
        return
    state.phase, state.started = Phase.RUNNING, turn.now
    state.steps = {name: StepState() for name in turn.graph.steps}
    _set_deadline(turn)
    turn.emit(EventType.TYPE_RUN_STARTED)


def _set_deadline(turn: Turn) -> None:
    if turn.limits.HasField("deadline"):
        turn.state.deadline = turn.now + seconds(turn.limits.deadline)


@apply_event.register
def _tick(event: signals.Tick, turn: Turn) -> None:
    for name in turn.state.active():
        step = turn.state.steps[name]
        late = step.due is not None and turn.now >= step.due
        if step.phase is Phase.RUNNING or step.wait is Wait.INPUT:
            if late:
                time_out(turn, name)
        elif turn.state.paused:
            continue
        elif step.wait is Wait.RETRY:
            if late:
                begin(turn, name)
        elif step.wait is Wait.AGENT or event.again or (step.look or 0) <= turn.now:
            _look_again(turn, name, late)
        if turn.state.over:
            return


def _look_again(turn: Turn, name: str, late: bool) -> None:
    step = turn.state.steps[name]
    if late and step.wait is Wait.LOOKUP:
        message = "the registry did not answer"
        fail_attempt(turn, name, Failure(14, "REGISTRY_UNAVAILABLE", message, retry_after=0.0))
        return
    attempt = step.attempt
    find_agent(turn, name)
    if late and step.attempt == attempt and step.wait is Wait.AGENT:
        message = f"no agent came within {turn.policy.agent_wait:g} s"
        fail_attempt(turn, name, Failure(14, "AGENT_UNAVAILABLE", message, retry_after=0.0))


@apply_event.register
def _result(event: signals.Result, turn: Turn) -> None:
    answered(turn, event)


@apply_event.register
def _progress(event: signals.Progress, turn: Turn) -> None:
    step = turn.state.steps.get(event.step)
    if step is not None and step.attempt == event.attempt and step.phase is Phase.RUNNING:
        turn.emit(EventType.TYPE_STEP_PROGRESS, event.step, event.message, fraction=event.fraction)


@apply_event.register
def _refused(event: signals.Refused, turn: Turn) -> None:
    step = turn.state.steps.get(event.step)
    if step is not None and step.attempt == event.attempt and step.phase is Phase.RUNNING:
        fail_attempt(turn, event.step, event.failure)


@apply_event.register
def _resolved(event: signals.Resolved, turn: Turn) -> None:
    resolved(turn, event)


@apply_event.register
def _input(event: signals.Input, turn: Turn) -> None:
    step = turn.state.steps.get(event.step)
    if turn.state.over or step is None or step.wait is not Wait.INPUT:
        raise FailedPrecondition(
            "STEP_NOT_WAITING", f"step {event.step!r} of this run does not wait for input", step=event.step
        )
    turn.record(event.step, Phase.COMPLETED, event.parts)
    turn.settle(event.step, Phase.COMPLETED, Output("", event.parts))
    turn.emit(EventType.TYPE_STEP_COMPLETED, event.step)


@apply_event.register
def _pause(event: signals.Pause, turn: Turn) -> None:
    if turn.state.over:
        raise FailedPrecondition("RUN_ENDED", f"the run has ended: it is {turn.state.phase}")
    if not turn.state.paused:
        turn.state.paused = True
        turn.state.phase = turn.state.phase if turn.state.phase is Phase.PENDING else Phase.PAUSED
        turn.emit(EventType.TYPE_RUN_PAUSED)


@apply_event.register
def _resume(event: signals.Resume, turn: Turn) -> None:
    if turn.state.over or not turn.state.paused:
        raise FailedPrecondition("RUN_NOT_PAUSED", f"the run is not paused: it is {turn.state.phase}")
    turn.state.paused = False
    turn.emit(EventType.TYPE_RUN_RESUMED)
    for name in turn.state.active():
        step = turn.state.steps[name]
        if step.wait in (Wait.LOOKUP, Wait.AGENT):
            step.due = turn.now + turn.policy.agent_wait
            find_agent(turn, name)


@apply_event.register
def _cancel(event: signals.Cancel, turn: Turn) -> None:
    turn.cancel(event.reason)


@apply_event.register
def _retry(event: signals.Retry, turn: Turn) -> None:
    """Steps with an output stay as they are; all others start over. Choices are made anew."""
    state = turn.state
    if state.phase not in (Phase.FAILED, Phase.CANCELLED):
        raise FailedPrecondition(
            "RUN_NOT_FAILED", f"only failed and cancelled runs are retried: this one is {state.phase}"
        )
    state.phase, state.failure, state.ended = Phase.RUNNING, None, None
    state.degraded, state.missing, state.result, state.notes = False, [], [], []
    state.started = state.started or turn.now
    for name, step in state.steps.items():
        if step.phase is not Phase.COMPLETED:
            state.steps[name] = replace(
                StepState(target=step.target, choice=step.choice), attempt=step.attempt, before=step.attempt
            )
            state.outputs.pop(name, None)
    for name in turn.graph.steps:
        state.steps.setdefault(name, StepState())
    done = [name for name, step in state.steps.items() if step.phase is Phase.COMPLETED]
    state.last = done[-1] if done else ""
    _set_deadline(turn)
    turn.emit(EventType.TYPE_RUN_RESUMED, message="retried")


# What follows.


def _go_on(turn: Turn) -> None:
    state = turn.state
    if state.over:
        return
    if state.deadline is not None and turn.now >= state.deadline:
        limit = f"{seconds(turn.limits.deadline):g} s"
        turn.fail(Failure(4, "RUN_DEADLINE_EXCEEDED", f"the run took longer than its deadline of {limit}"))
        return
    _check_failures(turn)
    if not state.over and not state.paused:
        _start_steps(turn)
        _finish(turn)
    if not state.over:
        state.phase = _phase(state)


def _phase(state: RunState) -> Phase:
    if state.paused:
        return Phase.PAUSED
    phases = [step.phase for step in state.steps.values()]
    return Phase.WAITING if Phase.WAITING in phases and Phase.RUNNING not in phases else Phase.RUNNING


def _check_failures(turn: Turn) -> None:
    """Fails the run for a step that must not fail, or when too few of the others can still succeed."""
    optional = orchestrator_pb2.ON_FAILURE_CONTINUE
    for name, step in turn.state.steps.items():
        if step.phase is Phase.FAILED and not step.choice and turn.step(name).on_failure != optional:
            turn.fail(_because_of(name, step))
            return
    if turn.graph.plan.min_successes:
        _check_successes(turn, turn.graph.plan.min_successes)


def _because_of(name: str, step: StepState) -> Failure:
    failure = step.failure or Failure(2, "STEP_FAILED", "it failed")
    times = f" after {step.attempt - step.before} attempts" if step.attempt - step.before > 1 else ""
    message = f"step '{name}' failed{times}: {failure.message}"
    return replace(failure, message=message, metadata={**failure.metadata, "step": name}, retry_after=None)


def _check_successes(turn: Turn, wanted: int) -> None:
    steps = turn.state.steps
    optional = turn.graph.optional_steps()
    failed = [name for name in optional if steps[name].phase is Phase.FAILED]
    skipped = sum(steps[name].phase is Phase.SKIPPED for name in optional)
    if failed and len(optional) - len(failed) - skipped < min(wanted, len(optional) - skipped):
        turn.fail(_too_few(turn, failed, wanted))


def _too_few(turn: Turn, failed: list[str], wanted: int) -> Failure:
    reasons = "; ".join(
        f"{name}: {failure.message}" for name in failed[:8] if (failure := turn.state.steps[name].failure)
    )
    last = turn.state.steps[failed[-1]].failure
    message = f"fewer than {wanted} of the steps that may fail succeeded ({reasons})"
    return Failure(last.code if last else 2, "TOO_FEW_SUCCESSES", message, {"steps": ",".join(failed)[:1024]})


def _start_steps(turn: Turn) -> None:
    """Begins the steps whose turn it is and leaves out those that no edge leads to."""
    for name in turn.graph.order:
        step = turn.state.steps[name]
        if step.phase is not Phase.PENDING or not turn.state.settled(turn.graph.before(name)):
            continue
        edges = turn.graph.incoming[name]
        if not edges or any([_holds(turn, edge) for edge in edges]):
            begin(turn, name)
        else:
            turn.settle(name, Phase.SKIPPED)
            turn.emit(EventType.TYPE_STEP_SKIPPED, name, _with_notes(turn, "no edge to it holds"))
        if turn.state.over:
            return


def _holds(turn: Turn, edge: Edge) -> bool:
    source = getattr(edge, "from")
    if turn.state.steps[source].phase is Phase.SKIPPED:
        return False
    if not edge.condition:
        return True
    try:
        return evaluate(edge.condition, values_after(turn.state, source))
    except ConditionError as error:
        turn.state.notes.append(f"the condition from '{source}' could not be evaluated: {error}")
        return False


def _with_notes(turn: Turn, message: str) -> str:
    notes, turn.state.notes = turn.state.notes, []
    return "; ".join([message, *notes])


def _finish(turn: Turn) -> None:
    """Ends the run, or chooses what is next, when nothing is at work any more."""
    state = turn.state
    while not state.over and not state.active():
        pending = [name for name, step in state.steps.items() if step.phase is Phase.PENDING]
        if turn.graph.adaptive is None:
            _complete(turn)
        elif pending:
            begin(turn, pending[0])  # a step that an adaptive run takes up again after a retry
        else:
            adaptive.decide(turn)
        if not state.over:
            _check_failures(turn)


def _complete(turn: Turn) -> None:
    """The result is what the result steps put out; without any, what the last ones before them did."""
    steps = turn.state.steps
    done = [name for name in turn.graph.steps if steps[name].phase is Phase.COMPLETED]
    wanted = [name for name in turn.graph.result_steps() if name in done]
    if done:
        turn.complete(wanted or _deepest(turn.graph, done))
        return
    failed = [name for name, step in steps.items() if step.phase is Phase.FAILED]
    turn.fail(_too_few(turn, failed, 1) if failed else Failure(9, "NO_RESULT", "no step was carried out"))


def _deepest(graph: Graph, done: list[str]) -> list[str]:
    covered = {ancestor for name in done for ancestor in graph.ancestors(name)}
    return [name for name in done if name not in covered]
