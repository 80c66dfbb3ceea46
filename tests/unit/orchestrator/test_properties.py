"""What holds for every run, whatever the plan and whatever happens."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad_common.errors import FailedPrecondition
from pentad_orchestrator.core import next_wake, signals
from pentad_orchestrator.core.state import Failure, Phase
from tests.unit.orchestrator.world import World, directory, edge, text_part

NAMES = ["a", "b", "c", "d", "e"]
LAST = {pb.RunEvent.TYPE_RUN_COMPLETED, pb.RunEvent.TYPE_RUN_FAILED, pb.RunEvent.TYPE_RUN_CANCELLED}
CONDITIONS = ["", "", "", "text == 'x'", "failed", "output.missing > 1", "steps.a == 'x'"]


FAILURES = st.sampled_from([pb.ON_FAILURE_FAIL, pb.ON_FAILURE_CONTINUE])


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """An inline plan whose edges go forward."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    pairs = [(one, two) for number, one in enumerate(names) for two in names[number + 1 :]]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return {
        "plan": pb.Plan(
            steps=[draw(steps(name)) for name in names],
            edges=[edge(one, two, draw(st.sampled_from(CONDITIONS))) for one, two in chosen],
        )
    }


@st.composite
def steps(draw: st.DrawFn, name: str) -> pb.Step:
    """A step, by agent, capability or person, that may fail or not."""
    step = pb.Step(
        name=name,
        on_failure=draw(FAILURES),
        retry=pb.RetryPolicy(max_attempts=draw(st.integers(1, 3))),
    )
    match draw(st.integers(0, 5)):
        case 0:
            step.capability = "any"
        case 1:
            step.input.prompt = "?"
        case _:
            step.agent = draw(st.sampled_from(["x", "y", "gone"]))
    return step


@st.composite
def adaptives(draw: st.DrawFn) -> dict[str, Any]:
    """An adaptive run, with or without rules and a first agent."""
    rules = [
        pb.AdaptiveRule(condition=condition, agent=agent)
        for condition, agent in draw(
            st.lists(
                st.tuples(
                    st.sampled_from(["true", "failed", "text == 'x'", "output.missing > 1"]),
                    st.sampled_from(["", "x", "y", "gone"]),
                ),
                max_size=2,
            )
        )
    ]
    step = pb.Step(
        on_failure=draw(FAILURES),
        retry=pb.RetryPolicy(max_attempts=draw(st.integers(1, 2))),
    )
    first = draw(st.sampled_from(["", "x", "gone"]))
    return {"adaptive": pb.Adaptive(first=first, rules=rules, max_steps=draw(st.integers(1, 4)), step=step)}


class Chance:
    """Plays the world: agents, registry and people, by a list of numbers."""

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = numbers
        self._next = 0

    def pick(self, *options: Any) -> Any:
        number = self._numbers[self._next % len(self._numbers)]
        self._next += 1
        return options[number % len(options)]

    def play(self, world: World) -> None:
        """Lets one thing happen."""
        busy = [name for name, step in world.state.steps.items() if step.phase is Phase.RUNNING]
        asked = [name for name, step in world.state.steps.items() if step.wait == "input"]
        sought = [name for name, step in world.state.steps.items() if step.wait in ("lookup", "agent")]
        actions = ["time", "late", *["answer"] * 4 * bool(busy), *["fail"] * bool(busy)]
        actions += [*["input"] * bool(asked), *["resolve"] * 2 * bool(sought), "pause", "resume", "agents"]
        match self.pick(*actions):
            case "time" if next_wake(world.state) is not None:
                world.pass_time()
            case "late":
                name = self.pick(*world.state.steps) if world.state.steps else "?"
                world.apply(signals.Result(name, self.pick(0, 1, 99), (text_part("late"),)))
            case "answer":
                fields = {"handoff": self.pick("", "", "x", "gone"), "final": self.pick(False, True)}
                world.answer(self.pick(*busy), self.pick("x", "y", "{}"), **fields)
            case "fail":
                world.break_(self.pick(*busy), retry_after=self.pick(None, 0.0, 1.5))
            case "input":
                world.apply(signals.Input(self.pick(*asked), (text_part("x"),)))
            case "resolve":
                self._resolve(world, self.pick(*sought))
            case "pause":
                world.apply(signals.Pause())
            case "resume" if world.state.paused:
                world.apply(signals.Resume())
            case "agents":
                world.known = self.pick(None, directory("x", "router", gone=("gone", "y")), KNOWN)
                world.apply(signals.Tick(again=True))

    def _resolve(self, world: World, name: str) -> None:
        attempt = world.state.steps[name].attempt
        failure = Failure(5, "AGENT_NOT_FOUND", "nobody")
        fields = self.pick({"agent": "x"}, {"agent": "y"}, {"busy": "all full"}, {"failure": failure})
        world.apply(signals.Resolved(name, attempt, **fields))


KNOWN = directory("x", "y", "router", gone=("gone",))
NUMBERS = st.lists(st.integers(0, 1000), min_size=20, max_size=60)
PLANS = st.one_of(graphs(), adaptives())


def to_the_end(world: World) -> None:
    """What is still to be done, done by time and by people."""
    for _ in range(2000):
        if world.state.over:
            return
        if world.state.paused:
            world.apply(signals.Resume())
            continue
        asked = [name for name, step in world.state.steps.items() if step.wait == "input"]
        if asked:
            world.apply(signals.Input(asked[0], (text_part("x"),)))
        else:
            world.pass_time()
    raise AssertionError("the run does not end")


@settings(max_examples=100, deadline=None)
@given(PLANS, NUMBERS)
def test_every_run_ends_once_and_repeats_nothing(strategy: dict[str, Any], numbers: list[int]) -> None:
    """Whatever happens: the run ends, exactly once, and no step with an output is sent out again."""
    world, chance = World.of(KNOWN, **strategy), Chance(numbers)
    done: set[str] = set()
    for _ in range(len(numbers)):
        if world.state.over:
            break
        sent = len(world.sent)
        chance.play(world)
        assert not done & {item.step for item in world.sent[sent:]}
        done |= {name for name, step in world.state.steps.items() if step.phase is Phase.COMPLETED}
        assert done <= world.state.outputs.keys()
    to_the_end(world)
    assert sum(event.type in LAST for event in world.events) == 1
    assert world.events[-1].type in LAST
    assert not world.state.active()
    assert world.apply(signals.Tick(again=True)) == []


@settings(max_examples=50, deadline=None)
@given(PLANS, NUMBERS)
def test_attempts_count_up_and_each_is_recorded(strategy: dict[str, Any], numbers: list[int]) -> None:
    """Every attempt that goes out is new, is recorded as running when it does, and ends exactly once."""
    world, chance = World.of(KNOWN, **strategy), Chance(numbers)
    for _ in numbers:
        if not world.state.over:
            chance.play(world)
    to_the_end(world)
    sent = [(item.step, item.attempt) for item in world.sent]
    assert len(sent) == len(set(sent))
    over = {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED}
    ends = [(item.step, item.attempt) for item in world.records if item.phase in over]
    assert len(ends) == len(set(ends))
    assert set(sent) <= set(ends)


@settings(max_examples=40, deadline=None)
@given(PLANS, NUMBERS)
def test_the_same_happenings_lead_to_the_same_run(strategy: dict[str, Any], numbers: list[int]) -> None:
    """The core has no will of its own."""
    worlds = [World.of(KNOWN, **strategy) for _ in range(2)]
    for world in worlds:
        chance = Chance(numbers)
        for _ in numbers:
            if not world.state.over:
                chance.play(world)
    assert worlds[0].commands == worlds[1].commands


@settings(max_examples=40, deadline=None)
@given(PLANS, NUMBERS, st.integers(0, 30))
def test_cancelling_and_retrying_loses_nothing(
    strategy: dict[str, Any], numbers: list[int], when: int
) -> None:
    """A run that is cancelled at any moment and taken up again ends, and keeps what was done before."""
    world, chance = World.of(KNOWN, **strategy), Chance(numbers)
    for _ in range(when):
        if not world.state.over:
            chance.play(world)
    world.apply(signals.Cancel())
    done = {name for name, step in world.state.steps.items() if step.phase is Phase.COMPLETED}
    sent = len(world.sent)
    try:
        world.apply(signals.Retry())
    except FailedPrecondition:
        assert world.phase is Phase.COMPLETED
        return
    to_the_end(world)
    assert not done & {item.step for item in world.sent[sent:]}
