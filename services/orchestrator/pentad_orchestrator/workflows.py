"""Workflows: plans that are kept under a name, in versions that do not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_common.cursor import cut_page, decode_cursor, encode_cursor
from pentad_common.errors import InvalidArgument
from pentad_orchestrator.core import Policy
from pentad_orchestrator.core.plan import compile_plan
from pentad_orchestrator.store.workflows import WorkflowStore, WorkflowVersion

PAGES = "workflows"
MOST_PAGE_BYTES = 3 << 20


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A workflow's plan in one version."""

    name: str
    version: int
    plan: orchestrator_pb2.Plan


class Workflows:
    """The workflows of all tenants."""

    def __init__(self, store: WorkflowStore, policy: Policy) -> None:
        self._store = store
        self._policy = policy

    async def create(
        self, tenant: str, workflow: orchestrator_pb2.Workflow, request_id: str
    ) -> orchestrator_pb2.Workflow:
        """Stores version 1. Raises AlreadyExists WORKFLOW_EXISTS, InvalidArgument INVALID_PLAN."""
        compile_plan(workflow.plan, self._policy)
        plan = workflow.plan.SerializeToString()
        stored = await self._store.create(tenant, workflow.name, workflow.description, plan, request_id)
        return to_proto(stored)

    async def read(self, tenant: str, name: str, version: int) -> orchestrator_pb2.Workflow:
        """A version; 0 is the newest. Raises NotFound WORKFLOW_NOT_FOUND."""
        return to_proto(await self._store.get(tenant, name, version))

    async def get(self, tenant: str, name: str, version: int) -> StoredPlan:
        """The plan of a version; 0 is the newest. Raises NotFound WORKFLOW_NOT_FOUND."""
        stored = await self._store.get(tenant, name, version)
        return StoredPlan(stored.name, stored.version, orchestrator_pb2.Plan.FromString(stored.plan))

    async def page(
        self, tenant: str, page_token: str, size: int
    ) -> tuple[list[orchestrator_pb2.Workflow], str]:
        """A page of workflows by name, and the token of the next. Raises InvalidArgument CURSOR_INVALID."""
        after = _name_in(page_token) if page_token else ""
        page, last = cut_page(await self._store.page(tenant, after, size + 1), size)
        found: list[orchestrator_pb2.Workflow] = []
        total = 0
        for stored in page:
            total += len(stored.plan) + len(stored.description)
            if found and total > MOST_PAGE_BYTES:
                return found, encode_cursor(PAGES, found[-1].name)
            found.append(to_proto(stored))
        return found, encode_cursor(PAGES, last.name) if last else ""

    async def update(
        self, tenant: str, workflow: orchestrator_pb2.Workflow, mask: Sequence[str]
    ) -> orchestrator_pb2.Workflow:
        """Stores the next version, with the fields in `mask` changed; an empty one means all that are set.

        Raises WORKFLOW_NOT_FOUND, VERSION_CONFLICT, INVALID_PLAN, FIELD_UNKNOWN.
        """
        for path in mask:
            if path not in ("description", "plan"):
                raise _unknown(path)
        described = "description" in mask if mask else bool(workflow.description)
        planned = "plan" in mask if mask else workflow.HasField("plan")
        if planned:
            compile_plan(workflow.plan, self._policy)
        stored = await self._store.add_version(
            tenant,
            workflow.name,
            workflow.version,
            workflow.description if described else None,
            workflow.plan.SerializeToString() if planned else None,
        )
        return to_proto(stored)

    async def delete(self, tenant: str, name: str) -> None:
        """Removes all versions. Raises NotFound WORKFLOW_NOT_FOUND."""
        await self._store.delete(tenant, name)


def to_proto(stored: WorkflowVersion) -> orchestrator_pb2.Workflow:
    """A version as clients see it."""
    workflow = orchestrator_pb2.Workflow(
        name=stored.name, version=stored.version, description=stored.description
    )
    workflow.plan.ParseFromString(stored.plan)
    workflow.create_time.FromDatetime(stored.create_time)
    return workflow


def _name_in(page_token: str) -> str:
    match decode_cursor(PAGES, page_token):
        case [str(name)]:
            return name
    raise InvalidArgument("CURSOR_INVALID", f"{page_token!r} is not a page token of workflows")


def _unknown(path: str) -> InvalidArgument:
    message = f"{path!r} cannot be updated; `description` and `plan` can"
    return InvalidArgument("FIELD_UNKNOWN", message, violations=[("update_mask", message)])
