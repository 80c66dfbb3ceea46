"""How runs come into the database."""

from __future__ import annotations

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pentad.common.v1 import common_pb2, task_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_common.clock import utcnow
from pentad_common.db import Database
from pentad_common.errors import NotFound
from pentad_common.ids import new_id
from pentad_common.models import Project, Run, RunEvent
from pentad_orchestrator.core.state import dump_state
from pentad_orchestrator.inline import artifact_ids, spill
from pentad_orchestrator.run import StoredRun, event_cursor, timestamp
from pentad_orchestrator.store.artifacts import find_artifacts, insert_artifacts, use_artifacts
from pentad_orchestrator.store.rows import event_row

DEFAULT_PROJECT = "default"


class RunCreation:
    """Stores new runs."""

    def __init__(self, database: Database, inline_bytes: int) -> None:
        self._database = database
        self._inline_bytes = inline_bytes
        self._default_projects: dict[str, str] = {}

    async def project_id(self, tenant: str, name: str) -> str:
        """The id of a project; `default` is made when first asked for. Raises PROJECT_NOT_FOUND."""
        if name == DEFAULT_PROJECT and tenant in self._default_projects:
            return self._default_projects[tenant]
        query = select(Project.id).where(Project.tenant_id == tenant, Project.name == name)
        found = await self._database.read(lambda session: session.scalar(query), tenant=tenant)
        if name != DEFAULT_PROJECT:
            if found is None:
                raise NotFound("PROJECT_NOT_FOUND", f"project {name!r} does not exist", project=name)
            return found
        self._default_projects[tenant] = found or await self._add_default(tenant)
        return self._default_projects[tenant]

    async def _add_default(self, tenant: str) -> str:
        try:
            return await self._database.run(lambda session: _add_project(session, tenant), tenant=tenant)
        except IntegrityError:  # somebody else made it at the same moment
            return await self.project_id(tenant, DEFAULT_PROJECT)

    async def find_request(self, tenant: str, request_id: str) -> str | None:
        """The id of the run that a request of this id started."""
        query = select(Run.id).where(Run.tenant_id == tenant, Run.request_id == request_id)
        return await self._database.read(lambda session: session.scalar(query), tenant=tenant)

    async def create(self, run: StoredRun, project_id: str, request_id: str) -> orchestrator_pb2.Run:
        """Stores the run with its first event, and returns it as stored. Its header is complete.

        Raises NotFound ARTIFACT_NOT_FOUND; IntegrityError if the request id is taken.
        """
        parts = await self._database.run(
            lambda session: self._create(session, run, project_id, request_id), tenant=run.tenant
        )
        created = orchestrator_pb2.Run(
            state=orchestrator_pb2.STATE_PENDING, plan=run.graph.plan, inputs=parts
        )
        created.MergeFrom(run.header)
        return created

    def _create(
        self, session: Session, run: StoredRun, project_id: str, request_id: str
    ) -> tuple[common_pb2.Part, ...]:
        parts, inline, artifacts = spill(_checked(session, run), 0, self._inline_bytes)
        state = run.state.copy()
        state.inline_bytes = inline
        session.execute(
            insert(Run).values(
                id=run.run_id,
                tenant_id=run.tenant,
                project_id=project_id,
                request_id=request_id or None,
                status=str(state.phase),
                strategy=run.header.strategy,
                header=run.header.SerializeToString(),
                inputs=task_pb2.StepOutput(outputs=parts).SerializeToString(),
                plan=run.graph.plan.SerializeToString(),
                state=dump_state(state),
                sequence=1,
                epoch=1,
                wake_time=utcnow(),
            )
        )
        insert_artifacts(session, run.tenant, artifacts)
        session.execute(insert(RunEvent).values(**event_row(run.tenant, _created(run))))
        if any(part.HasField("artifact") for part in parts):
            use_artifacts(session, run.tenant, run.run_id, artifact_ids(parts))
        return parts


def _add_project(session: Session, tenant: str) -> str:
    project_id = new_id()
    session.execute(insert(Project).values(id=project_id, tenant_id=tenant, name=DEFAULT_PROJECT))
    return project_id


def _checked(session: Session, run: StoredRun) -> list[common_pb2.Part]:
    """The inputs, with what the database knows of the artifacts among them."""
    wanted = artifact_ids(run.inputs)
    known = find_artifacts(session, run.tenant, wanted) if wanted else {}
    parts = []
    for part in run.inputs:
        checked = common_pb2.Part()
        checked.CopyFrom(part)
        if part.WhichOneof("source") == "artifact":
            checked.artifact.CopyFrom(known[part.artifact.artifact_id])
        parts.append(checked)
    return parts


def _created(run: StoredRun) -> orchestrator_pb2.RunEvent:
    return orchestrator_pb2.RunEvent(
        sequence=1,
        cursor=event_cursor(run.run_id, 1),
        type=orchestrator_pb2.RunEvent.TYPE_RUN_CREATED,
        time=timestamp(run.header.create_time.ToMicroseconds() / 1e6),
        run_id=run.run_id,
        state=orchestrator_pb2.STATE_PENDING,
    )
