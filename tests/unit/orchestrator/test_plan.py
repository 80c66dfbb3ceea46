"""What a request compiles to, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad_common.errors import InvalidArgument
from pentad_orchestrator.core import Policy, compile_strategy
from tests.unit.orchestrator.world import edge, sequential, steps, text_part


def compiled(**strategy: Any) -> pb.Plan:
    return compile_strategy(pb.CreateRunRequest(instruction="x", **strategy), Policy())


def test_a_sequence_is_a_chain_with_unique_names() -> None:
    """Each step comes after the one before; an agent that occurs twice gets a number."""
    plan = compiled(**sequential("a", "b", "a"))
    assert [step.name for step in plan.steps] == ["a", "b", "a-2"]
    assert [(getattr(item, "from"), item.to) for item in plan.edges] == [("a", "b"), ("b", "a-2")]


def test_defaults_are_written_into_the_plan() -> None:
    """A compiled plan leaves nothing to guess: 4 attempts, 2 s, factor 2, 5 min."""
    step = compiled(**sequential("a")).steps[0]
    assert (step.retry.max_attempts, step.retry.initial_backoff.seconds, step.retry.multiplier) == (4, 2, 2)
    assert (step.timeout.seconds, step.on_failure) == (300, pb.ON_FAILURE_FAIL)


def test_parallel_steps_may_fail_and_the_aggregator_may_not() -> None:
    """Steps in parallel go on after a failure by default; the aggregator comes after all of them."""
    plan = compiled(parallel=pb.Parallel(steps=steps("a", "b"), aggregator=pb.Step(agent="w")))
    continues, fails = pb.ON_FAILURE_CONTINUE, pb.ON_FAILURE_FAIL
    assert [step.on_failure for step in plan.steps] == [continues, continues, fails]
    assert {(getattr(item, "from"), item.to) for item in plan.edges} == {("a", "w"), ("b", "w")}
    assert plan.min_successes == 1


def test_an_adaptive_run_gets_the_usual_router_and_bound() -> None:
    """Without a word on it, `router` chooses and 8 steps are the most."""
    adaptive = compiled(adaptive=pb.Adaptive()).adaptive
    assert (adaptive.router, adaptive.max_steps) == ("router", 8)


def plan(*names: str, edges: list[pb.Edge] | None = None, **fields: Any) -> dict[str, Any]:
    return {"plan": pb.Plan(steps=[pb.Step(name=n, agent=n) for n in names], edges=edges or [], **fields)}


LOOPS = "output.all(x, x.all(y, y.all(z, z)))"
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("empty", {"plan": pb.Plan()}, "no steps"),
    ("nothing", {}, "say what"),
    ("cycle", plan(*"abc", edges=[edge(*"ab"), edge(*"bc"), edge(*"cb")]), "b → c → b|c → b → c"),
    ("self", plan("a", edges=[edge("a", "a")]), "a → a"),
    ("unknown end", plan("a", edges=[edge("a", "zz")]), "'zz'"),
    ("twice", plan("a", "a"), "named 'a'"),
    ("no name", {"plan": pb.Plan(steps=[pb.Step(agent="x")])}, "step 1 has no name"),
    ("no runner", {"plan": pb.Plan(steps=[pb.Step(name="a")])}, "'a' says neither"),
    ("bad agent", sequential("Not An Agent"), "'Not An Agent' is not the name"),
    ("bad CEL", plan("a", "b", edges=[edge("a", "b", "output ==")]), "'a' → 'b'.*cannot be used"),
    ("unknown variable", plan("a", "b", edges=[edge("a", "b", "outptu == 1")]), "there is no outptu"),
    ("loops", plan("a", "b", edges=[edge("a", "b", LOOPS)]), "3 loops"),
    ("result", plan("a", result_steps=["q"]), "'q'"),
    ("successes", plan("a", min_successes=2), "min_successes is 2"),
    ("successes in parallel", {"parallel": pb.Parallel(steps=steps("a"), min_successes=2)}, "only 1 steps"),
    ("mapped step", sequential("a", "b", mapping=pb.InputMapping(steps=["b"])), "does not come before"),
    ("mapped input", sequential("a", mapping=pb.InputMapping(inputs=["nope.csv"])), "'nope.csv'.*data.csv"),
    ("first", {"adaptive": pb.Adaptive(candidates=["a"], first="b")}, "'b' is not among"),
    ("rule", {"adaptive": pb.Adaptive(rules=[pb.AdaptiveRule(condition="((")])}, "rule 1"),
    ("only router", {"adaptive": pb.Adaptive(candidates=["router"])}, "only candidate"),
]  # fmt: skip


@pytest.mark.parametrize(("strategy", "message"), [pytest.param(w[1], w[2], id=w[0]) for w in WRONG])
def test_what_cannot_work_is_refused(strategy: dict[str, Any], message: str) -> None:
    """A plan that cannot be carried out is INVALID_PLAN, and the message names what is wrong with it."""
    part = text_part("1")
    part.name = "data.csv"
    with pytest.raises(InvalidArgument, match=message) as caught:
        compiled(inputs=[part], **strategy)
    assert caught.value.reason == "INVALID_PLAN"
    assert caught.value.violations
