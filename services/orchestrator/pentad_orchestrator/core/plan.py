"""What was asked for, compiled into a Plan that leaves nothing to guess: names, retries and time-outs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from google.protobuf.duration_pb2 import Duration

from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_orchestrator.core.validation import check_plan, invalid

Plan = orchestrator_pb2.Plan
Step = orchestrator_pb2.Step
Edge = orchestrator_pb2.Edge

DEFAULT_ROUTER = "router"


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds where a plan says nothing. Times are seconds."""

    max_attempts: int = 4
    initial_backoff: float = 2.0
    multiplier: float = 2.0
    max_backoff: float = 300.0
    timeout: float = 300.0
    agent_wait: float = 30.0
    """How long a step waits for an agent that is not there, before the attempt fails."""
    lookup_again: float = 5.0
    """How long an answer of the registry may take, before it is asked again."""
    adaptive_steps: int = 8


def compile_strategy(
    request: orchestrator_pb2.CreateRunRequest, policy: Policy, workflow: Plan | None = None
) -> Plan:
    """The plan of a request; `workflow` is the plan of the workflow that it names.

    Raises InvalidArgument INVALID_PLAN, naming the step at fault.
    """
    kind = request.WhichOneof("strategy")
    if kind == "sequential":
        plan = _sequential(request.sequential)
    elif kind == "parallel":
        plan = _parallel(request.parallel)
    elif kind == "adaptive":
        plan = Plan(adaptive=request.adaptive)
    elif kind == "plan" or workflow is not None:
        plan = Plan()
        plan.CopyFrom(workflow if workflow is not None else request.plan)
    else:
        raise invalid(
            "say what the run is to do: sequential, parallel, adaptive, plan or workflow", field="strategy"
        )
    return compile_plan(plan, policy, [part.name for part in request.inputs])


def compile_plan(plan: Plan, policy: Policy, inputs: Iterable[str] | None = None) -> Plan:
    """A checked copy of the plan with all defaults filled in. `inputs`: names of the run's, if known."""
    compiled = Plan()
    compiled.CopyFrom(plan)
    for step in compiled.steps:
        _fill(step, policy)
    if compiled.HasField("adaptive"):
        _fill_adaptive(compiled.adaptive, policy)
    check_plan(compiled, None if inputs is None else set(inputs))
    return compiled


def _sequential(request: orchestrator_pb2.Sequential) -> Plan:
    steps = _named(request.steps)
    edges = [_edge(one.name, other.name) for one, other in pairwise(steps)]
    return Plan(steps=steps, edges=edges)


def _parallel(request: orchestrator_pb2.Parallel) -> Plan:
    aggregated = request.HasField("aggregator")
    steps = _named([*request.steps, *([request.aggregator] if aggregated else [])])
    workers = steps[: len(request.steps)]
    for worker in workers:
        worker.on_failure = worker.on_failure or orchestrator_pb2.ON_FAILURE_CONTINUE
    if request.min_successes > len(workers):
        raise invalid(
            f"min_successes is {request.min_successes}, and there are only {len(workers)} steps",
            "min_successes",
        )
    required = sum(worker.on_failure == orchestrator_pb2.ON_FAILURE_FAIL for worker in workers)
    edges = [_edge(worker.name, steps[-1].name) for worker in workers] if aggregated else []
    # The plan counts optional steps alone; those that must not fail have succeeded anyway.
    return Plan(steps=steps, edges=edges, min_successes=max(0, max(1, request.min_successes) - required))


def _named(steps: Iterable[Step]) -> list[Step]:
    """Copies of the steps, each with a name."""
    taken = {step.name for step in steps if step.name}
    named = []
    for original in steps:
        step = Step()
        step.CopyFrom(original)
        if not step.name:
            step.name = unused_name(step.agent or step.capability or "input", taken)
            taken.add(step.name)
        named.append(step)
    return named


def unused_name(base: str, taken: Iterable[str]) -> str:
    """`base`, or `base-2` and so on when it is taken."""
    names = set(taken)
    number, name = 1, base
    while name in names:
        number += 1
        name = f"{base}-{number}"
    return name


def _edge(source: str, target: str) -> Edge:
    return Edge(**{"from": source}, to=target)


def _fill(step: Step, policy: Policy) -> None:
    retry = step.retry
    retry.max_attempts = retry.max_attempts or policy.max_attempts
    retry.multiplier = retry.multiplier or policy.multiplier
    if not retry.HasField("initial_backoff"):
        retry.initial_backoff.CopyFrom(duration(policy.initial_backoff))
    if not retry.HasField("max_backoff"):
        retry.max_backoff.CopyFrom(duration(policy.max_backoff))
    # A person takes the time a person takes.
    if not step.HasField("timeout") and not step.HasField("input"):
        step.timeout.CopyFrom(duration(policy.timeout))
    step.on_failure = step.on_failure or orchestrator_pb2.ON_FAILURE_FAIL


def _fill_adaptive(adaptive: orchestrator_pb2.Adaptive, policy: Policy) -> None:
    adaptive.router = adaptive.router or DEFAULT_ROUTER
    adaptive.max_steps = adaptive.max_steps or policy.adaptive_steps
    adaptive.step.ClearField("name")
    adaptive.step.ClearField("runner")
    _fill(adaptive.step, policy)


def duration(seconds: float) -> Duration:
    """The span as a message."""
    span = Duration()
    span.FromMicroseconds(round(seconds * 1_000_000))
    return span


def seconds(span: Duration) -> float:
    """The span in seconds."""
    return span.seconds + span.nanos / 1e9
