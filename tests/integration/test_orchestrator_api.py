"""The contract over the wire: what is refused and how, artifacts, workflows, pages, watching."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad.orchestrator.v1 import orchestrator_pb2_grpc
from pentad_client import Pentad
from pentad_client.channel import Channels
from pentad_common.errors import InvalidArgument, NotFound, PentadError
from tests.integration.orchestrator_house import House, agent, echo, finished, house, sequential, texts


@pytest.fixture(scope="module")
def services(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The three services, for all tests of this file."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "pentad.db").write_bytes(sqlite_template.read_bytes())
    with house(folder, f"sqlite:///{folder}/pentad.db", PENTAD_ARTIFACT_MAX_BYTES="5000000") as made:
        yield made


@pytest.fixture
def tenant() -> str:
    """A tenant of the test's own."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def pentad(services: House, tenant: str) -> AsyncIterator[Pentad]:
    """Its client."""
    async with Pentad(services.config(services.key(tenant))) as made:
        yield made


def text_part(text: bytes, name: str = "") -> common_pb2.Part:
    return common_pb2.Part(name=name, content=common_pb2.Content(content_type="text/plain", data=text))


REFUSED = [
    (pb.CreateRunRequest(instruction="x"), "INVALID"),
    (pb.CreateRunRequest(sequential=pb.Sequential(steps=[pb.Step(agent="a")])), "INVALID"),
    (sequential("Not a name"), "INVALID_PLAN"),
    (pb.CreateRunRequest(instruction="x", plan=pb.Plan()), "INVALID_PLAN"),
    (pb.CreateRunRequest(instruction="x", workflow=pb.WorkflowReference(name="w")), "WORKFLOW_NOT_FOUND"),
]


@pytest.mark.parametrize(("request_", "reason"), REFUSED)
async def test_what_cannot_be_run_is_refused(
    pentad: Pentad, request_: pb.CreateRunRequest, reason: str
) -> None:
    """Refused at once, with a reason."""
    with pytest.raises(PentadError) as caught:
        await pentad.orchestrator.create_run(request_)
    assert reason in caught.value.reason


async def test_inputs_are_bounded_and_told_where_to_go(pentad: Pentad) -> None:
    """Over 256 KiB in the request is refused, with the hint to upload it; an unknown project is, too."""
    request = sequential("a")
    request.inputs.append(text_part(b"x" * 300_000, "big.csv"))
    with pytest.raises(InvalidArgument, match=r"big\.csv.*PutArtifact") as caught:
        await pentad.orchestrator.create_run(request)
    assert caught.value.reason == "INPUT_TOO_LARGE"
    request = sequential("a")
    request.project = "nope"
    with pytest.raises(NotFound, match="'nope'"):
        await pentad.orchestrator.create_run(request)


async def test_an_uploaded_file_is_an_input(
    pentad: Pentad, services: House, tenant: str, tmp_path: Path
) -> None:
    """A file goes up from a path, its agent gets the reference with size and checksum, and reads it back."""
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(range(256)) * 12_000)
    artifact = await pentad.orchestrator.put_artifact(path, content_type="application/x-data")
    request = sequential("a")
    request.inputs.add(name="data.bin").artifact.artifact_id = artifact.artifact_id
    async with agent(services, tenant, "a", echo) as worker:
        run = await finished(pentad, (await pentad.orchestrator.create_run(request)).run_id)
    assert worker.tasks[0].inputs[0].artifact == artifact == run.inputs[0].artifact
    assert await pentad.orchestrator.get_artifact(artifact.artifact_id) == path.read_bytes()


async def test_bad_uploads_are_refused(pentad: Pentad, services: House, tenant: str) -> None:
    """Too large, or without a header first."""
    for source in (b"x" * 5_000_001, pieces(6)):
        with pytest.raises(InvalidArgument) as caught:
            await pentad.orchestrator.put_artifact(source)
        assert caught.value.reason == "ARTIFACT_TOO_LARGE"
    config = services.config(services.key(tenant))
    channels = Channels(config)
    stub = channels.stub(
        config.orchestrator_address, orchestrator_pb2_grpc.OrchestratorServiceStub, pb.DESCRIPTOR
    )

    async def frames() -> AsyncIterator[pb.PutArtifactRequest]:
        yield pb.PutArtifactRequest(data=b"x")

    with pytest.raises(InvalidArgument) as caught:
        await stub.PutArtifact(frames())
    assert caught.value.reason == "HEADER_EXPECTED"
    await channels.close()
    with pytest.raises(NotFound):
        await pentad.orchestrator.get_artifact("nope")


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 1_000_000


async def test_a_workflow_runs_in_the_version_it_began_with(
    pentad: Pentad, services: House, tenant: str
) -> None:
    """A run of a workflow says which version it uses."""
    plan = pb.Plan(steps=[pb.Step(name="s", agent="a")])
    await pentad.orchestrator.create_workflow("w", plan, "what it is for")
    request = pb.CreateRunRequest(instruction="x", workflow=pb.WorkflowReference(name="w"))
    async with agent(services, tenant, "a", echo):
        run = await finished(pentad, (await pentad.orchestrator.create_run(request)).run_id)
    assert (run.strategy, run.workflow.version, texts(run.result)) == ("workflow", 1, ["a()"])
    assert [item.name async for item in pentad.orchestrator.list_workflows()] == ["w"]
    assert (await pentad.orchestrator.update_workflow(pb.Workflow(name="w", description="new"))).version == 2
    await pentad.orchestrator.delete_workflow("w")
    with pytest.raises(NotFound):
        await pentad.orchestrator.get_workflow("w")


async def test_runs_are_listed_newest_first(pentad: Pentad, services: House, tenant: str) -> None:
    """Page by page, by state, without what is large."""
    async with agent(services, tenant, "a", echo):
        ids = []
        for _ in range(3):
            request = sequential("a")
            request.labels["kind"] = "test"
            ids.append((await pentad.orchestrator.create_run(request)).run_id)
        await asyncio.gather(*(finished(pentad, run_id) for run_id in ids))
    runs = [run async for run in pentad.orchestrator.list_runs(page_size=2, states=["completed"])]
    assert [run.run_id for run in runs] == ids[::-1]
    assert not runs[0].HasField("plan") and not runs[0].agent_runs and runs[0].labels["kind"] == "test"
    assert [run async for run in pentad.orchestrator.list_runs(states=["failed"])] == []


async def test_a_watch_resumes_after_any_event(pentad: Pentad, services: House, tenant: str) -> None:
    """From each cursor on come exactly the events that follow it; many may watch at once."""
    async with agent(services, tenant, "a", echo), agent(services, tenant, "b", echo):
        run_id = (await pentad.orchestrator.create_run(sequential("a", "b"))).run_id
        watches = (events_after(pentad, run_id, "") for _ in range(20))
        seen = await asyncio.gather(*watches)
    assert all(events == seen[0] for events in seen)
    assert [pb.RunEvent.Type.Name(event.type) for event in seen[0]] == [
        "TYPE_RUN_CREATED",
        "TYPE_RUN_STARTED",
        "TYPE_STEP_STARTED",
        "TYPE_STEP_COMPLETED",
        "TYPE_STEP_STARTED",
        "TYPE_STEP_COMPLETED",
        "TYPE_RUN_COMPLETED",
    ]
    for number, event in enumerate(seen[0], 1):
        assert await events_after(pentad, run_id, event.cursor) == seen[0][number:]
    other = (await pentad.orchestrator.create_run(sequential("a"))).run_id
    with pytest.raises(InvalidArgument):
        await events_after(pentad, other, seen[0][0].cursor)


async def events_after(pentad: Pentad, run_id: str, cursor: str) -> list[pb.RunEvent]:
    return [event async for event in pentad.orchestrator.watch_run(run_id, cursor)]
