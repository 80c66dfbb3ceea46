"""From options to the request that starts a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pentad.orchestrator.v1 import orchestrator_pb2 as proto
from pentad_cli.failure import UsageProblem
from pentad_cli.run_request import RunOptions, build_request, parse_rule

BASE = RunOptions("do it")


def test_sequential_is_the_strategy_of_named_agents() -> None:
    """Agents without a strategy run one after another, each with the settings given."""
    options = replace(BASE, agents=["a", "@summarize"], attempts=2, parameters={"tone": "dry"})
    request = build_request(options)
    steps = request.sequential.steps
    assert [(step.agent, step.capability) for step in steps] == [("a", ""), ("", "summarize")]
    assert all(step.retry.max_attempts == 2 and step.parameters["tone"] == "dry" for step in steps)


def test_parallel_has_an_aggregator() -> None:
    """Parallel steps may go on without one that fails, and end in the aggregator."""
    options = replace(
        BASE, strategy="parallel", agents=["a", "b"], aggregator="w", on_failure="continue", min_successes=2
    )
    parallel = build_request(options).parallel
    assert [step.agent for step in parallel.steps] == ["a", "b"]
    assert {step.on_failure for step in parallel.steps} == {proto.ON_FAILURE_CONTINUE}
    assert (parallel.aggregator.agent, parallel.min_successes) == ("w", 2)


def test_adaptive_needs_nothing() -> None:
    """Without agents the run is adaptive, and agents that are named are its candidates."""
    assert build_request(BASE).WhichOneof("strategy") == "adaptive"
    options = replace(BASE, strategy="adaptive", agents=["a"], candidates=["b"], rules=["output.x > 1 => b"])
    adaptive = build_request(options).adaptive
    assert list(adaptive.candidates) == ["a", "b"]
    assert adaptive.rules[0].agent == "b"


def test_limits_the_run() -> None:
    """A time-out is the run's, a step's time-out the steps'."""
    options = replace(BASE, agents=["a"], timeout=timedelta(seconds=90), step_timeout=timedelta(seconds=5))
    request = build_request(options)
    assert request.limits.deadline.ToTimedelta() == timedelta(seconds=90)
    assert request.sequential.steps[0].timeout.ToTimedelta() == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("text", "condition", "agent"),
    [
        ("output.rows >= 10 => analyst", "output.rows >= 10", "analyst"),
        ("text.contains('=>') => writer", "text.contains('=>')", "writer"),
        ("output.done =>", "output.done", ""),
    ],
)
def test_parses_rules(text: str, condition: str, agent: str) -> None:
    """A rule is a condition, an arrow and an agent; without one the run ends."""
    assert parse_rule(text) == proto.AdaptiveRule(condition=condition, agent=agent)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (replace(BASE, instruction="  "), "instruction is empty"),
        (replace(BASE, instruction="x" * 65537), "longer than"),
        (replace(BASE, strategy="sequential"), "needs agents"),
        (replace(BASE, strategy="parallel"), "needs agents"),
        (replace(BASE, agents=["a"], aggregator="w"), "--aggregator belongs to --strategy parallel"),
        (replace(BASE, agents=["a"], rules=["x => b"]), "--rule belongs to --strategy adaptive"),
        (replace(BASE, rules=["no arrow"]), "is not of the form"),
    ],
)
def test_refuses_what_does_not_fit_together(options: RunOptions, words: str) -> None:
    """Options of another strategy, and what is missing, are told before anything starts."""
    with pytest.raises(UsageProblem, match=words):
        build_request(options)


def test_names_every_agent_once() -> None:
    """All agents that the options name can be looked up before the run starts."""
    options = replace(
        BASE, agents=["a", "b"], aggregator="w", rules=["x => b", "y =>"], first="a", router="r"
    )
    assert options.named_agents() == ["a", "b", "w", "r"]
