"""What a run does next."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad_common.errors import FailedPrecondition
from pentad_orchestrator.core import Policy, signals
from pentad_orchestrator.core.state import Failure, Phase
from tests.unit.orchestrator.world import World, directory, edge, json_part, sequential, steps, text_part


def test_a_sequence_hands_each_output_to_the_next() -> None:
    """Each step gets the output of the one before; the last one's is the result."""
    world = World.of(**sequential("a", "b", "c"))
    for name in "abc":
        assert world.at_work() == [name]
        world.answer(name)
    assert [item.previous for item in world.sent] == [(), ("a",), ("b",)]
    assert [item.inputs for item in world.sent] == [None, (), ()]
    assert (world.phase, world.result(), world.state.degraded) == (Phase.COMPLETED, ["c done"], False)
    assert world.kinds() == ["RUN_STARTED", *["STEP_STARTED", "STEP_COMPLETED"] * 3, "RUN_COMPLETED"]


def test_retries_come_after_2_4_and_8_seconds() -> None:
    """A failure that may be tried again is, three times by default; then the run fails and names the step."""
    world = World.of(**sequential("a"))
    waits = []
    for _ in range(3):
        world.break_("a", retry_after=0.0)
        assert world.phase is Phase.WAITING
        waits.append(world.pass_time())
    world.break_("a", retry_after=0.0)
    assert waits == [2, 4, 8]
    assert world.phase is Phase.FAILED and world.state.failure is not None
    assert "step 'a' failed after 4 attempts" in world.state.failure.message
    assert [record.attempt for record in world.records if record.phase is Phase.FAILED] == [1, 2, 3, 4]


def test_an_agent_says_how_long_to_wait() -> None:
    """A `retry_after` above 0 is the wait."""
    world = World.of(**sequential("a"))
    world.break_("a", retry_after=7.5)
    assert world.pass_time() == 7.5


def test_an_agent_error_without_retry_after_is_final() -> None:
    """What the agent does not mark as worth another try fails the step at once."""
    world = World.of(**sequential("a", "b"))
    world.break_("a")
    assert world.phase is Phase.FAILED
    assert len(world.sent) == 1


def test_reasons_that_the_policy_names_are_not_retried() -> None:
    """A non-retryable reason ends the attempts whatever the agent says."""
    world = World.of(**sequential("a", retry=pb.RetryPolicy(non_retryable_reasons=["QUOTA"])))
    world.break_("a", "QUOTA", retry_after=1)
    assert world.phase is Phase.FAILED


def test_a_silent_agent_times_out_and_is_tried_again() -> None:
    """After the step's timeout the attempt is recalled, fails with STEP_TIMEOUT and is retried."""
    world = World.of(**sequential("a", timeout=Duration(seconds=9)))
    assert world.pass_time() == 9
    assert world.records[-1].failure and world.records[-1].failure.reason == "STEP_TIMEOUT"
    assert any(isinstance(item, signals.Recall) and item.step == "a" for item in world.commands)
    world.apply(signals.Result("a", 1, (text_part("late"),)))
    assert world.at_work() == [], "a late result is ignored"
    assert world.pass_time() == 2
    world.answer("a")
    assert world.phase is Phase.COMPLETED


def test_the_deadline_ends_the_run() -> None:
    """A run that takes too long fails, and agents at work are told."""
    world = World.of(limits=pb.Limits(deadline=Duration(seconds=5)), **sequential("a"))
    assert world.pass_time() == 5
    assert world.state.failure and world.state.failure.reason == "RUN_DEADLINE_EXCEEDED"
    assert any(isinstance(item, signals.Recall) for item in world.commands)


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (pb.Limits(max_steps=1), "max_steps"),
        (pb.Limits(max_tokens=10), "max_tokens"),
        (pb.Limits(max_cost=common_pb2.Money(currency_code="USD", micros=5)), "max_cost"),
    ],
)
def test_limits_stop_the_next_attempt(limits: pb.Limits, limit: str) -> None:
    """What is used up forbids another attempt, and the failure says which limit it was."""
    world = World.of(limits=limits, **sequential("a", "b"))
    cost = common_pb2.Money(currency_code="USD", micros=5)
    world.answer("a", usage=common_pb2.Usage(input_tokens=6, output_tokens=4, cost=cost))
    assert world.state.failure and world.state.failure.metadata["limit"] == limit
    assert world.state.usage.cost.micros == 5


def test_parallel_steps_run_at_once_and_then_the_aggregator() -> None:
    """All steps begin together; the aggregator gets all their outputs in the order of the plan."""
    strategy = pb.Parallel(steps=steps("a", "b"), aggregator=pb.Step(agent="w"))
    world = World.of(parallel=strategy)
    assert world.at_work() == ["a", "b"]
    world.answer("b")
    world.answer("a")
    assert world.sent[-1].previous == ("a", "b")
    world.answer("w")
    assert world.result() == ["w done"]


def test_a_failed_part_leaves_the_run_degraded() -> None:
    """One of several may fail: the run completes without it and says what is missing."""
    world = World.of(parallel=pb.Parallel(steps=steps("a", "b"), aggregator=pb.Step(agent="w")))
    world.break_("a")
    world.answer("b")
    assert world.sent[-1].previous == ("a", "b"), "the aggregator is told of the failure too"
    world.answer("w")
    assert (world.phase, world.state.degraded, world.state.missing) == (Phase.COMPLETED, True, ["a"])


def test_too_few_successes_fail_the_run_before_the_aggregator() -> None:
    """When `min_successes` cannot be reached any more, the run fails, and says why the parts did."""
    world = World.of(
        parallel=pb.Parallel(steps=steps("a", "b"), min_successes=2, aggregator=pb.Step(agent="w"))
    )
    world.break_("a")
    assert world.state.failure and world.state.failure.reason == "TOO_FEW_SUCCESSES"
    assert "a broke" in world.state.failure.message
    assert world.state.steps["b"].phase is Phase.CANCELLED


def test_all_failing_fails_the_run() -> None:
    """At least one success is needed."""
    world = World.of(parallel=pb.Parallel(steps=steps("a", "b")))
    world.break_("a")
    world.break_("b")
    assert world.phase is Phase.FAILED


def test_a_sequence_goes_on_without_an_optional_step() -> None:
    """ON_FAILURE_CONTINUE: the next step runs without the output, and the run ends degraded."""
    first = pb.Step(agent="a", on_failure=pb.ON_FAILURE_CONTINUE)
    world = World.of(sequential=pb.Sequential(steps=[first, pb.Step(agent="b")]))
    world.break_("a")
    world.answer("b")
    assert (world.phase, world.state.missing, world.result()) == (Phase.COMPLETED, ["a"], ["b done"])


def branching() -> World:
    plan = pb.Plan(
        steps=[pb.Step(name=name, agent=name) for name in ("a", "low", "high", "after")],
        edges=[
            edge("a", "low", "output.score < 5"),
            edge("a", "high", "output.score >= 5"),
            edge("high", "after"),
        ],
    )
    return World.of(plan=plan)


def test_conditions_choose_the_branch_and_skips_propagate() -> None:
    """A step to which no edge holds is left out, and with it what comes only after it."""
    world = branching()
    world.answer("a", parts=(json_part({"score": 2}),))
    assert world.at_work() == ["low"]
    world.answer("low")
    skipped = [name for name, step in world.state.steps.items() if step.phase is Phase.SKIPPED]
    assert (skipped, world.result(), world.state.degraded) == (["high", "after"], ["low done"], False)


def test_a_condition_that_cannot_be_evaluated_does_not_hold() -> None:
    """An output without the field takes neither branch; the event says why, and the output is the result."""
    world = branching()
    world.answer("a", parts=(text_part("no JSON"),))
    assert world.phase is Phase.COMPLETED
    assert world.result() == ["no JSON"]
    assert any("could not be evaluated" in event.message for event in world.events)


def test_an_agent_that_is_not_there_is_waited_for() -> None:
    """A known agent without a live instance: the step waits, and goes on as soon as there is one."""
    world = World.of(directory(gone=("a",)), **sequential("a"))
    assert world.phase is Phase.WAITING
    assert "waits for agent 'a'" in world.events[-1].message
    world.pass_time()
    world.known = directory("a")
    world.apply(signals.Tick())
    assert world.at_work() == ["a"]
    assert world.state.steps["a"].attempt == 1


def test_waiting_for_an_agent_ends() -> None:
    """After 30 s the attempt fails with AGENT_UNAVAILABLE, is retried, and fails the run in the end."""
    world = World.of(directory(gone=("a",)), **sequential("a", retry=pb.RetryPolicy(max_attempts=2)))
    start = world.now
    while not world.state.over:
        world.pass_time()
    assert world.state.failure and world.state.failure.reason == "AGENT_UNAVAILABLE"
    assert world.now - start == pytest.approx(62, abs=2)
    assert world.kinds().count("STEP_WAITING") == 3


def test_an_unknown_agent_fails_at_once() -> None:
    """The registry's word that there is no such agent is final."""
    world = World.of({}, **sequential("a"))
    asked = [item for item in world.commands if isinstance(item, signals.Resolve)]
    assert asked == [signals.Resolve("a", 1, agent="a")]
    world.apply(signals.Resolved("a", 1, failure=Failure(5, "AGENT_NOT_FOUND", "no agent 'a'; there is b")))
    assert world.state.failure and world.state.failure.reason == "AGENT_NOT_FOUND"


def test_a_capability_is_resolved_by_the_registry() -> None:
    """Whoever the registry picks gets the attempt; a busy answer is asked again."""
    world = World.of({}, sequential=pb.Sequential(steps=[pb.Step(capability="sum")]))
    world.apply(signals.Resolved("sum", 1, busy="all are full"))
    assert world.phase is Phase.WAITING
    before = len(world.commands)
    world.pass_time()
    assert signals.Resolve("sum", 1, capability="sum") in world.commands[before:]
    world.apply(signals.Resolved("sum", 1, agent="adder"))
    assert world.sent[-1].agent == "adder"


def test_a_registry_that_does_not_answer_is_asked_again() -> None:
    """A lookup whose answer was lost is repeated, and given up with REGISTRY_UNAVAILABLE."""
    world = World.of({}, **sequential("a", retry=pb.RetryPolicy(max_attempts=1)))
    while not world.state.over:
        world.pass_time()
    assert world.state.failure and world.state.failure.reason == "REGISTRY_UNAVAILABLE"
    assert sum(isinstance(item, signals.Resolve) for item in world.commands) > 3


def test_a_person_answers() -> None:
    """An input step waits for as long as it takes; the answer is its output."""
    ask = pb.Step(name="ask", input=pb.InputRequest(prompt="Go on?"))
    world = World.of(sequential=pb.Sequential(steps=[ask, pb.Step(agent="a")]))
    assert (world.phase, world.events[-1].message) == (Phase.WAITING, "Go on?")
    with pytest.raises(FailedPrecondition, match="does not wait"):
        world.apply(signals.Input("a", (text_part("yes"),)))
    world.apply(signals.Input("ask", (text_part("yes"),)))
    assert world.sent[-1].previous == ("ask",)
    world.answer("a")
    with pytest.raises(FailedPrecondition, match="does not wait"):
        world.apply(signals.Input("ask", (text_part("yes"),)))


def test_pause_holds_what_is_next_and_resume_goes_on() -> None:
    """Steps at work finish; nothing further begins until the run is resumed."""
    world = World.of(**sequential("a", "b"))
    world.apply(signals.Pause())
    world.answer("a")
    assert (world.phase, world.at_work()) == (Phase.PAUSED, [])
    world.apply(signals.Resume())
    assert world.at_work() == ["b"]
    with pytest.raises(FailedPrecondition) as caught:
        world.apply(signals.Resume())
    assert caught.value.reason == "RUN_NOT_PAUSED"


def test_a_paused_run_does_not_retry() -> None:
    """A retry that comes due while the run is held begins when it goes on."""
    world = World.of(**sequential("a"))
    world.break_("a", retry_after=1)
    world.apply(signals.Pause())
    world.now += 100
    world.apply(signals.Tick())
    assert world.at_work() == []
    world.apply(signals.Resume())
    world.pass_time()
    assert world.at_work() == ["a"]


def test_cancel_ends_everything_at_once() -> None:
    """Attempts under way are recalled; a second cancel and late answers change nothing."""
    world = World.of(parallel=pb.Parallel(steps=steps("a", "b")))
    world.apply(signals.Cancel("enough"))
    assert world.phase is Phase.CANCELLED
    assert signals.Recall("enough") in world.commands
    assert [record.phase for record in world.records[-2:]] == [Phase.CANCELLED, Phase.CANCELLED]
    assert world.apply(signals.Cancel("again")) == []
    assert world.apply(signals.Result("a", 1, (text_part("late"),))) == []


def test_retrying_a_run_keeps_what_is_done() -> None:
    """A failed run goes on with the step that failed; attempts count on, the policy starts anew."""
    world = World.of(**sequential("a", "b", "c"))
    world.answer("a")
    world.break_("b")
    assert world.state.failure is not None
    world.apply(signals.Retry())
    assert world.at_work() == ["b"] and world.state.steps["b"].attempt == 2
    world.break_("b", retry_after=0.0)
    assert world.pass_time() == 2
    world.answer("b")
    world.answer("c")
    assert world.phase is Phase.COMPLETED
    assert [item.step for item in world.sent] == ["a", "b", "b", "b", "c"]
    with pytest.raises(FailedPrecondition) as caught:
        world.apply(signals.Retry())
    assert caught.value.reason == "RUN_NOT_FAILED"


def test_retrying_a_cancelled_run_goes_on() -> None:
    """What was at work when it was cancelled is done again."""
    world = World.of(**sequential("a", "b"))
    world.answer("a")
    world.apply(signals.Cancel())
    world.apply(signals.Retry())
    assert world.at_work() == ["b"]


def test_a_missing_aggregate_falls_back_to_the_parts() -> None:
    """An aggregator that may fail leaves the outputs side by side."""
    aggregator = pb.Step(agent="w", on_failure=pb.ON_FAILURE_CONTINUE)
    world = World.of(parallel=pb.Parallel(steps=steps("a", "b"), aggregator=aggregator), policy=Policy())
    world.answer("a")
    world.answer("b")
    world.break_("w")
    assert (world.result(), world.state.missing) == (["a done", "b done"], ["w"])
