"""Runs, workflows and artifacts.

run = await pentad.orchestrator.create_run(request)
async for event in pentad.orchestrator.watch_run(run.run_id):
    print(event.step, event.message)
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from google.protobuf.field_mask_pb2 import FieldMask

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad.orchestrator.v1 import orchestrator_pb2_grpc
from pentad_client.channel import Channels, Response
from pentad_client.config import ClientConfig
from pentad_client.errors import InvalidArgument, PentadError, Unavailable
from pentad_client.resume import Backoff

__all__ = ["ENDED_STATES", "OrchestratorClient"]

ENDED_STATES = frozenset({pb.STATE_COMPLETED, pb.STATE_FAILED, pb.STATE_CANCELLED})

FRAME_BYTES = 1 << 20
_UPLOAD_SECONDS = 600.0
_UPLOAD_ATTEMPTS = 3

Source = bytes | str | os.PathLike[str] | BinaryIO | AsyncIterable[bytes]
"""What an artifact is made from: bytes, a path, an open binary file, or pieces as they come."""


class OrchestratorClient:
    """OrchestratorService. Every method raises PentadError when the orchestrator refuses."""

    def __init__(self, channels: Channels, config: ClientConfig) -> None:
        self._stub = channels.stub(
            config.orchestrator_address, orchestrator_pb2_grpc.OrchestratorServiceStub, pb.DESCRIPTOR
        )

    # Runs.

    async def create_run(self, request: pb.CreateRunRequest) -> pb.Run:
        """Starts a run. Without a `request_id` it gets one: a repeat after a lost answer starts no second.

        Raises InvalidArgument INVALID_PLAN, INPUT_TOO_LARGE; NotFound WORKFLOW_NOT_FOUND, ARTIFACT_NOT_FOUND,
        PROJECT_NOT_FOUND.
        """
        if not request.request_id:
            request.request_id = uuid.uuid4().hex
        response: pb.CreateRunResponse = await self._stub.CreateRun(request)
        return response.run

    async def get_run(self, run_id: str) -> pb.Run:
        """A run with every attempt of its steps. Raises NotFound RUN_NOT_FOUND."""
        response: pb.GetRunResponse = await self._stub.GetRun(pb.GetRunRequest(run_id=run_id))
        return response.run

    async def list_runs(
        self, *, states: Iterable[int | str] = (), project: str = "", page_size: int = 0
    ) -> AsyncIterator[pb.Run]:
        """Runs, newest first, page by page. `states`: numbers, or names such as `running`.

        Raises InvalidArgument STATE_UNKNOWN.
        """
        request = pb.ListRunsRequest(
            states=[state_number(state) for state in states], project=project, page_size=page_size
        )
        while True:
            page = await self._stub.ListRuns(request)
            for run in page.runs:
                yield run
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def watch_run(self, run_id: str, after: str = "") -> AsyncIterator[pb.RunEvent]:
        """The run's events, from the first or after a cursor, up to the one that ends it.

        Resumes by itself when the connection or the server is lost: no event is missing, none comes twice.
        Raises NotFound RUN_NOT_FOUND.
        """
        backoff = Backoff()
        while True:
            stream = self._stub.WatchRun(pb.WatchRunRequest(run_id=run_id, after=after))
            try:
                async for response in stream:
                    backoff.reset()
                    after = response.event.cursor
                    yield response.event
                # A server that dies can end a stream as one does that has said everything.
                if (await self.get_run(run_id)).state in ENDED_STATES and await self._is_last(run_id, after):
                    return
            except Unavailable:
                pass
            finally:
                stream.cancel()
            await backoff.wait()

    async def _is_last(self, run_id: str, cursor: str) -> bool:
        """Whether no event follows the cursor, in a run that has ended."""
        stream = self._stub.WatchRun(pb.WatchRunRequest(run_id=run_id, after=cursor))
        try:
            return await stream.read() is None
        finally:
            stream.cancel()

    async def cancel_run(self, run_id: str, reason: str = "") -> pb.Run:
        """Ends a run; one that has ended stays as it is."""
        return _run(await self._stub.CancelRun(pb.CancelRunRequest(run_id=run_id, reason=reason)))

    async def pause_run(self, run_id: str) -> pb.Run:
        """Holds a run: steps at work finish, no other begins. Raises FailedPrecondition RUN_ENDED."""
        return _run(await self._stub.PauseRun(pb.PauseRunRequest(run_id=run_id)))

    async def resume_run(self, run_id: str) -> pb.Run:
        """Goes on with a paused run. Raises FailedPrecondition RUN_NOT_PAUSED."""
        return _run(await self._stub.ResumeRun(pb.ResumeRunRequest(run_id=run_id)))

    async def retry_run(self, run_id: str) -> pb.Run:
        """Takes up a failed or cancelled run where it stopped. Raises FailedPrecondition RUN_NOT_FAILED."""
        return _run(await self._stub.RetryRun(pb.RetryRunRequest(run_id=run_id)))

    async def send_input(self, run_id: str, step: str, parts: Sequence[common_pb2.Part]) -> pb.Run:
        """Answers a step that waits for a person. Raises FailedPrecondition STEP_NOT_WAITING."""
        request = pb.SendInputRequest(run_id=run_id, step=step, parts=parts)
        return _run(await self._stub.SendInput(request))

    # Artifacts.

    async def put_artifact(
        self,
        source: Source,
        *,
        name: str = "",
        content_type: str = "",
        size: int = 0,
        run_id: str = "",
    ) -> common_pb2.Artifact:
        """Uploads a file. What is at hand as a whole is checked by its SHA-256, and sent again if need be.

        `name`: a path's own by default. `size`: of what comes in pieces, if known, to be refused early.
        Raises InvalidArgument ARTIFACT_TOO_LARGE, CHECKSUM_MISMATCH; NotFound RUN_NOT_FOUND; OSError for a
        path that cannot be read.
        """
        if isinstance(source, str | os.PathLike):
            name = name or os.path.basename(os.fspath(source))
        header = pb.PutArtifactRequest.Header(name=name, content_type=content_type, size=size, run_id=run_id)
        if isinstance(source, AsyncIterable):
            return await self._upload(header, source)
        data = await asyncio.to_thread(_read, source)
        header.size, header.sha256 = len(data), hashlib.sha256(data).hexdigest()
        return await self._upload_again(header, data)

    async def _upload_again(self, header: pb.PutArtifactRequest.Header, data: bytes) -> common_pb2.Artifact:
        """gRPC does not repeat streams; bytes that are at hand can be."""
        backoff = Backoff(first=0.5)
        for _ in range(_UPLOAD_ATTEMPTS - 1):
            try:
                return await self._upload(header, _pieces(data))
            except Unavailable:
                await backoff.wait()
        return await self._upload(header, _pieces(data))

    async def _upload(
        self, header: pb.PutArtifactRequest.Header, data: AsyncIterable[bytes]
    ) -> common_pb2.Artifact:
        call = self._stub.PutArtifact(timeout=_UPLOAD_SECONDS)
        try:
            await call.write(pb.PutArtifactRequest(header=header))
            if "pentad-ready" in (await call.call.initial_metadata() or ()):
                await self._send(call, data)
            # Otherwise the header was refused, and what follows raises the reason.
            response: pb.PutArtifactResponse = await call
        except PentadError:
            raise
        except BaseException:
            call.cancel()
            raise
        return response.artifact

    async def _send(self, call: Response, data: AsyncIterable[bytes]) -> None:
        async for piece in data:
            for start in range(0, len(piece), FRAME_BYTES):
                await call.write(pb.PutArtifactRequest(data=piece[start : start + FRAME_BYTES]))
        await call.done_writing()

    async def get_artifact(self, artifact_id: str) -> bytes:
        """The bytes of an artifact, all at once. Raises NotFound ARTIFACT_NOT_FOUND."""
        return b"".join([piece async for piece in self.read_artifact(artifact_id)])

    async def read_artifact(self, artifact_id: str) -> AsyncIterator[bytes]:
        """The bytes of an artifact, in pieces of at most 1 MiB. Raises NotFound ARTIFACT_NOT_FOUND."""
        stream = self._stub.GetArtifact(pb.GetArtifactRequest(artifact_id=artifact_id))
        try:
            async for response in stream:
                yield response.data
        finally:
            stream.cancel()

    # Workflows.

    async def create_workflow(
        self, name: str, plan: pb.Plan, description: str = "", *, request_id: str = ""
    ) -> pb.Workflow:
        """Stores a workflow. Raises AlreadyExists WORKFLOW_EXISTS, InvalidArgument INVALID_PLAN."""
        request = pb.CreateWorkflowRequest(
            workflow=pb.Workflow(name=name, description=description, plan=plan),
            request_id=request_id or uuid.uuid4().hex,
        )
        response: pb.CreateWorkflowResponse = await self._stub.CreateWorkflow(request)
        return response.workflow

    async def get_workflow(self, name: str, version: int = 0) -> pb.Workflow:
        """A version of a workflow; 0 is the newest. Raises NotFound WORKFLOW_NOT_FOUND."""
        request = pb.GetWorkflowRequest(workflow=pb.WorkflowReference(name=name, version=version))
        response: pb.GetWorkflowResponse = await self._stub.GetWorkflow(request)
        return response.workflow

    async def list_workflows(self, *, page_size: int = 0) -> AsyncIterator[pb.Workflow]:
        """Workflows by name, each in its newest version, page by page."""
        request = pb.ListWorkflowsRequest(page_size=page_size)
        while True:
            page = await self._stub.ListWorkflows(request)
            for workflow in page.workflows:
                yield workflow
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def update_workflow(self, workflow: pb.Workflow, fields: Sequence[str] = ()) -> pb.Workflow:
        """Stores the next version, with `fields` (`description`, `plan`) changed; none means all set ones.

        Raises NotFound WORKFLOW_NOT_FOUND, Aborted VERSION_CONFLICT.
        """
        mask = FieldMask(paths=fields) if fields else None
        request = pb.UpdateWorkflowRequest(workflow=workflow, update_mask=mask)
        response: pb.UpdateWorkflowResponse = await self._stub.UpdateWorkflow(request)
        return response.workflow

    async def delete_workflow(self, name: str) -> None:
        """Removes a workflow with all its versions. Raises NotFound WORKFLOW_NOT_FOUND."""
        await self._stub.DeleteWorkflow(pb.DeleteWorkflowRequest(name=name))


def state_number(state: int | str) -> pb.State:
    """The contract's number of a state. Raises InvalidArgument STATE_UNKNOWN if there is none."""
    try:
        if isinstance(state, int):
            pb.State.Name(cast(pb.State, state))
            return cast(pb.State, state)
        return cast(pb.State, pb.State.Value(f"STATE_{state.upper().removeprefix('STATE_')}"))
    except ValueError:
        known = ", ".join(name.removeprefix("STATE_").lower() for name in pb.State.keys()[1:])
        raise InvalidArgument("STATE_UNKNOWN", f"there is no state {state!r}; there is {known}") from None


def _run(response: object) -> pb.Run:
    run = getattr(response, "run", None)
    assert isinstance(run, pb.Run)
    return run


def _read(source: bytes | str | os.PathLike[str] | BinaryIO) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return Path(source).read_bytes()
    return source.read()


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data
