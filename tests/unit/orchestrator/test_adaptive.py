"""How an adaptive run finds its way."""

from __future__ import annotations

from typing import Any

from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad_orchestrator.core import signals
from pentad_orchestrator.core.state import Failure, Phase
from tests.unit.orchestrator.world import World, directory, json_part

KNOWN = directory("router", "a", "b", "c", gone=("asleep",))
CHOSEN = pb.RunEvent.TYPE_NEXT_CHOSEN


def adaptive(known: dict[str, signals.AgentInfo] | None = None, **fields: Any) -> World:
    return World.of(known or KNOWN, adaptive=pb.Adaptive(**fields))


def rule(condition: str, agent: str = "") -> pb.AdaptiveRule:
    return pb.AdaptiveRule(condition=condition, agent=agent)


def chosen(world: World) -> list[str]:
    return [event.message for event in world.events if event.type == CHOSEN]


def test_rules_come_first_and_in_order() -> None:
    """The first rule that holds decides, before the agent's own handoff."""
    rules = [rule("output.score > 9", "c"), rule("output.score > 1", "b"), rule("agent == 'b'")]
    world = adaptive(first="a", rules=rules)
    world.answer("a", parts=(json_part({"score": 5}),), handoff="c")
    assert world.at_work() == ["b"]
    assert chosen(world) == ["'a' goes on, as the run says", "'b' goes on, by rule 2"]
    world.answer("b")
    assert (world.phase, world.result()) == (Phase.COMPLETED, ["b done"])
    assert "by rule 3; rule 1 could not be evaluated" in world.events[-1].message


def test_the_agent_hands_over_and_then_says_that_it_is_done() -> None:
    """Without a rule that holds, the handoff counts; `final` ends the run with the output."""
    world = adaptive(first="a")
    world.answer("a", handoff="b")
    assert world.sent[-1].previous == ("a",)
    world.answer("b", final=True)
    assert world.result() == ["b done"]


def test_a_handoff_to_nobody_is_noted_and_ignored() -> None:
    """Only a live candidate can be handed over to; otherwise the router is asked."""
    world = adaptive(first="a", candidates=["a", "b"])
    world.answer("a", handoff="c")
    assert world.at_work() == ["router"]
    assert [info.name for info in world.sent[-1].candidates] == ["a", "b"]
    world.answer("router", handoff="b")
    assert "'b' goes on, chosen by 'router'; the handoff to 'c' was ignored" in chosen(world)[-1]


def test_the_router_chooses_among_live_agents() -> None:
    """All live agents are candidates, without the router itself and reserved names."""
    world = adaptive({**KNOWN, "pentad.x": signals.AgentInfo("pentad.x")})
    assert [info.name for info in world.sent[0].candidates] == ["a", "b", "c"]
    world.answer("router", handoff="c")
    world.answer("c")
    assert world.at_work() == ["router-2"]
    world.answer("router-2", final=True)
    assert (world.phase, world.result(), world.state.degraded) == (Phase.COMPLETED, ["c done"], False)


def test_a_router_that_fails_ends_the_run_with_what_there_is() -> None:
    """With an output the run completes degraded; without any it fails with the router's reason."""
    world = adaptive(first="a")
    world.answer("a")
    world.break_("router")
    assert (world.phase, world.result(), world.state.missing) == (
        Phase.COMPLETED,
        ["a done"],
        ["router"],
    )
    assert "router broke" in world.events[-1].message
    world = adaptive()
    world.break_("router")
    assert world.phase is Phase.FAILED


def test_a_missing_router_is_no_dead_end() -> None:
    """A router that the registry never heard of counts as failed at once."""
    world = adaptive(directory("a"), first="a")
    world.answer("a")
    asked = [item for item in world.commands if isinstance(item, signals.Resolve)]
    assert asked == [signals.Resolve("router", 1, agent="router")]
    world.apply(signals.Resolved("router", 1, failure=Failure(5, "AGENT_NOT_FOUND", "no agent 'router'")))
    assert (world.phase, world.state.degraded) == (Phase.COMPLETED, True)


def test_a_choice_of_nobody_ends_the_run() -> None:
    """A router that names no live candidate ends the run with what there is, degraded."""
    world = adaptive(first="a")
    world.answer("a")
    world.answer("router", handoff="asleep")
    assert (world.result(), world.state.degraded) == (["a done"], True)


def test_there_is_an_end_to_it() -> None:
    """After `max_steps` steps the newest output is the result."""
    world = adaptive(first="a", rules=[rule("true", "a")], max_steps=3)
    for name in ("a", "a-2", "a-3"):
        world.answer(name)
    assert (world.phase, world.result()) == (Phase.COMPLETED, ["a-3 done"])
    assert "after 3 steps" in world.events[-1].message


def test_choosing_waits_for_candidates() -> None:
    """With nobody to choose from, the run waits for an agent."""
    world = adaptive(directory("router", gone=("a",)))
    assert world.phase is Phase.WAITING
    world.known = directory("router", "a")
    world.apply(signals.Tick())
    assert world.at_work() == ["router"]


def test_a_failed_step_goes_by_the_rules_when_it_may_fail() -> None:
    """With ON_FAILURE_CONTINUE rules see `failed` and `reason`; the run ends degraded."""
    world = adaptive(
        first="a",
        rules=[rule("failed && reason == 'BROKEN'", "b"), rule("!failed")],
        step=pb.Step(on_failure=pb.ON_FAILURE_CONTINUE),
    )
    world.break_("a")
    assert world.at_work() == ["b"]
    world.answer("b")
    assert (world.result(), world.state.missing) == (["b done"], ["a"])


def test_a_failed_step_fails_the_run_otherwise() -> None:
    """By default a step that fails ends the run; a retry takes the same step up again."""
    world = adaptive(first="a", rules=[rule("agent == 'b'")])
    world.answer("a", handoff="b")
    world.break_("b")
    assert world.phase is Phase.FAILED
    world.apply(signals.Retry())
    assert world.at_work() == ["b"]
    world.answer("b")
    assert world.result() == ["b done"]
