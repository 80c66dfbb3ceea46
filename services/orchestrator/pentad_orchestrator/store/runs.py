"""Runs in SQL: one transaction a move, fenced by the run's epoch, with events and outbox in it.

Whoever moves a run locks its row, reads what it does not have in memory, and writes the next epoch. No
instance owns a run between moves, so nobody has to wait until a dead one's lease is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from pentad.common.v1 import task_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_common.clock import utcnow
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.models import AgentRun as AgentRunRow
from pentad_common.models import OutboxMessage, Run, RunEvent
from pentad_orchestrator.run import Owed, StoredRun
from pentad_orchestrator.store.move import Move, Moved, move_run, owed_of, read_attempts, run_not_found
from pentad_orchestrator.store.rows import run_proto
from pentad_orchestrator.tasks import TASK

CLAIM_SECONDS = 5.0
"""How long a due run is left to the instance that claimed it, before another one takes it."""


class RunStore:
    """Runs of all tenants. Every method says which one it is about, but for those that look for work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Moving.

    async def move(self, tenant: str, run_id: str, known: StoredRun | None, move: Move) -> Moved:
        """Applies `move` to the run as it is now and commits what it changes.

        `known` is the run as last seen; it is read anew only if it has moved since. `move` may be called
        again when the database asks for a retry. Raises NotFound RUN_NOT_FOUND, and what `move` raises.
        """
        return await self._database.run(
            lambda session: move_run(session, tenant, run_id, known, move), tenant=tenant
        )

    async def run_of_attempt(self, tenant: str, agent_run_id: str) -> str | None:
        """The id of the run that the attempt belongs to."""
        query = select(AgentRunRow.run_id).where(
            AgentRunRow.id == agent_run_id, AgentRunRow.tenant_id == tenant
        )
        return await self._database.read(lambda session: session.scalar(query), tenant=tenant)

    # Looking for work.

    async def claim_due(self, older_than: float, limit: int = 100) -> list[tuple[str, str]]:
        """(tenant, run) of runs due since `older_than` seconds; others leave them alone for a while."""
        until = utcnow() - timedelta(seconds=older_than)
        due = select(Run.id, Run.tenant_id).where(Run.wake_time <= until).order_by(Run.wake_time).limit(limit)
        seen = await self._database.read(lambda session: session.execute(due).first(), tenant=ALL_TENANTS)
        if seen is None:
            return []

        def claim(session: Session) -> list[tuple[str, str]]:
            rows = session.execute(due.with_for_update(skip_locked=True)).all()
            later = utcnow() + timedelta(seconds=CLAIM_SECONDS)
            ids = [row.id for row in rows]
            session.execute(
                update(Run).where(Run.id.in_(ids)).values(wake_time=later, update_time=Run.update_time)
            )
            return [(row.tenant_id, row.id) for row in rows]

        return await self._database.run(claim, tenant=ALL_TENANTS)

    async def active_runs(self, limit: int = 1000) -> list[tuple[str, str]]:
        """(tenant, run) of runs that have not ended, oldest first."""
        query = select(Run.tenant_id, Run.id).where(Run.end_time.is_(None)).order_by(Run.id).limit(limit)
        rows = await self._database.read(lambda session: session.execute(query).all(), tenant=ALL_TENANTS)
        return [(row.tenant_id, row.id) for row in rows]

    async def active_tenants(self) -> set[str]:
        """Tenants with runs that have not ended."""
        query = select(Run.tenant_id).where(Run.end_time.is_(None)).distinct()
        return set(
            await self._database.read(lambda session: session.scalars(query).all(), tenant=ALL_TENANTS)
        )

    # The outbox.

    async def owed(self, older_than: float, limit: int = 500) -> tuple[list[Owed], list[int]]:
        """Messages committed at least `older_than` seconds ago and not yet published, in order.

        Apart from them the numbers of those that nobody needs any more: tasks of attempts that are over.
        """
        until = utcnow() - timedelta(seconds=older_than)
        late = select(OutboxMessage).where(OutboxMessage.create_time <= until)
        query = late.order_by(OutboxMessage.seq).limit(limit)

        def read(session: Session) -> tuple[list[Owed], list[int]]:
            found = [owed_of(row) for row in session.scalars(query)]
            tasks = [item.message.id for item in found if item.message.type == TASK]
            over = select(AgentRunRow.id).where(AgentRunRow.id.in_(tasks), AgentRunRow.end_time.is_not(None))
            ended = set(session.scalars(over)) if tasks else set()
            needed = [item for item in found if item.message.id not in ended]
            return needed, [item.seq for item in found if item.message.id in ended]

        return await self._database.read(read, tenant=ALL_TENANTS)

    async def settle(self, seqs: Sequence[int]) -> None:
        """Forgets messages that are published."""
        statement = delete(OutboxMessage).where(OutboxMessage.seq.in_(seqs))
        await self._database.run(lambda session: session.execute(statement), tenant=ALL_TENANTS)

    # Reading.

    async def get(self, tenant: str, run_id: str) -> orchestrator_pb2.Run:
        """The run with plan, inputs, result and attempts. Raises NotFound RUN_NOT_FOUND."""
        return await self._database.read(lambda session: _get(session, tenant, run_id), tenant=tenant)

    async def page(
        self, tenant: str, statuses: Sequence[str], project_id: str | None, before: str | None, size: int
    ) -> list[orchestrator_pb2.Run]:
        """At most `size` runs, newest first, older than the run `before`; without what is large."""
        query = select(*_SUMMARY).where(Run.tenant_id == tenant).order_by(Run.id.desc()).limit(size)
        if statuses:
            query = query.where(Run.status.in_(statuses))
        if project_id is not None:
            query = query.where(Run.project_id == project_id)
        if before is not None:
            query = query.where(Run.id < before)
        rows = await self._database.read(lambda session: session.execute(query).all(), tenant=tenant)
        return [run_proto(row) for row in rows]

    async def events(
        self, tenant: str, run_id: str, after: int, limit: int = 100
    ) -> tuple[list[orchestrator_pb2.RunEvent], int, bool]:
        """Events after a sequence, the newest one's sequence, and whether the run has ended.

        Raises NotFound RUN_NOT_FOUND.
        """
        standing = select(Run.sequence, Run.end_time).where(Run.id == run_id, Run.tenant_id == tenant)
        query = (
            select(RunEvent.data)
            .where(RunEvent.run_id == run_id, RunEvent.tenant_id == tenant, RunEvent.sequence > after)
            .order_by(RunEvent.sequence)
            .limit(limit)
        )

        def read(session: Session) -> tuple[list[bytes], int, bool]:
            run = session.execute(standing).first()
            if run is None:
                raise run_not_found(run_id)
            fresh = session.scalars(query).all() if run.sequence > after else []
            return list(fresh), run.sequence, run.end_time is not None

        data, newest, ended = await self._database.read(read, tenant=tenant)
        return [orchestrator_pb2.RunEvent.FromString(item) for item in data], newest, ended

    async def delete_ended(self, days: float, limit: int = 200) -> int:
        """Removes runs that ended more than `days` ago, with all that belongs to them; returns how many."""
        before = utcnow() - timedelta(days=days)
        old = select(Run.id).where(Run.end_time < before).limit(limit)

        def sweep(session: Session) -> int:
            ids = session.scalars(old).all()
            done: CursorResult[Any] = session.execute(delete(Run).where(Run.id.in_(ids)))  # type: ignore[assignment]
            return done.rowcount

        return await self._database.run(sweep, tenant=ALL_TENANTS)


_SUMMARY = (
    Run.id,
    Run.header,
    Run.status,
    Run.degraded,
    Run.missing,
    Run.error,
    Run.usage,
    Run.start_time,
    Run.end_time,
)
_FULL = (*_SUMMARY, Run.plan, Run.inputs, Run.result)


def _get(session: Session, tenant: str, run_id: str) -> orchestrator_pb2.Run:
    row = session.execute(select(*_FULL).where(Run.id == run_id, Run.tenant_id == tenant)).first()
    if row is None:
        raise run_not_found(run_id)
    run = run_proto(row)
    run.plan.ParseFromString(row.plan)
    run.inputs.extend(task_pb2.StepOutput.FromString(row.inputs).outputs)
    if row.result is not None:
        run.result.extend(task_pb2.StepOutput.FromString(row.result).outputs)
    run.agent_runs.extend(read_attempts(session, tenant, run_id))
    return run
