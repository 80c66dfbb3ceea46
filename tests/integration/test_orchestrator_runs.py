"""Runs from end to end: real bus, real registry, a real orchestrator, each a process."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pentad.common.v1 import common_pb2, task_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad.registry.v1 import registry_pb2
from pentad_client import Pentad
from pentad_client.bus import new_message
from pentad_common.errors import FailedPrecondition, NotFound
from tests.integration.orchestrator_house import (
    House,
    agent,
    echo,
    fails,
    finished,
    house,
    says,
    sequential,
    texts,
)


@dataclass
class Home:
    """The services, a tenant of the test's own, and its client."""

    house: House
    tenant: str
    pentad: Pentad


@pytest.fixture(scope="module")
def services(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The three services, for all tests of this file."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "pentad.db").write_bytes(sqlite_template.read_bytes())
    with house(folder, f"sqlite:///{folder}/pentad.db") as made:
        yield made


@pytest.fixture
async def home(services: House) -> AsyncIterator[Home]:
    """A tenant of its own."""
    tenant = f"t-{uuid.uuid4().hex[:12]}"
    async with Pentad(services.config(services.key(tenant))) as pentad:
        yield Home(services, tenant, pentad)


async def test_a_sequence_runs_from_agent_to_agent(home: Home) -> None:
    """Three agents one after another; the last one's output is the result, and every attempt is kept."""
    async with (
        agent(home.house, home.tenant, "a", echo) as first,
        agent(home.house, home.tenant, "b", echo),
        agent(home.house, home.tenant, "c", echo),
    ):
        request = sequential("a", "b", "c")
        request.inputs.add(name="x.txt").content.data = b"hello"
        created = await home.pentad.orchestrator.create_run(request)
        run = await finished(home.pentad, created.run_id)
    assert created.state == pb.STATE_PENDING
    assert (run.state, texts(run.result)) == (pb.STATE_COMPLETED, ["c(b(a()))"])
    assert [(item.step, item.attempt, item.state) for item in run.agent_runs] == [
        (name, 1, pb.STATE_COMPLETED) for name in "abc"
    ]
    assert first.tasks[0].inputs[0].content.data == b"hello"
    assert first.tasks[0].instruction == "do it"


async def test_a_repeated_request_starts_one_run(home: Home) -> None:
    """The same request id gets the same run."""
    async with agent(home.house, home.tenant, "a", echo) as worker:
        request = sequential("a")
        request.request_id = "once"
        runs = await asyncio.gather(*(home.pentad.orchestrator.create_run(request) for _ in range(4)))
        assert len({run.run_id for run in runs}) == 1
        await finished(home.pentad, runs[0].run_id)
        assert len(worker.tasks) == 1


async def test_an_attempt_that_may_be_retried_is(home: Home) -> None:
    """Failures with `retry_after` are tried again, every attempt is kept, and the run completes."""

    async def work(task: task_pb2.Task) -> task_pb2.TaskResult:
        return fails("FLAKY", retry_after=0) if task.attempt < 3 else says("at last")

    async with agent(home.house, home.tenant, "a", work):
        created = await home.pentad.orchestrator.create_run(sequential("a"))
        run = await finished(home.pentad, created.run_id)
    assert texts(run.result) == ["at last"]
    assert [(item.attempt, item.error.reason) for item in run.agent_runs] == [
        (1, "FLAKY"),
        (2, "FLAKY"),
        (3, ""),
    ]


async def test_a_failing_part_leaves_a_degraded_result(home: Home) -> None:
    """One of two parallel agents fails for good: the aggregator works with the other's output."""

    async def broken(task: task_pb2.Task) -> task_pb2.TaskResult:
        return fails("BROKEN")

    parallel = pb.Parallel(steps=[pb.Step(agent="a"), pb.Step(agent="b")], aggregator=pb.Step(agent="w"))
    async with (
        agent(home.house, home.tenant, "a", broken),
        agent(home.house, home.tenant, "b", echo),
        agent(home.house, home.tenant, "w", echo) as writer,
    ):
        request = pb.CreateRunRequest(instruction="x", parallel=parallel)
        run = await finished(home.pentad, (await home.pentad.orchestrator.create_run(request)).run_id)
    assert (run.state, run.degraded, list(run.missing)) == (pb.STATE_COMPLETED, True, ["a"])
    assert texts(run.result) == ["w(b())"]
    assert [item.error.reason for item in writer.tasks[0].previous] == ["BROKEN", ""]


async def test_adaptive_by_rule_handoff_and_router(home: Home) -> None:
    """A rule sends the run to b, b hands over to c, and after c the router ends it."""

    async def first(task: task_pb2.Task) -> task_pb2.TaskResult:
        return says('{"score": 1}')

    async def second(task: task_pb2.Task) -> task_pb2.TaskResult:
        return says("b", handoff="c")

    async def router(task: task_pb2.Task) -> task_pb2.TaskResult:
        assert {item.agent for item in task.candidates} == {"a", "b", "c"}
        return says("enough", final=True)

    async with (
        agent(home.house, home.tenant, "a", first),
        agent(home.house, home.tenant, "b", second),
        agent(home.house, home.tenant, "c", echo),
        agent(home.house, home.tenant, "router", router),
    ):
        rules = [pb.AdaptiveRule(condition="agent == 'a' && output.score < 5", agent="b")]
        request = pb.CreateRunRequest(instruction="x", adaptive=pb.Adaptive(first="a", rules=rules))
        run = await finished(home.pentad, (await home.pentad.orchestrator.create_run(request)).run_id)
    assert [item.step for item in run.agent_runs] == ["a", "b", "c", "router"]
    assert (run.state, run.degraded) == (pb.STATE_COMPLETED, False)
    assert texts(run.result) == ['c({"score": 1}, b)']


async def test_cancel_reaches_the_agent(home: Home) -> None:
    """The run is cancelled at once, and the agent hears of it within two seconds."""
    begun = asyncio.Event()

    async def slow(task: task_pb2.Task) -> task_pb2.TaskResult:
        begun.set()
        await asyncio.sleep(60)
        return says("never")

    async with agent(home.house, home.tenant, "a", slow) as worker:
        created = await home.pentad.orchestrator.create_run(sequential("a"))
        await asyncio.wait_for(begun.wait(), 10)
        worker.news.clear()
        run = await home.pentad.orchestrator.cancel_run(created.run_id, "enough")
        assert (run.state, run.agent_runs[0].state) == (pb.STATE_CANCELLED, pb.STATE_CANCELLED)
        await asyncio.wait_for(worker.news.wait(), 2)
        assert worker.cancelled[0].run_id == created.run_id
        assert (await finished(home.pentad, created.run_id)).state == pb.STATE_CANCELLED
        again = await home.pentad.orchestrator.cancel_run(created.run_id)
        assert again.state == pb.STATE_CANCELLED


async def test_pause_input_and_resume(home: Home) -> None:
    """A step waits for a person; a paused run takes the answer and goes on when resumed."""
    ask = pb.Step(name="ask", input=pb.InputRequest(prompt="Sure?"))
    request = pb.CreateRunRequest(instruction="x", sequential=pb.Sequential(steps=[ask, pb.Step(agent="a")]))
    part = common_pb2.Part(content=common_pb2.Content(content_type="text/plain", data=b"yes"))
    orchestrator = home.pentad.orchestrator
    async with agent(home.house, home.tenant, "a", echo):
        run_id = (await orchestrator.create_run(request)).run_id
        async for event in orchestrator.watch_run(run_id):
            if event.type == pb.RunEvent.TYPE_STEP_WAITING:
                assert event.message == "Sure?"
                break
        assert (await orchestrator.get_run(run_id)).state == pb.STATE_WAITING
        assert (await orchestrator.pause_run(run_id)).state == pb.STATE_PAUSED
        assert (await orchestrator.send_input(run_id, "ask", [part])).state == pb.STATE_PAUSED
        assert (await orchestrator.resume_run(run_id)).state == pb.STATE_RUNNING
        run = await finished(home.pentad, run_id)
        assert texts(run.result) == ["a(yes)"]
        with pytest.raises(FailedPrecondition, match="does not wait"):
            await orchestrator.send_input(run_id, "ask", [part])


async def test_an_unknown_agent_fails_at_once_with_a_hint(home: Home) -> None:
    """A name that nobody registered is refused within a moment, with the similar ones that there are."""
    async with agent(home.house, home.tenant, "analyst", echo):
        began = time.monotonic()
        run_id = (await home.pentad.orchestrator.create_run(sequential("analist"))).run_id
        run = await finished(home.pentad, run_id)
    assert time.monotonic() - began < 2
    assert (run.error.reason, run.error.metadata["similar"]) == ("AGENT_NOT_FOUND", "analyst")
    assert "did you mean analyst?" in run.error.message


async def test_an_agent_without_a_handler_for_tasks_fails_the_step_at_once(home: Home) -> None:
    """A connection whose handlers know no tasks says so; the run fails with what it does handle."""
    async with (
        Pentad(home.house.config(home.house.key(home.tenant, "agent", "a"))) as pentad,
        await pentad.bus.connect(agent="a") as connection,
    ):

        @connection.on("order")
        async def order(delivery: object) -> None: ...

        registration = await pentad.registry.register(registry_pb2.AgentCard(name="a"))
        began = time.monotonic()
        run_id = (await home.pentad.orchestrator.create_run(sequential("a"))).run_id
        run = await finished(home.pentad, run_id)
        await registration.close()
    assert time.monotonic() - began < 5
    assert (run.state, run.error.reason) == (pb.STATE_FAILED, "MESSAGE_TYPE_UNKNOWN")
    assert (run.error.metadata["handled"], len(run.agent_runs)) == ("order", 1)


async def test_an_agent_that_comes_back_is_waited_for(home: Home) -> None:
    """A known agent that is not running: the step says that it waits, and begins when the agent is back."""
    async with agent(home.house, home.tenant, "a", echo):
        pass
    run_id = (await home.pentad.orchestrator.create_run(sequential("a"))).run_id
    async for event in home.pentad.orchestrator.watch_run(run_id):
        if event.type == pb.RunEvent.TYPE_STEP_WAITING:
            break
    assert "waits for agent 'a'" in event.message
    async with agent(home.house, home.tenant, "a", echo):
        run = await finished(home.pentad, run_id)
    assert (run.state, len(run.agent_runs)) == (pb.STATE_COMPLETED, 1)


async def test_an_agent_that_stays_away_fails_the_run(home: Home) -> None:
    """After the time allowed the attempt fails with AGENT_UNAVAILABLE, and with it the run."""
    async with agent(home.house, home.tenant, "a", echo):
        pass
    request = sequential("a", retry=pb.RetryPolicy(max_attempts=1))
    run = await finished(home.pentad, (await home.pentad.orchestrator.create_run(request)).run_id)
    assert (run.state, run.error.reason) == (pb.STATE_FAILED, "AGENT_UNAVAILABLE")


async def test_a_capability_finds_its_agent(home: Home) -> None:
    """A step by capability goes to an agent that has it; one that nobody has fails at once."""
    request = pb.CreateRunRequest(
        instruction="x", sequential=pb.Sequential(steps=[pb.Step(capability="add")])
    )
    async with agent(home.house, home.tenant, "adder", echo, capabilities=("add",)):
        run = await finished(home.pentad, (await home.pentad.orchestrator.create_run(request)).run_id)
        assert [(item.step, item.agent) for item in run.agent_runs] == [("add", "adder")]
        request.sequential.steps[0].capability = "divide"
        request.request_id = ""
        run = await finished(home.pentad, (await home.pentad.orchestrator.create_run(request)).run_id)
    assert (run.error.reason, "there is add" in run.error.message) == ("NO_AGENT_MATCHES", True)


async def test_a_failed_run_is_taken_up_again(home: Home) -> None:
    """RetryRun goes on with the step that failed; what was done is not done again."""
    broken = True

    async def second(task: task_pb2.Task) -> task_pb2.TaskResult:
        return fails("BROKEN") if broken else says("fine")

    async with (
        agent(home.house, home.tenant, "a", echo) as first,
        agent(home.house, home.tenant, "b", second),
    ):
        run_id = (await home.pentad.orchestrator.create_run(sequential("a", "b"))).run_id
        assert (await finished(home.pentad, run_id)).state == pb.STATE_FAILED
        broken = False
        await home.pentad.orchestrator.retry_run(run_id)
        run = await finished(home.pentad, run_id)
    assert (run.state, texts(run.result), len(first.tasks)) == (pb.STATE_COMPLETED, ["fine"], 1)
    assert not run.HasField("error")


async def test_progress_is_told_to_watchers(home: Home) -> None:
    """What an agent says of its work comes as events, thinned out."""

    async def chatty(task: task_pb2.Task) -> task_pb2.TaskResult:
        for number in range(100):
            progress = task_pb2.TaskProgress(
                agent_run_id=task.agent_run_id, run_id=task.run_id, fraction=number / 100, message="at it"
            )
            content = common_pb2.Content(
                content_type="application/protobuf", data=progress.SerializeToString()
            )
            await speaker.publish(
                new_message("pentad.progress", content, recipient="pentad.orchestrator", run_id=task.run_id)
            )
            await asyncio.sleep(0.01)
        return says("done")

    async with (
        Pentad(home.house.config(home.house.key(home.tenant, "agent", "a"))) as pentad,
        await pentad.bus.connect(agent="a", take_inbox=False) as speaker,
        agent(home.house, home.tenant, "a", chatty),
    ):
        run_id = (await home.pentad.orchestrator.create_run(sequential("a"))).run_id
        events = [event async for event in home.pentad.orchestrator.watch_run(run_id)]
    told = [event for event in events if event.type == pb.RunEvent.TYPE_STEP_PROGRESS]
    assert 2 <= len(told) <= 10
    assert told[0].message == "at it" and told[-1].fraction > told[0].fraction


async def test_a_result_of_somebody_else_is_ignored(home: Home) -> None:
    """Only the agent that was asked can answer."""
    release = asyncio.Event()

    async def slow(task: task_pb2.Task) -> task_pb2.TaskResult:
        await release.wait()
        return says("genuine")

    async with (
        agent(home.house, home.tenant, "a", slow) as worker,
        Pentad(home.house.config(home.house.key(home.tenant, "agent", "mallory"))) as pentad,
        await pentad.bus.connect(agent="mallory") as mallory,
    ):
        run_id = (await home.pentad.orchestrator.create_run(sequential("a"))).run_id
        await asyncio.wait_for(worker.news.wait(), 10)
        forged = says("forged", agent_run_id=worker.tasks[0].agent_run_id, run_id=run_id)
        content = common_pb2.Content(content_type="application/protobuf", data=forged.SerializeToString())
        await mallory.publish(new_message("pentad.result", content, recipient="pentad.orchestrator"))
        await asyncio.sleep(0.3)
        assert (await home.pentad.orchestrator.get_run(run_id)).state == pb.STATE_RUNNING
        release.set()
        assert texts((await finished(home.pentad, run_id)).result) == ["genuine"]


async def test_large_outputs_become_artifacts(home: Home) -> None:
    """An output over 256 KiB is kept as an artifact, and the next step gets the reference."""
    large = "x" * 300_000

    async def big(task: task_pb2.Task) -> task_pb2.TaskResult:
        return says(large)

    async def measure(task: task_pb2.Task) -> task_pb2.TaskResult:
        return says(str(task.previous[0].outputs[0].artifact.size))

    async with agent(home.house, home.tenant, "a", big), agent(home.house, home.tenant, "b", measure):
        run_id = (await home.pentad.orchestrator.create_run(sequential("a", "b"))).run_id
        run = await finished(home.pentad, run_id)
    assert texts(run.result) == ["300000"]
    reference = run.agent_runs[0].outputs[0].artifact
    assert (await home.pentad.orchestrator.get_artifact(reference.artifact_id)).decode() == large


async def test_other_tenants_see_nothing(home: Home) -> None:
    """Another tenant's run does not exist."""
    async with agent(home.house, home.tenant, "a", echo):
        run_id = (await home.pentad.orchestrator.create_run(sequential("a"))).run_id
        await finished(home.pentad, run_id)
    async with Pentad(home.house.config(home.house.key(f"{home.tenant}-b"))) as other:
        with pytest.raises(NotFound):
            await other.orchestrator.get_run(run_id)
        with pytest.raises(NotFound):
            await other.orchestrator.cancel_run(run_id)
        assert [run async for run in other.orchestrator.list_runs()] == []
