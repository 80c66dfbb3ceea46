"""What a plan must be like; every error names the step at fault."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_common.call import AGENT_NAME
from pentad_common.errors import InvalidArgument
from pentad_orchestrator.core.conditions import ConditionError, check_condition
from pentad_orchestrator.core.graph import Graph, find_cycle

MOST_BYTES = 1 << 20
"""A compiled plan's size at most: it is sent back with the run in one message."""

_STEP_NAME = re.compile(r"\w[\w .-]{0,63}")


def invalid(message: str, field: str = "plan", step: str = "") -> InvalidArgument:
    """An INVALID_PLAN; `field` is the path of what is wrong."""
    violations = [(field, message)]
    if not step:
        return InvalidArgument("INVALID_PLAN", message, violations=violations)
    return InvalidArgument("INVALID_PLAN", message, violations=violations, step=step)


def check_plan(plan: orchestrator_pb2.Plan, inputs: set[str] | None) -> None:
    """Raises InvalidArgument INVALID_PLAN unless the plan can be carried out with inputs of these names."""
    if not plan.steps and not plan.HasField("adaptive"):
        raise invalid("the plan has no steps", "plan.steps")
    if plan.ByteSize() > MOST_BYTES:
        raise invalid(f"the plan takes {plan.ByteSize()} bytes; {MOST_BYTES} are the most")
    _check_names(plan)
    for position, step in enumerate(plan.steps):
        _check_step(step, f"plan.steps[{position}]")
    _check_edges(plan)
    graph = Graph(plan)
    for position, step in enumerate(plan.steps):
        _check_mapping(step, graph, inputs, f"plan.steps[{position}].mapping")
    _check_results(plan, graph)
    if plan.HasField("adaptive"):
        _check_adaptive(plan.adaptive, inputs)


def _check_names(plan: orchestrator_pb2.Plan) -> None:
    seen: set[str] = set()
    for position, step in enumerate(plan.steps):
        field = f"plan.steps[{position}].name"
        if not step.name:
            raise invalid(f"step {position + 1} has no name", field)
        if not _STEP_NAME.fullmatch(step.name):
            raise invalid(
                f"{step.name!r} is no step name: letters, digits, ' ', '.', '_' and '-'", field, step.name
            )
        if step.name in seen:
            raise invalid(f"two steps are named {step.name!r}", field, step.name)
        seen.add(step.name)


def _check_step(step: orchestrator_pb2.Step, field: str) -> None:
    runner = step.WhichOneof("runner")
    if runner is None or (runner == "capability" and not step.capability):
        raise invalid(f"step {step.name!r} says neither agent, capability nor input", field, step.name)
    if runner == "agent":
        check_agent(step.agent, f"step {step.name!r}", f"{field}.agent", step.name)
    _check_retry(step, field)


def _check_retry(step: orchestrator_pb2.Step, field: str) -> None:
    for name in ("initial_backoff", "max_backoff"):
        span = getattr(step.retry, name)
        if span.seconds < 0 or span.nanos < 0:
            raise invalid(f"step {step.name!r}: {name} is negative", f"{field}.retry.{name}", step.name)
    if step.HasField("timeout") and step.timeout.ToNanoseconds() <= 0:
        raise invalid(f"step {step.name!r}: its timeout is not above 0", f"{field}.timeout", step.name)


def check_agent(name: str, whose: str, field: str, step: str = "") -> None:
    """Raises InvalidArgument INVALID_PLAN unless an agent may have this name."""
    if not AGENT_NAME.fullmatch(name):
        raise invalid(f"{whose}: {name!r} is not the name of an agent", field, step)


def _check_edges(plan: orchestrator_pb2.Plan) -> None:
    names = {step.name for step in plan.steps}
    for position, edge in enumerate(plan.edges):
        field = f"plan.edges[{position}]"
        for end in (getattr(edge, "from"), edge.to):
            if end not in names:
                raise invalid(f"edge {position + 1} names {end!r}, and there is no such step", field, end)
        if edge.condition:
            where = f"the condition of edge {getattr(edge, 'from')!r} → {edge.to!r}"
            check_expression(edge.condition, where, f"{field}.condition", edge.to)
    cycle = find_cycle(names, plan.edges)
    if cycle:
        raise invalid(f"steps wait for each other: {' → '.join(cycle)}", "plan.edges", cycle[0])


def check_expression(expression: str, where: str, field: str, step: str = "") -> None:
    """Raises InvalidArgument INVALID_PLAN unless it is CEL over the variables of a condition."""
    try:
        check_condition(expression)
    except ConditionError as error:
        raise invalid(f"{where} cannot be used: {error}", field, step) from None


def _check_mapping(step: orchestrator_pb2.Step, graph: Graph, inputs: set[str] | None, field: str) -> None:
    before = graph.ancestors(step.name) if step.mapping.steps else set()
    for name in step.mapping.steps:
        if name not in before:
            why = "which does not come before it" if name in graph.steps else "and there is no such step"
            message = f"step {step.name!r} maps the output of {name!r}, {why}"
            raise invalid(message, f"{field}.steps", step.name)
    _check_inputs(step.mapping.inputs, inputs, f"step {step.name!r}", field, step.name)


def _check_inputs(
    wanted: Iterable[str], inputs: set[str] | None, whose: str, field: str, step: str = ""
) -> None:
    for name in wanted:
        if inputs is not None and name != "*" and name not in inputs:
            there = ", ".join(sorted(filter(None, inputs))) or "none"
            raise invalid(f"{whose} maps the input {name!r}; the run has {there}", f"{field}.inputs", step)


def _check_results(plan: orchestrator_pb2.Plan, graph: Graph) -> None:
    for name in plan.result_steps:
        if name not in graph.steps:
            raise invalid(
                f"the result is to come from {name!r}, and there is no such step", "plan.result_steps", name
            )
    optional = len(graph.optional_steps())
    if plan.min_successes > optional:
        raise invalid(
            f"min_successes is {plan.min_successes}, and only {optional} steps go on after a failure",
            "plan.min_successes",
        )


def _check_adaptive(adaptive: orchestrator_pb2.Adaptive, inputs: set[str] | None) -> None:
    for position, name in enumerate(adaptive.candidates):
        check_agent(name, "the candidates", f"adaptive.candidates[{position}]")
    check_agent(adaptive.router, "the router", "adaptive.router")
    if adaptive.candidates and not set(adaptive.candidates) - {adaptive.router}:
        raise invalid(
            "the router is the only candidate, and it does not choose itself", "adaptive.candidates"
        )
    if adaptive.first:
        _check_candidate(adaptive, adaptive.first, "the first agent", "adaptive.first")
    for position, rule in enumerate(adaptive.rules):
        where, field = f"rule {position + 1}", f"adaptive.rules[{position}]"
        check_expression(rule.condition, where, f"{field}.condition")
        if rule.agent:
            _check_candidate(adaptive, rule.agent, where, f"{field}.agent")
    _check_inputs(adaptive.step.mapping.inputs, inputs, "the adaptive step", "adaptive.step.mapping")


def _check_candidate(adaptive: orchestrator_pb2.Adaptive, name: str, whose: str, field: str) -> None:
    check_agent(name, whose, field)
    if adaptive.candidates and name not in adaptive.candidates:
        raise invalid(f"{whose}: {name!r} is not among the candidates", field)
