"""Whatever is killed, a run completes or fails with a reason, and nothing that is done is done twice."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pentad.common.v1 import task_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad_client import Pentad
from tests.integration.orchestrator_house import House, agent, echo, finished, house, says, sequential, texts

TENANT = "default"


@pytest.fixture
def home(sqlite_url: str, tmp_path: Path) -> Iterator[House]:
    """The three services, for one test."""
    with house(tmp_path, sqlite_url) as made:
        yield made


async def in_thread(work: object) -> None:
    """Runs blocking work of the house beside the event loop."""
    assert callable(work)
    await asyncio.to_thread(work)


@pytest.mark.parametrize("victim", ["orchestrator", "bus", "registry"])
async def test_a_run_outlives_the_death_of_a_service(home: House, victim: str) -> None:
    """Kill -9 while the second of three agents works; after a restart the run completes, each done once."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(task: task_pb2.Task) -> task_pb2.TaskResult:
        begun.set()
        await release.wait()
        return await echo(task)

    async with (
        Pentad(home.config(home.key(TENANT))) as pentad,
        agent(home, TENANT, "a", echo) as first,
        agent(home, TENANT, "b", slow) as second,
        agent(home, TENANT, "c", echo) as third,
    ):
        created = await pentad.orchestrator.create_run(sequential("a", "b", "c"))
        watching = asyncio.create_task(finished(pentad, created.run_id, 40))
        await asyncio.wait_for(begun.wait(), 10)
        home.kill(victim)
        release.set()
        await asyncio.sleep(0.3)
        await in_thread(lambda: home.start(victim))
        run = await watching
        assert (run.state, texts(run.result)) == (pb.STATE_COMPLETED, ["c(b(a()))"]), run
        assert len(first.tasks) == len(third.tasks) == 1
        assert {task.attempt for task in second.tasks} == {1}
        assert [item.attempt for item in run.agent_runs] == [1, 1, 1]


async def test_a_result_that_came_while_nobody_listened_is_taken(home: House) -> None:
    """The agent answers while the orchestrator is dead; the answer waits, and the work is not repeated."""
    begun, release, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(task: task_pb2.Task) -> task_pb2.TaskResult:
        begun.set()
        await release.wait()
        done.set()
        return says("kept")

    async with Pentad(home.config(home.key(TENANT))) as pentad, agent(home, TENANT, "a", slow) as worker:
        created = await pentad.orchestrator.create_run(sequential("a"))
        await asyncio.wait_for(begun.wait(), 10)
        home.kill("orchestrator")
        release.set()
        await asyncio.wait_for(done.wait(), 5)
        await asyncio.sleep(0.5)
        await in_thread(lambda: home.start("orchestrator"))
        run = await finished(pentad, created.run_id)
        assert (texts(run.result), len(worker.tasks)) == (["kept"], 1)


async def test_a_waiting_retry_outlives_a_restart(home: House) -> None:
    """A retry that was due while the orchestrator was dead begins when it is back."""

    async def flaky(task: task_pb2.Task) -> task_pb2.TaskResult:
        if task.attempt > 1:
            return says("second time")
        result = task_pb2.TaskResult()
        result.error.reason, result.error.code = "FLAKY", 14
        result.error.retry_after.FromMilliseconds(700)
        return result

    async with Pentad(home.config(home.key(TENANT))) as pentad, agent(home, TENANT, "a", flaky):
        created = await pentad.orchestrator.create_run(sequential("a"))
        async for event in pentad.orchestrator.watch_run(created.run_id):
            if event.type == pb.RunEvent.TYPE_STEP_WAITING:
                break
        home.kill("orchestrator")
        await asyncio.sleep(1)
        await in_thread(lambda: home.start("orchestrator"))
        run = await finished(pentad, created.run_id)
        assert texts(run.result) == ["second time"]


async def test_many_runs_outlive_repeated_deaths(home: House) -> None:
    """Twenty runs, the orchestrator killed three times: all complete, no step is done again."""
    done: Counter[tuple[str, str]] = Counter()

    async def work(task: task_pb2.Task) -> task_pb2.TaskResult:
        await asyncio.sleep(0.05)
        done[task.run_id, task.step] += 1
        return await echo(task)

    async with (
        Pentad(home.config(home.key(TENANT))) as pentad,
        agent(home, TENANT, "a", work),
        agent(home, TENANT, "b", work),
    ):
        requests = [sequential("a", "b", "a", "b") for _ in range(20)]
        runs = [await pentad.orchestrator.create_run(request) for request in requests]
        for _ in range(3):
            await asyncio.sleep(0.3)
            home.kill("orchestrator")
            await in_thread(lambda: home.start("orchestrator"))
        ended = await asyncio.gather(*(finished(pentad, run.run_id, 60) for run in runs))
    assert [run.state for run in ended] == [pb.STATE_COMPLETED] * 20
    assert max(done.values()) == 1, "the bus recognises a task that is published twice"
    assert all(len(run.agent_runs) == 4 for run in ended)


async def test_two_instances_share_the_runs(postgres_url: str, tmp_path: Path) -> None:
    """Two orchestrators on PostgreSQL: runs complete whoever they were given to, also when one is killed."""
    with house(tmp_path, postgres_url, "orchestrator-1", "orchestrator-2") as home:
        await share(home)


async def share(home: House) -> None:
    """Creates runs at both, kills one halfway, and watches all at the other."""
    lock, done = threading.Lock(), Counter[tuple[str, str]]()

    async def work(task: task_pb2.Task) -> task_pb2.TaskResult:
        await asyncio.sleep(0.05)
        with lock:
            done[task.run_id, task.step] += 1
        return await echo(task)

    key = home.key(TENANT)
    home.ports["orchestrator"] = home.ports["orchestrator-1"]
    async with (
        Pentad(home.config(key, "orchestrator-1")) as one,
        Pentad(home.config(key, "orchestrator-2")) as two,
        agent(home, TENANT, "a", work),
        agent(home, TENANT, "b", work),
    ):
        runs = []
        for number in range(16):
            pentad = (one, two)[number % 2]
            runs.append(await pentad.orchestrator.create_run(sequential("a", "b", "a", "b")))
        await asyncio.sleep(0.2)
        home.kill("orchestrator-2")
        ended = await asyncio.gather(*(finished(one, run.run_id, 40) for run in runs))
    assert [run.state for run in ended] == [pb.STATE_COMPLETED] * 16
    assert max(done.values()) == 1
