"""The life of a step: it begins, finds its agent, is sent out, is answered, fails, waits, is tried again."""

from __future__ import annotations

from pentad_orchestrator.core.graph import Step
from pentad_orchestrator.core.plan import seconds
from pentad_orchestrator.core.signals import AgentInfo, Dispatch, EventType, Recall, Resolve, Resolved, Result
from pentad_orchestrator.core.state import Failure, Output, Phase, StepState, Wait
from pentad_orchestrator.core.turn import Turn

RETRYABLE_CODES = frozenset({4, 8, 10, 14})
"""DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED and UNAVAILABLE, when it is not an agent that says so."""

RESERVED_PREFIX = "pentad."


def begin(turn: Turn, name: str) -> None:
    """The step's next attempt begins, unless a limit of the run forbids it, which fails the run."""
    exceeded = _exceeded(turn)
    if exceeded:
        turn.fail(exceeded)
        return
    step = turn.state.steps[name]
    step.attempt += 1
    step.agent, step.failure, step.handoff, step.final = "", None, "", False
    description = turn.step(name)
    if description.HasField("input"):
        _ask_person(turn, name, description)
    else:
        step.due = turn.now + turn.policy.agent_wait
        find_agent(turn, name)


def _exceeded(turn: Turn) -> Failure | None:
    """The failure of a run that has used up what it may."""
    limits, usage = turn.limits, turn.state.usage
    tokens = usage.input_tokens + usage.output_tokens
    if limits.max_steps and turn.state.attempts >= limits.max_steps:
        return _limit("max_steps", limits.max_steps, f"{turn.state.attempts} attempts")
    if limits.max_tokens and tokens >= limits.max_tokens:
        return _limit("max_tokens", limits.max_tokens, f"{tokens} tokens")
    cost = usage.cost.micros if usage.cost.currency_code == limits.max_cost.currency_code else 0
    if limits.max_cost.micros and cost >= limits.max_cost.micros:
        return _limit("max_cost", limits.max_cost.micros, f"{cost} millionths of {usage.cost.currency_code}")
    return None


def _limit(name: str, bound: int, used: str) -> Failure:
    message = f"the run has used {used}; its limit {name} is {bound}"
    return Failure(8, "LIMIT_EXCEEDED", message, {"limit": name, "bound": str(bound)})


def _ask_person(turn: Turn, name: str, description: Step) -> None:
    step = turn.state.steps[name]
    step.phase, step.wait = Phase.WAITING, Wait.INPUT
    step.due = turn.now + seconds(description.timeout) if description.HasField("timeout") else None
    turn.record(name, Phase.WAITING)
    turn.emit(EventType.TYPE_STEP_WAITING, name, description.input.prompt or "waits for input", due=step.due)


# Who does it.


def find_agent(turn: Turn, name: str) -> None:
    """Sends the attempt out if its agent is known and there; else asks, or waits."""
    step, description = turn.state.steps[name], turn.step(name)
    if step.choice:
        _find_router(turn, name)
        return
    wanted = step.target or description.agent
    if not wanted:
        _ask_registry(turn, name, capability=description.capability)
        return
    info = (turn.directory or {}).get(wanted)
    if info is not None and info.live:
        dispatch(turn, name, wanted)
    elif info is None:
        _ask_registry(turn, name, agent=wanted)
    else:
        step.agent = wanted
        wait_for_agent(turn, name, f"waits for agent '{wanted}', which is not running")


def _find_router(turn: Turn, name: str) -> None:
    """A router can choose only when there is somebody to choose from."""
    assert turn.graph.adaptive is not None
    router = turn.graph.adaptive.router
    info = (turn.directory or {}).get(router)
    if info is None:
        _ask_registry(turn, name, agent=router)
    elif not info.live:
        wait_for_agent(turn, name, f"waits for the router '{router}', which is not running")
    elif not candidates(turn):
        wait_for_agent(turn, name, "waits for an agent that could be chosen")
    else:
        dispatch(turn, name, router)


def candidates(turn: Turn) -> tuple[AgentInfo, ...]:
    """The live agents that may take part in an adaptive run, by name."""
    adaptive = turn.graph.adaptive
    assert adaptive is not None
    if turn.directory is None:
        return tuple(AgentInfo(name) for name in adaptive.candidates if name != adaptive.router)
    wanted = set(adaptive.candidates) or set(turn.directory)
    wanted.discard(adaptive.router)
    return tuple(
        info
        for name, info in sorted(turn.directory.items())
        if name in wanted and info.live and not name.startswith(RESERVED_PREFIX)
    )


def _ask_registry(turn: Turn, name: str, agent: str = "", capability: str = "") -> None:
    step = turn.state.steps[name]
    if step.wait is not Wait.AGENT:
        step.phase, step.wait = Phase.WAITING, Wait.LOOKUP
    step.look = turn.now + turn.policy.lookup_again
    turn.commands.append(Resolve(name, step.attempt, agent, capability))


def wait_for_agent(turn: Turn, name: str, message: str) -> None:
    """Nobody is there at the moment; said once an attempt."""
    step = turn.state.steps[name]
    step.look = turn.now + 1.0
    if step.wait is not Wait.AGENT:
        step.phase, step.wait = Phase.WAITING, Wait.AGENT
        turn.record(name, Phase.WAITING)
        turn.emit(EventType.TYPE_STEP_WAITING, name, message)
    if step.due is not None and turn.now >= step.due:
        waited = f"after {turn.policy.agent_wait:g} s it still {message}"
        fail_attempt(turn, name, Failure(14, "AGENT_UNAVAILABLE", waited, retry_after=0.0))


def resolved(turn: Turn, answer: Resolved) -> None:
    """The registry has answered."""
    name, step = answer.step, turn.state.steps.get(answer.step)
    if step is None or step.attempt != answer.attempt or step.wait not in (Wait.LOOKUP, Wait.AGENT):
        return
    if answer.failure is not None:
        fail_attempt(turn, name, answer.failure)
    elif answer.busy:
        wait_for_agent(turn, name, answer.busy)
    elif not turn.state.paused:
        if step.choice and not candidates(turn):
            wait_for_agent(turn, name, "waits for an agent that could be chosen")
        else:
            dispatch(turn, name, answer.agent)


# Out and back.


def dispatch(turn: Turn, name: str, agent: str) -> None:
    """The attempt goes to the agent."""
    step, description = turn.state.steps[name], turn.step(name)
    step.phase, step.wait, step.agent, step.look = Phase.RUNNING, Wait.NONE, agent, None
    step.due = turn.now + seconds(description.timeout)
    turn.state.attempts += 1
    due = min(step.due, turn.state.deadline or step.due)
    turn.record(name, Phase.RUNNING)
    turn.commands.append(
        Dispatch(
            step=name,
            attempt=step.attempt,
            agent=agent,
            due=due,
            instruction=description.instruction,
            inputs=_inputs(turn, name, description),
            previous=_previous(turn, name, description),
            candidates=candidates(turn) if step.choice else (),
            parameters=dict(description.parameters),
        )
    )
    turn.emit(EventType.TYPE_STEP_STARTED, name)


def _inputs(turn: Turn, name: str, description: Step) -> tuple[str, ...] | None:
    wanted = tuple(description.mapping.inputs)
    if "*" in wanted or (not wanted and (name not in turn.graph.steps or not turn.graph.incoming[name])):
        return None
    return wanted


def _previous(turn: Turn, name: str, description: Step) -> tuple[str, ...]:
    """Steps whose outcome the step gets to see: those mapped, or those it comes directly after.

    An agent that an adaptive run chose sees all that was done before it.
    """
    state = turn.state
    if description.mapping.steps:
        wanted = [step for step in state.steps if step in set(description.mapping.steps)]
    elif name in turn.graph.steps:
        wanted = turn.graph.before(name)
    else:
        wanted = [step for step, other in state.steps.items() if not other.choice]
    return tuple(step for step in wanted if step in state.outputs and step != name)


def answered(turn: Turn, result: Result) -> None:
    """An agent's answer; one that is late or was given before changes nothing."""
    step = turn.state.steps.get(result.step)
    if step is None or step.attempt != result.attempt or step.phase is not Phase.RUNNING:
        return
    if result.usage is not None:
        add_usage(turn, result)
    if result.failure is not None:
        fail_attempt(turn, result.step, result.failure, result)
        return
    turn.record(result.step, Phase.COMPLETED, result.parts, usage=result.usage)
    step.handoff, step.final = result.handoff, result.final
    turn.settle(result.step, Phase.COMPLETED, Output(step.agent, result.parts))
    turn.emit(EventType.TYPE_STEP_COMPLETED, result.step)


def add_usage(turn: Turn, result: Result) -> None:
    """Adds what the attempt's calls to models cost to the run's."""
    total, more = turn.state.usage, result.usage
    assert more is not None
    for name in ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens", "calls"):
        setattr(total, name, getattr(total, name) + max(0, getattr(more, name)))
    total.estimated = total.estimated or more.estimated
    same = total.cost.currency_code in ("", more.cost.currency_code)
    if more.HasField("cost") and same:
        total.cost.currency_code = more.cost.currency_code
        total.cost.micros += max(0, more.cost.micros)


def fail_attempt(turn: Turn, name: str, failure: Failure, result: Result | None = None) -> None:
    """The attempt failed: it is tried again later, or the step has failed."""
    step, description = turn.state.steps[name], turn.step(name)
    turn.record(name, Phase.FAILED, failure=failure, usage=result.usage if result else None)
    step.failure = failure
    turn.emit(EventType.TYPE_STEP_FAILED, name, f"{failure.reason}: {failure.message}")
    made = step.attempt - step.before
    final = failure.reason in description.retry.non_retryable_reasons
    if failure.retry_after is None or final or made >= description.retry.max_attempts:
        _give_up(turn, name, failure)
        return
    step.phase, step.wait, step.look = Phase.WAITING, Wait.RETRY, None
    step.due = turn.now + retry_delay(description, made, failure)
    wait = f"attempt {step.attempt + 1} begins in {step.due - turn.now:g} s"
    turn.emit(EventType.TYPE_STEP_WAITING, name, wait, due=step.due)


def retry_delay(description: Step, made: int, failure: Failure) -> float:
    """Seconds before the next attempt: what the failure asks for, or the policy's backoff after `made`."""
    if failure.retry_after:
        return failure.retry_after
    retry = description.retry
    ceiling = seconds(retry.max_backoff)
    try:
        return min(ceiling, seconds(retry.initial_backoff) * retry.multiplier ** (made - 1))
    except OverflowError:
        return ceiling


def _give_up(turn: Turn, name: str, failure: Failure) -> None:
    step: StepState = turn.settle(name, Phase.FAILED, Output(turn.state.steps[name].agent, (), failure))
    step.failure = failure


def time_out(turn: Turn, name: str) -> None:
    """No answer came in time."""
    step = turn.state.steps[name]
    limit = seconds(turn.step(name).timeout)
    if step.wait is Wait.INPUT:
        fail_attempt(turn, name, Failure(4, "INPUT_TIMEOUT", f"nobody answered within {limit:g} s"))
        return
    message = f"agent '{step.agent}' did not answer within {limit:g} s"
    turn.commands.append(Recall(message, name, step.attempt))
    fail_attempt(turn, name, Failure(4, "STEP_TIMEOUT", message, {"agent": step.agent}, 0.0))
