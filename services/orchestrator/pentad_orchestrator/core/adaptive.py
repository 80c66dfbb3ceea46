"""What comes next in an adaptive run.

First the rules in order, then the agent's handoff, then its word that this is all, then the router. What is
passed over on the way is noted in the event that tells of the choice.
"""

from __future__ import annotations

from pentad_orchestrator.core.conditions import ConditionError, evaluate
from pentad_orchestrator.core.outputs import values_after
from pentad_orchestrator.core.plan import unused_name
from pentad_orchestrator.core.signals import EventType
from pentad_orchestrator.core.state import Failure, Phase, StepState
from pentad_orchestrator.core.steps import begin, candidates
from pentad_orchestrator.core.turn import Turn


def decide(turn: Turn) -> None:
    """Goes on with another step, or ends the run. No step is at work."""
    adaptive, state = turn.graph.adaptive, turn.state
    assert adaptive is not None
    if not state.last:
        if adaptive.first:
            _go_on(turn, adaptive.first, "as the run says")
        else:
            _ask_router(turn)
        return
    last = state.steps[state.last]
    if last.choice:
        _follow_router(turn, last)
    elif not _follow_rules(turn) and not _follow_agent(turn, last):
        _ask_router(turn)


def _follow_rules(turn: Turn) -> bool:
    assert turn.graph.adaptive is not None
    values = values_after(turn.state, turn.state.last)
    for number, rule in enumerate(turn.graph.adaptive.rules, 1):
        try:
            holds = evaluate(rule.condition, values)
        except ConditionError as error:
            turn.state.notes.append(f"rule {number} could not be evaluated: {error}")
            continue
        if holds and rule.agent:
            return _go_on(turn, rule.agent, f"by rule {number}")
        if holds:
            return _finish(turn, f"by rule {number}")
    return False


def _follow_agent(turn: Turn, last: StepState) -> bool:
    if last.handoff:
        if _may_go_on(turn, last.handoff):
            return _go_on(turn, last.handoff, f"handed over by '{last.agent}'")
        turn.state.notes.append(f"the handoff to '{last.handoff}' was ignored: not a live candidate")
    return last.final and _finish(turn, f"'{last.agent}' says that this is the result")


def _may_go_on(turn: Turn, agent: str) -> bool:
    assert turn.graph.adaptive is not None
    if turn.directory is None and not turn.graph.adaptive.candidates:
        return True
    return any(info.name == agent for info in candidates(turn))


def _follow_router(turn: Turn, choice: StepState) -> None:
    """The router's word; without a usable one, what there is so far is the result."""
    router = choice.agent or "router"
    if choice.phase is Phase.FAILED:
        reason = choice.failure.message if choice.failure else "it failed"
        _without_router(turn, choice.failure, f"the router could not choose: {reason}")
    elif choice.handoff and _may_go_on(turn, choice.handoff):
        _go_on(turn, choice.handoff, f"chosen by '{router}'")
    elif choice.final and not choice.handoff:
        if _work(turn):
            _finish(turn, f"'{router}' says that nothing more needs to be done")
        else:
            turn.complete([turn.state.last], f"'{router}' says that nothing needs to be done")
    else:
        chose = f"'{choice.handoff}', which is not a live candidate" if choice.handoff else "nobody"
        _without_router(turn, None, f"the router chose {chose}")


def _without_router(turn: Turn, failure: Failure | None, message: str) -> None:
    name = turn.state.last
    done = _work(turn)
    if any(turn.state.steps[step].phase is Phase.COMPLETED for step in done):
        turn.state.missing.append(name)
        turn.state.notes.append(message)
        _finish(turn, "the run ends with what there is")
    elif failure is not None:
        turn.fail(failure)
    else:
        turn.fail(Failure(9, "ROUTER_CHOICE_INVALID", message))


def _ask_router(turn: Turn) -> None:
    assert turn.graph.adaptive is not None
    if not _room(turn):
        _finish(turn, f"after {turn.graph.adaptive.max_steps} steps, the most there may be")
        return
    name = unused_name(turn.graph.adaptive.router, turn.state.steps)
    turn.state.steps[name] = StepState(choice=True)
    begin(turn, name)


def _go_on(turn: Turn, agent: str, how: str) -> bool:
    assert turn.graph.adaptive is not None
    if not _room(turn):
        return _finish(turn, f"after {turn.graph.adaptive.max_steps} steps, the most there may be")
    name = unused_name(agent, turn.state.steps)
    turn.state.steps[name] = StepState(target=agent)
    turn.emit(EventType.TYPE_NEXT_CHOSEN, name, _with_notes(turn, f"'{agent}' goes on, {how}"))
    begin(turn, name)
    return True


def _finish(turn: Turn, why: str) -> bool:
    """Ends the run with the newest output there is; fails it if there is none."""
    done = [name for name in _work(turn) if turn.state.steps[name].phase is Phase.COMPLETED]
    if done:
        turn.complete([done[-1]], _with_notes(turn, why))
        return True
    failures = [step.failure for step in turn.state.steps.values() if step.failure]
    turn.fail(failures[-1] if failures else Failure(9, "NO_RESULT", f"no agent had a result: {why}"))
    return True


def _room(turn: Turn) -> bool:
    assert turn.graph.adaptive is not None
    made = sum(1 for name in _work(turn) if name not in turn.graph.steps)
    return made < turn.graph.adaptive.max_steps


def _work(turn: Turn) -> list[str]:
    """The steps that are no choices, in the order in which they came."""
    return [name for name, step in turn.state.steps.items() if not step.choice]


def _with_notes(turn: Turn, message: str) -> str:
    notes, turn.state.notes = turn.state.notes, []
    return "; ".join([message, *notes])
