"""Workflows in SQL: a row a version; versions do not change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, Select, delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pentad_common.clock import utcnow
from pentad_common.db import Database
from pentad_common.errors import Aborted, AlreadyExists, NotFound
from pentad_common.ids import new_id
from pentad_common.models import Workflow


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    """One version of a workflow; `plan` is a serialised Plan."""

    name: str
    version: int
    description: str
    plan: bytes
    create_time: datetime


class WorkflowStore:
    """Workflows of all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, tenant: str, name: str, description: str, plan: bytes, request_id: str
    ) -> WorkflowVersion:
        """Stores version 1, or finds what the same request stored. Raises AlreadyExists WORKFLOW_EXISTS."""

        def create(session: Session) -> WorkflowVersion:
            repeat = _repeat(session, tenant, request_id)
            if repeat is not None:
                return repeat
            if session.scalar(_newest(tenant, name)) is not None:
                raise _exists(name)
            return _add(session, tenant, WorkflowVersion(name, 1, description, plan, utcnow()), request_id)

        try:
            return await self._database.run(create, tenant=tenant)
        except IntegrityError:  # somebody else did so at the same moment
            return await self._database.run(create, tenant=tenant)

    async def get(self, tenant: str, name: str, version: int = 0) -> WorkflowVersion:
        """A version; 0 is the newest. Raises NotFound WORKFLOW_NOT_FOUND."""
        return await self._database.read(lambda session: _get(session, tenant, name, version), tenant=tenant)

    async def page(self, tenant: str, after: str, size: int) -> list[WorkflowVersion]:
        """At most `size` workflows by name, after the one of this name, each in its newest version."""
        newest = (
            select(Workflow.name, func.max(Workflow.version).label("version"))
            .where(Workflow.tenant_id == tenant, Workflow.name > after)
            .group_by(Workflow.name)
            .order_by(Workflow.name)
            .limit(size)
            .subquery()
        )
        query = (
            select(Workflow)
            .join(newest, (Workflow.name == newest.c.name) & (Workflow.version == newest.c.version))
            .where(Workflow.tenant_id == tenant)
            .order_by(Workflow.name)
        )
        return await self._database.read(
            lambda session: [_value(row) for row in session.scalars(query)], tenant=tenant
        )

    async def add_version(
        self, tenant: str, name: str, expected: int, description: str | None, plan: bytes | None
    ) -> WorkflowVersion:
        """Stores the next version; None leaves a field as it was. `expected` 0 takes whatever is the newest.

        Raises NotFound WORKFLOW_NOT_FOUND, Aborted VERSION_CONFLICT.
        """

        def add(session: Session) -> WorkflowVersion:
            newest = _get(session, tenant, name, 0)
            if expected not in (0, newest.version):
                raise _conflict(name, expected, newest.version)
            return _add(
                session,
                tenant,
                WorkflowVersion(
                    name,
                    newest.version + 1,
                    newest.description if description is None else description,
                    newest.plan if plan is None else plan,
                    utcnow(),
                ),
            )

        try:
            return await self._database.run(add, tenant=tenant)
        except IntegrityError:  # somebody else stored that version at the same moment
            return await self._database.run(add, tenant=tenant)

    async def delete(self, tenant: str, name: str) -> None:
        """Removes all versions. Raises NotFound WORKFLOW_NOT_FOUND."""
        statement = delete(Workflow).where(Workflow.tenant_id == tenant, Workflow.name == name)

        def remove(session: Session) -> int:
            done: CursorResult[Any] = session.execute(statement)  # type: ignore[assignment]
            return done.rowcount

        if not await self._database.run(remove, tenant=tenant):
            raise _not_found(name)


def _newest(tenant: str, name: str) -> Select[Workflow]:
    return (
        select(Workflow)
        .where(Workflow.tenant_id == tenant, Workflow.name == name)
        .order_by(Workflow.version.desc())
        .limit(1)
    )


def _get(session: Session, tenant: str, name: str, version: int) -> WorkflowVersion:
    query = _newest(tenant, name)
    row = session.scalar(query.where(Workflow.version == version) if version else query)
    if row is None:
        raise _not_found(name, version)
    return _value(row)


def _repeat(session: Session, tenant: str, request_id: str) -> WorkflowVersion | None:
    if not request_id:
        return None
    row = session.scalar(
        select(Workflow).where(Workflow.tenant_id == tenant, Workflow.request_id == request_id)
    )
    return _value(row) if row is not None else None


def _add(session: Session, tenant: str, version: WorkflowVersion, request_id: str = "") -> WorkflowVersion:
    session.execute(
        insert(Workflow).values(
            id=new_id(),
            tenant_id=tenant,
            name=version.name,
            version=version.version,
            description=version.description,
            plan=version.plan,
            request_id=request_id or None,
            create_time=version.create_time,
        )
    )
    return version


def _value(row: Workflow) -> WorkflowVersion:
    return WorkflowVersion(row.name, row.version, row.description, row.plan, row.create_time)


def _exists(name: str) -> AlreadyExists:
    return AlreadyExists(
        "WORKFLOW_EXISTS", f"workflow {name!r} exists; UpdateWorkflow stores its next version", workflow=name
    )


def _not_found(name: str, version: int = 0) -> NotFound:
    which = f"version {version} of workflow {name!r}" if version else f"workflow {name!r}"
    return NotFound("WORKFLOW_NOT_FOUND", f"{which} does not exist", workflow=name)


def _conflict(name: str, given: int, newest: int) -> Aborted:
    return Aborted(
        "VERSION_CONFLICT",
        f"workflow {name!r} is at version {newest}, not {given}: read it again, then change it",
        workflow=name,
        newest=newest,
    )
