"""The contract's methods: from messages to the domain and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad.orchestrator.v1 import orchestrator_pb2_grpc
from pentad_common.call import current_call
from pentad_common.cursor import page_size
from pentad_common.errors import InvalidArgument
from pentad_orchestrator.artifacts import Artifacts, Description
from pentad_orchestrator.runs import Runs
from pentad_orchestrator.workflows import Workflows


class OrchestratorServicer(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    """Runs, workflows and artifacts of the caller's tenant."""

    def __init__(self, runs: Runs, workflows: Workflows, artifacts: Artifacts) -> None:
        self._runs = runs
        self._workflows = workflows
        self._artifacts = artifacts

    async def PutArtifact(
        self, request: AsyncIterator[pb.PutArtifactRequest], context: Any
    ) -> pb.PutArtifactResponse:
        """Keeps a file."""
        frames = aiter(request)
        description = await _description(frames)
        artifact = await self._artifacts.put(current_call().tenant_id, description, _data(frames, context))
        return pb.PutArtifactResponse(artifact=artifact)

    async def GetArtifact(
        self, request: pb.GetArtifactRequest, context: Any
    ) -> AsyncIterator[pb.GetArtifactResponse]:
        """The bytes of a file."""
        async for data in self._artifacts.get(current_call().tenant_id, request.artifact_id):
            yield pb.GetArtifactResponse(data=data)

    async def CreateRun(self, request: pb.CreateRunRequest, context: Any) -> pb.CreateRunResponse:
        """Stores a run and sets it going."""
        call = current_call()
        return pb.CreateRunResponse(run=await self._runs.create(call.tenant_id, request, call.traceparent))

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:
        """A run with everything."""
        return pb.GetRunResponse(run=await self._runs.get(current_call().tenant_id, request.run_id))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsResponse:
        """A page of runs."""
        tenant, size = current_call().tenant_id, page_size(request.page_size)
        runs, token = await self._runs.page(tenant, request.states, request.project, request.page_token, size)
        return pb.ListRunsResponse(runs=runs, next_page_token=token)

    async def WatchRun(self, request: pb.WatchRunRequest, context: Any) -> AsyncIterator[pb.WatchRunResponse]:
        """Events until the last."""
        async for event in self._runs.watch(current_call().tenant_id, request.run_id, request.after):
            yield pb.WatchRunResponse(event=event)

    async def CancelRun(self, request: pb.CancelRunRequest, context: Any) -> pb.CancelRunResponse:
        """Ends a run."""
        run = await self._runs.cancel(current_call().tenant_id, request.run_id, request.reason)
        return pb.CancelRunResponse(run=run)

    async def PauseRun(self, request: pb.PauseRunRequest, context: Any) -> pb.PauseRunResponse:
        """Holds a run."""
        return pb.PauseRunResponse(run=await self._runs.pause(current_call().tenant_id, request.run_id))

    async def ResumeRun(self, request: pb.ResumeRunRequest, context: Any) -> pb.ResumeRunResponse:
        """Goes on with a run."""
        return pb.ResumeRunResponse(run=await self._runs.resume(current_call().tenant_id, request.run_id))

    async def SendInput(self, request: pb.SendInputRequest, context: Any) -> pb.SendInputResponse:
        """Answers a step that waits for a person."""
        return pb.SendInputResponse(run=await self._runs.send_input(current_call().tenant_id, request))

    async def RetryRun(self, request: pb.RetryRunRequest, context: Any) -> pb.RetryRunResponse:
        """Takes up a run where it failed."""
        return pb.RetryRunResponse(run=await self._runs.retry(current_call().tenant_id, request.run_id))

    async def CreateWorkflow(
        self, request: pb.CreateWorkflowRequest, context: Any
    ) -> pb.CreateWorkflowResponse:
        """Stores a workflow."""
        tenant = current_call().tenant_id
        workflow = await self._workflows.create(tenant, request.workflow, request.request_id)
        return pb.CreateWorkflowResponse(workflow=workflow)

    async def GetWorkflow(self, request: pb.GetWorkflowRequest, context: Any) -> pb.GetWorkflowResponse:
        """A version of a workflow."""
        wanted = request.workflow
        workflow = await self._workflows.read(current_call().tenant_id, wanted.name, wanted.version)
        return pb.GetWorkflowResponse(workflow=workflow)

    async def ListWorkflows(self, request: pb.ListWorkflowsRequest, context: Any) -> pb.ListWorkflowsResponse:
        """A page of workflows."""
        tenant, size = current_call().tenant_id, page_size(request.page_size)
        workflows, token = await self._workflows.page(tenant, request.page_token, size)
        return pb.ListWorkflowsResponse(workflows=workflows, next_page_token=token)

    async def UpdateWorkflow(
        self, request: pb.UpdateWorkflowRequest, context: Any
    ) -> pb.UpdateWorkflowResponse:
        """Stores the next version of a workflow."""
        tenant, mask = current_call().tenant_id, list(request.update_mask.paths)
        workflow = await self._workflows.update(tenant, request.workflow, mask)
        return pb.UpdateWorkflowResponse(workflow=workflow)

    async def DeleteWorkflow(
        self, request: pb.DeleteWorkflowRequest, context: Any
    ) -> pb.DeleteWorkflowResponse:
        """Removes a workflow."""
        await self._workflows.delete(current_call().tenant_id, request.name)
        return pb.DeleteWorkflowResponse()


async def _description(frames: AsyncIterator[pb.PutArtifactRequest]) -> Description:
    first = await anext(frames, None)
    if first is None or first.WhichOneof("frame") != "header":
        raise InvalidArgument("HEADER_EXPECTED", "the first frame of PutArtifact must be its header")
    header = first.header
    return Description(header.name, header.content_type, header.size, header.sha256, header.run_id)


async def _data(frames: AsyncIterator[pb.PutArtifactRequest], context: Any) -> AsyncIterator[bytes]:
    # Clients that wait for this before they send the bytes see for certain why a header is refused.
    await context.send_initial_metadata((("pentad-ready", "1"),))
    async for frame in frames:
        if frame.WhichOneof("frame") != "data":
            raise InvalidArgument(
                "HEADER_EXPECTED", "every frame of PutArtifact after the first must be data"
            )
        yield frame.data
