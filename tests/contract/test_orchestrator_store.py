"""What the orchestrator's stores promise, on each database."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad_client import ClientConfig, Pentad
from pentad_common.clock import utcnow
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.errors import Aborted, AlreadyExists, InvalidArgument, NotFound
from pentad_common.ids import new_id
from pentad_common.models import Run
from pentad_orchestrator.artifacts import Artifacts, Description
from pentad_orchestrator.core import Graph, Policy, RunState, compile_strategy, signals
from pentad_orchestrator.engine import Engine
from pentad_orchestrator.run import Change, StoredRun
from pentad_orchestrator.store.artifacts import ArtifactStore
from pentad_orchestrator.store.creation import RunCreation
from pentad_orchestrator.store.move import Moved
from pentad_orchestrator.store.runs import RunStore
from pentad_orchestrator.store.workflows import WorkflowStore
from pentad_orchestrator.workflows import Workflows

DIRECTORY = {"a": signals.AgentInfo("a"), "b": signals.AgentInfo("b")}
INLINE = 1 << 16


def request(*agents: str, inputs: tuple[common_pb2.Part, ...] = ()) -> pb.CreateRunRequest:
    steps = [pb.Step(agent=name) for name in agents]
    return pb.CreateRunRequest(instruction="x", inputs=inputs, sequential=pb.Sequential(steps=steps))


class Bench:
    """The stores on one database, and what moves a run without bus and registry."""

    def __init__(self, database: Database, tenant: str) -> None:
        self.tenant = tenant
        self.runs = RunStore(database)
        self.creation = RunCreation(database, INLINE)
        self.files = ArtifactStore(database)
        self._engine = Engine(Pentad(ClientConfig()), self.runs, Policy(), INLINE)

    async def create(self, wanted: pb.CreateRunRequest, tenant: str = "") -> str:
        """Stores a run; returns its id."""
        tenant = tenant or self.tenant
        header = pb.Run(run_id=new_id(), project="default", strategy="sequential", instruction="x")
        header.create_time.FromDatetime(utcnow())
        graph = Graph(compile_strategy(wanted, Policy()))
        run = StoredRun(tenant, header.run_id, 0, 0, header, tuple(wanted.inputs), graph, RunState(), {})
        project = await self.creation.project_id(tenant, "default")
        await self.creation.create(run, project, wanted.request_id)
        return header.run_id

    async def move(self, run_id: str, event: signals.Event, known: StoredRun | None = None) -> Moved:
        """Applies one event."""

        def change(run: StoredRun) -> Change | None:
            return self._engine._change(run, event, DIRECTORY, "a/1")

        return await self.runs.move(self.tenant, run_id, known, change)


@pytest.fixture
async def bench(database: Database, tenant: str) -> AsyncIterator[Bench]:
    """The stores, on each database."""
    yield Bench(database, tenant)


def part(text: str) -> common_pb2.Part:
    return common_pb2.Part(content=common_pb2.Content(content_type="text/plain", data=text.encode()))


async def test_a_move_is_stored_whole(bench: Bench) -> None:
    """State, attempts, events and outbox of a move are there together, and the next one finds them."""
    run_id = await bench.create(request("a", "b"))
    started = await bench.move(run_id, signals.Start())
    assert [owed.message.recipient for owed in started.owed] == ["a"]
    answered = await bench.move(run_id, signals.Result("a", 1, (part("one"),)), started.run)
    assert [owed.message.recipient for owed in answered.owed] == ["b"]
    run = await bench.runs.get(bench.tenant, run_id)
    assert [(item.step, item.state) for item in run.agent_runs] == [
        ("a", pb.STATE_COMPLETED),
        ("b", pb.STATE_RUNNING),
    ]
    events, newest, ended = await bench.runs.events(bench.tenant, run_id, 0)
    assert [event.sequence for event in events] == list(range(1, newest + 1))
    assert not ended
    owed, needless = await bench.runs.owed(0)
    assert ([item.message.recipient for item in owed], len(needless)) == (["b"], 1)


async def test_a_run_is_the_same_from_memory_and_from_the_database(bench: Bench) -> None:
    """A move that reads the run anew does what one that has it in memory does."""
    run_id = await bench.create(request("a", "b"))
    known = (await bench.move(run_id, signals.Start())).run
    known = (await bench.move(run_id, signals.Result("a", 1, (part("one"),)), known)).run
    fresh = (await bench.move(run_id, signals.Tick())).run
    assert fresh is not known
    assert (fresh.epoch, fresh.sequence, fresh.state) == (known.epoch, known.sequence, known.state)
    assert fresh.attempts == known.attempts
    ended = (await bench.move(run_id, signals.Result("b", 1, (part("two"),)))).run
    assert ended.state.phase == "COMPLETED"
    run = await bench.runs.get(bench.tenant, run_id)
    assert [item.content.data for item in run.result] == [b"two"]


async def test_moves_at_the_same_time_lose_nothing(bench: Bench) -> None:
    """Ten answers at once to ten parallel steps, by instances that know an old state: all count."""
    steps = [pb.Step(agent="a") for _ in range(10)]
    wanted = pb.CreateRunRequest(instruction="x", parallel=pb.Parallel(steps=steps))
    run_id = await bench.create(wanted)
    known = (await bench.move(run_id, signals.Start())).run
    answers = [signals.Result(name, 1, (part(name),)) for name in known.graph.steps]
    await asyncio.gather(*(bench.move(run_id, answer, known) for answer in answers))
    run = await bench.runs.get(bench.tenant, run_id)
    assert (run.state, len(run.result)) == (pb.STATE_COMPLETED, 10)
    events, newest, ended = await bench.runs.events(bench.tenant, run_id, 0)
    assert [event.sequence for event in events] == list(range(1, newest + 1))
    assert ended


async def test_the_same_answer_twice_counts_once(bench: Bench) -> None:
    """A second copy of an answer changes nothing."""
    run_id = await bench.create(request("a"))
    await bench.move(run_id, signals.Start())
    answer = signals.Result("a", 1, (part("one"),))
    assert (await bench.move(run_id, answer)).change is not None
    assert (await bench.move(run_id, answer)).change is None


async def test_due_runs_are_claimed_by_one(bench: Bench) -> None:
    """A run that is due goes to one of several who look for work, and to another one only later."""
    run_id = await bench.create(request("a"))
    claims = await asyncio.gather(*(bench.runs.claim_due(0) for _ in range(4)))
    assert sum(claims, []) == [(bench.tenant, run_id)]  # noqa: RUF017


async def test_requests_are_recognised(bench: Bench) -> None:
    """A request id names one run of the tenant."""
    wanted = request("a")
    wanted.request_id = "r1"
    run_id = await bench.create(wanted)
    assert await bench.creation.find_request(bench.tenant, "r1") == run_id
    assert await bench.creation.find_request(bench.tenant, "r2") is None


async def test_tenants_do_not_see_each_other(bench: Bench) -> None:
    """Another tenant's run, events and artifacts do not exist."""
    run_id = await bench.create(request("a"))
    for work in (bench.runs.get("other", run_id), bench.runs.events("other", run_id, 0)):
        with pytest.raises(NotFound):
            await work
    assert await bench.runs.page("other", [], None, None, 10) == []


async def test_runs_come_in_pages_newest_first(bench: Bench) -> None:
    """Pages follow each other without gap, and can be narrowed by status."""
    ids = [await bench.create(request("a")) for _ in range(5)]
    await bench.move(ids[0], signals.Start())
    page = await bench.runs.page(bench.tenant, [], None, None, 3)
    rest = await bench.runs.page(bench.tenant, [], None, page[-1].run_id, 3)
    assert [run.run_id for run in [*page, *rest]] == ids[::-1]
    running = await bench.runs.page(bench.tenant, ["RUNNING"], None, None, 10)
    assert [run.run_id for run in running] == ids[:1]


async def test_old_runs_go_with_all_that_is_theirs(bench: Bench, database: Database) -> None:
    """A run that ended long ago is removed; its artifacts follow when no run uses them any more."""
    artifacts = Artifacts(bench.files, 1 << 20)
    kept = await artifacts.put(bench.tenant, Description("x"), pieces(b"data"))
    used = common_pb2.Part(artifact=common_pb2.Artifact(artifact_id=kept.artifact_id))
    old = await bench.create(request("a", inputs=(used,)))
    await bench.move(old, signals.Start())
    await bench.move(old, signals.Cancel())
    long_ago = update(Run).where(Run.id == old).values(end_time=utcnow() - timedelta(days=31))
    database.run_sync(lambda session: session.execute(long_ago), tenant=ALL_TENANTS)
    assert await bench.files.delete_orphans(0) == 0
    assert await bench.runs.delete_ended(30) == 1
    with pytest.raises(NotFound):
        await bench.runs.get(bench.tenant, old)
    assert await bench.files.delete_orphans(0) == 1
    with pytest.raises(NotFound):
        await anext(artifacts.get(bench.tenant, kept.artifact_id))


async def test_what_does_not_fit_becomes_an_artifact(bench: Bench) -> None:
    """Beyond the bound, inputs and outputs are kept as artifacts with the same bytes."""
    large = "x" * (INLINE + 1)
    run_id = await bench.create(request("a", inputs=(part(large),)))
    await bench.move(run_id, signals.Start())
    await bench.move(run_id, signals.Result("a", 1, (part(large),)))
    run = await bench.runs.get(bench.tenant, run_id)
    for found in (run.inputs[0], run.result[0]):
        assert found.artifact.sha256 == hashlib.sha256(large.encode()).hexdigest()
        data = [piece async for piece in bench.files.read(bench.tenant, found.artifact.artifact_id)]
        assert b"".join(data).decode() == large


async def pieces(data: bytes, size: int = 700_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def test_artifacts_come_back_as_they_went(bench: Bench) -> None:
    """Bytes are kept in order, whatever pieces they came in; an empty file is one too."""
    artifacts = Artifacts(bench.files, 8 << 20)
    for data in (b"", b"x", bytes(range(256)) * 12_000):
        kept = await artifacts.put(bench.tenant, Description("f", "a/b", len(data)), pieces(data))
        assert (kept.size, kept.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        found = [piece async for piece in artifacts.get(bench.tenant, kept.artifact_id)]
        assert b"".join(found) == data
        assert all(len(piece) <= 1 << 20 for piece in found)


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        (Description(size=4 << 20), "ARTIFACT_TOO_LARGE"),
        (Description(), "ARTIFACT_TOO_LARGE"),
        (Description(size=5), "ARTIFACT_TOO_LARGE"),
    ],
)
async def test_artifacts_that_are_too_large_are_refused(
    bench: Bench, description: Description, reason: str
) -> None:
    """Said or found to be too large: refused, and nothing is left of it."""
    artifacts = Artifacts(bench.files, 1 << 20)
    with pytest.raises(InvalidArgument) as caught:
        await artifacts.put(bench.tenant, description, pieces(b"x" * (1 << 21)))
    assert caught.value.reason == reason
    assert await bench.files.delete_orphans(-1) == 0


@pytest.mark.parametrize("description", [Description(size=5), Description(sha256="0" * 64)])
async def test_artifacts_are_checked(bench: Bench, description: Description) -> None:
    """Other bytes than announced are refused."""
    with pytest.raises(InvalidArgument) as caught:
        await Artifacts(bench.files, 1 << 20).put(bench.tenant, description, pieces(b"data"))
    assert caught.value.reason == "CHECKSUM_MISMATCH"


async def test_an_artifact_of_no_run_is_refused(bench: Bench) -> None:
    """A header that names a run needs that run, and a run that names an artifact needs it."""
    with pytest.raises(NotFound):
        await Artifacts(bench.files, 9).put(bench.tenant, Description(run_id="nope"), pieces(b"x"))
    missing = common_pb2.Part(artifact=common_pb2.Artifact(artifact_id="nope"))
    with pytest.raises(NotFound) as caught:
        await bench.create(request("a", inputs=(missing,)))
    assert caught.value.reason == "ARTIFACT_NOT_FOUND"


@pytest.fixture
def workflows(database: Database) -> Workflows:
    """Workflows, on each database."""
    return Workflows(WorkflowStore(database), Policy())


def workflow(name: str, agent: str = "a", **fields: object) -> pb.Workflow:
    return pb.Workflow(name=name, plan=pb.Plan(steps=[pb.Step(name="s", agent=agent)]), **fields)  # type: ignore[arg-type]


async def test_workflows_have_versions(workflows: Workflows, tenant: str) -> None:
    """An update is the next version; the ones before stay as they were."""
    made = await workflows.create(tenant, workflow("w", description="first"), "")
    assert made.version == 1
    changed = await workflows.update(tenant, workflow("w", "b"), ["plan"])
    assert (changed.version, changed.description, changed.plan.steps[0].agent) == (2, "first", "b")
    assert (await workflows.read(tenant, "w", 1)).plan.steps[0].agent == "a"
    assert (await workflows.get(tenant, "w", 0)).version == 2
    with pytest.raises(Aborted) as caught:
        await workflows.update(tenant, workflow("w", version=1), [])
    assert caught.value.reason == "VERSION_CONFLICT"
    with pytest.raises(InvalidArgument):
        await workflows.update(tenant, workflow("w"), ["name"])


async def test_updates_at_the_same_time_make_versions_of_their_own(workflows: Workflows, tenant: str) -> None:
    """Nobody's version is lost."""
    await workflows.create(tenant, workflow("w"), "")
    made = await asyncio.gather(*(workflows.update(tenant, workflow("w"), []) for _ in range(2)))
    assert sorted(item.version for item in made) == [2, 3]


async def test_a_name_is_taken_once(workflows: Workflows, tenant: str) -> None:
    """A second workflow of a name is refused, a repeated request is not; after a removal the name is free."""
    first = await workflows.create(tenant, workflow("w"), "r1")
    assert await workflows.create(tenant, workflow("w"), "r1") == first
    with pytest.raises(AlreadyExists):
        await workflows.create(tenant, workflow("w"), "r2")
    await workflows.delete(tenant, "w")
    for work in (workflows.read(tenant, "w", 0), workflows.get(tenant, "w", 1)):
        with pytest.raises(NotFound):
            await work
    with pytest.raises(NotFound):
        await workflows.delete(tenant, "w")
    assert (await workflows.create(tenant, workflow("w"), "r3")).version == 1


async def test_workflows_come_in_pages_by_name(workflows: Workflows, tenant: str) -> None:
    """Each once, in its newest version."""
    for name in ("c", "a", "b"):
        await workflows.create(tenant, workflow(name), "")
    await workflows.update(tenant, workflow("a"), [])
    page, token = await workflows.page(tenant, "", 2)
    rest, end = await workflows.page(tenant, token, 2)
    assert [(item.name, item.version) for item in [*page, *rest]] == [("a", 2), ("b", 1), ("c", 1)]
    assert end == ""


async def test_a_workflow_that_cannot_work_is_refused(workflows: Workflows, tenant: str) -> None:
    """Plans are checked when they are stored."""
    with pytest.raises(InvalidArgument) as caught:
        await workflows.create(tenant, pb.Workflow(name="w", plan=pb.Plan()), "")
    assert caught.value.reason == "INVALID_PLAN"
