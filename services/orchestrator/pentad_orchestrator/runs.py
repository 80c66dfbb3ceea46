"""Runs as clients see them: created, read, watched, and told what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from sqlalchemy.exc import IntegrityError

from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_common.clock import utcnow
from pentad_common.cursor import cut_page, decode_cursor, encode_cursor
from pentad_common.errors import InvalidArgument
from pentad_common.ids import new_id
from pentad_orchestrator.core import Graph, Policy, RunState, compile_strategy, signals
from pentad_orchestrator.engine import Engine
from pentad_orchestrator.inline import check_inputs
from pentad_orchestrator.run import LAST_EVENTS, StoredRun, cursor_sequence
from pentad_orchestrator.store.creation import DEFAULT_PROJECT, RunCreation
from pentad_orchestrator.store.runs import RunStore
from pentad_orchestrator.workflows import Workflows

PAGES = "runs"
MOST_PAGE_BYTES = 3 << 20
_LOOK_SECONDS = 1.0
"""How soon a watch notices what another instance did."""


class Runs:
    """The runs of all tenants."""

    def __init__(
        self, engine: Engine, store: RunStore, creation: RunCreation, workflows: Workflows, policy: Policy
    ) -> None:
        self._engine = engine
        self._store = store
        self._creation = creation
        self._workflows = workflows
        self._policy = policy

    async def create(
        self, tenant: str, request: orchestrator_pb2.CreateRunRequest, traceparent: str = ""
    ) -> orchestrator_pb2.Run:
        """Stores a run and sets it going; returns it as stored.

        Raises InvalidArgument INVALID_PLAN, INPUT_TOO_LARGE; NotFound WORKFLOW_NOT_FOUND, ARTIFACT_NOT_FOUND,
        PROJECT_NOT_FOUND.
        """
        repeat = await self._repeat(tenant, request.request_id)
        if repeat is not None:
            return repeat
        check_inputs(request.inputs)
        run = await self._prepare(tenant, request)
        run.state.traceparent = traceparent
        project_id = await self._creation.project_id(tenant, run.header.project)
        try:
            created = await self._creation.create(run, project_id, request.request_id)
        except IntegrityError:
            repeat = await self._repeat(tenant, request.request_id)
            if repeat is None:
                raise
            return repeat
        self._engine.start(tenant, run.run_id)
        return created

    async def _repeat(self, tenant: str, request_id: str) -> orchestrator_pb2.Run | None:
        run_id = await self._creation.find_request(tenant, request_id) if request_id else None
        return await self._store.get(tenant, run_id) if run_id else None

    async def _prepare(self, tenant: str, request: orchestrator_pb2.CreateRunRequest) -> StoredRun:
        strategy = request.WhichOneof("strategy") or ""
        header = orchestrator_pb2.Run(
            run_id=new_id(),
            project=request.project or DEFAULT_PROJECT,
            strategy=strategy,
            instruction=request.instruction,
            limits=request.limits if request.HasField("limits") else None,
            labels=request.labels,
        )
        header.create_time.FromDatetime(utcnow())
        workflow = None
        if strategy == "workflow":
            stored = await self._workflows.get(tenant, request.workflow.name, request.workflow.version)
            header.workflow.name, header.workflow.version = stored.name, stored.version
            workflow = stored.plan
        plan = compile_strategy(request, self._policy, workflow)
        return StoredRun(
            tenant, header.run_id, 0, 0, header, tuple(request.inputs), Graph(plan), RunState(), {}
        )

    async def get(self, tenant: str, run_id: str) -> orchestrator_pb2.Run:
        """The run with everything. Raises NotFound RUN_NOT_FOUND."""
        return await self._store.get(tenant, run_id)

    async def page(
        self, tenant: str, states: Iterable[orchestrator_pb2.State], project: str, page_token: str, size: int
    ) -> tuple[list[orchestrator_pb2.Run], str]:
        """A page, newest first, and the token of the next. Raises CURSOR_INVALID, PROJECT_NOT_FOUND."""
        names = [orchestrator_pb2.State.Name(state) for state in states]
        before = _run_id_in(page_token) if page_token else None
        project_id = await self._creation.project_id(tenant, project) if project else None
        wanted = [name.removeprefix("STATE_") for name in names]
        rows = await self._store.page(tenant, wanted, project_id, before, size + 1)
        page, last = cut_page(rows, size)
        fitting = _fitting(page)
        if len(fitting) < len(page):
            last = fitting[-1]
        return fitting, encode_cursor(PAGES, last.run_id) if last else ""

    async def watch(self, tenant: str, run_id: str, after: str) -> AsyncIterator[orchestrator_pb2.RunEvent]:
        """Events after a cursor, until the one that ends the run. Raises RUN_NOT_FOUND, CURSOR_INVALID."""
        sequence = cursor_sequence(run_id, after)
        with self._engine.listeners.listen(run_id) as listener:
            while True:
                events, newest, ended = await self._store.events(tenant, run_id, sequence)
                for event in events:
                    sequence = event.sequence
                    yield event
                if ended and sequence >= newest:
                    return
                fresh = sequence >= newest
                while fresh:
                    await listener.wait(_LOOK_SECONDS)
                    told = listener.after(sequence)
                    for event in told:
                        sequence = event.sequence
                        yield event
                    if told and told[-1].type in LAST_EVENTS:
                        return
                    fresh = bool(told)

    # What people tell a run to do; each answers with the run as it stands then.

    async def cancel(self, tenant: str, run_id: str, reason: str) -> orchestrator_pb2.Run:
        """Ends the run; one that has ended stays as it is."""
        return await self._tell(tenant, run_id, signals.Cancel(reason))

    async def pause(self, tenant: str, run_id: str) -> orchestrator_pb2.Run:
        """Holds the run. Raises FailedPrecondition RUN_ENDED."""
        return await self._tell(tenant, run_id, signals.Pause())

    async def resume(self, tenant: str, run_id: str) -> orchestrator_pb2.Run:
        """Goes on with it. Raises FailedPrecondition RUN_NOT_PAUSED."""
        return await self._tell(tenant, run_id, signals.Resume())

    async def retry(self, tenant: str, run_id: str) -> orchestrator_pb2.Run:
        """Takes it up where it failed. Raises FailedPrecondition RUN_NOT_FAILED."""
        return await self._tell(tenant, run_id, signals.Retry())

    async def send_input(
        self, tenant: str, request: orchestrator_pb2.SendInputRequest
    ) -> orchestrator_pb2.Run:
        """Answers a step that waits for a person. Raises FailedPrecondition STEP_NOT_WAITING."""
        check_inputs(request.parts)
        return await self._tell(tenant, request.run_id, signals.Input(request.step, tuple(request.parts)))

    async def _tell(self, tenant: str, run_id: str, event: signals.Event) -> orchestrator_pb2.Run:
        await self._engine.move(tenant, run_id, lambda _run: event)
        return await self._store.get(tenant, run_id)


def _run_id_in(page_token: str) -> str:
    match decode_cursor(PAGES, page_token):
        case [str(run_id)]:
            return run_id
    raise InvalidArgument("CURSOR_INVALID", f"{page_token!r} is not a page token of runs")


def _fitting(runs: list[orchestrator_pb2.Run]) -> list[orchestrator_pb2.Run]:
    """As many of the runs as fit into one message, and at least one."""
    total = 0
    for position, run in enumerate(runs):
        total += run.ByteSize()
        if position and total > MOST_PAGE_BYTES:
            return runs[:position]
    return runs
