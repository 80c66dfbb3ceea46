"""Runs in SQL: one transaction a move, fenced by the run's epoch, with events and outbox in it.

Whoever moves a run locks its row, reads what it does not have in memory, and writes the next epoch. No
instance owns a run between moves, so nobody has to wait until a dead one's lease is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf import json_format
from sqlalchemy import CursorResult, delete, insert, select, update
from sqlalchemy.orm import Session

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import task_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_common.clock import utcnow
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.errors import NotFound
from pentad_common.models import AgentRun as AgentRunRow
from pentad_common.models import OutboxMessage, Run, RunEvent
from pentad_orchestrator.core import Graph, next_wake
from pentad_orchestrator.core.state import Failure, Output, Phase, dump_state, load_state
from pentad_orchestrator.run import Change, Owed, StoredRun, moment
from pentad_orchestrator.store.artifacts import insert_artifacts, use_artifacts
from pentad_orchestrator.store.rows import attempt_row, event_row, run_proto
from pentad_orchestrator.tasks import TASK

Move = Callable[[StoredRun], Change | None]
CLAIM_SECONDS = 5.0
"""How long a due run is left to the instance that claimed it, before another one takes it."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The run after a move; `change` is None if there was nothing to do."""

    run: StoredRun
    change: Change | None
    owed: Sequence[Owed] = ()


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
            lambda session: _move(session, tenant, run_id, known, move), tenant=tenant
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
            found = [_owed(row) for row in session.scalars(query)]
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


def run_not_found(run_id: str) -> NotFound:
    """There is no such run, or not for this tenant."""
    return NotFound(
        "RUN_NOT_FOUND", f"run {run_id!r} does not exist; `pentad runs list` shows what there is", run=run_id
    )


def _get(session: Session, tenant: str, run_id: str) -> orchestrator_pb2.Run:
    row = session.execute(select(*_FULL).where(Run.id == run_id, Run.tenant_id == tenant)).first()
    if row is None:
        raise run_not_found(run_id)
    run = run_proto(row)
    run.plan.ParseFromString(row.plan)
    run.inputs.extend(task_pb2.StepOutput.FromString(row.inputs).outputs)
    if row.result is not None:
        run.result.extend(task_pb2.StepOutput.FromString(row.result).outputs)
    run.agent_runs.extend(_attempts(session, tenant, run_id))
    return run


def _attempts(session: Session, tenant: str, run_id: str) -> list[orchestrator_pb2.AgentRun]:
    query = (
        select(AgentRunRow.record)
        .where(AgentRunRow.run_id == run_id, AgentRunRow.tenant_id == tenant)
        .order_by(AgentRunRow.id)
    )
    return [orchestrator_pb2.AgentRun.FromString(record) for record in session.scalars(query)]


# One move.


def _move(session: Session, tenant: str, run_id: str, known: StoredRun | None, move: Move) -> Moved:
    query = select(Run.epoch).where(Run.id == run_id, Run.tenant_id == tenant).with_for_update()
    epoch = session.scalar(query)
    if epoch is None:
        raise run_not_found(run_id)
    run = known if known is not None and known.epoch == epoch else _load(session, tenant, run_id)
    change = move(run)
    if change is None:
        return Moved(run, None)
    return _write(session, run, change)


def _load(session: Session, tenant: str, run_id: str) -> StoredRun:
    row = session.execute(select(Run).where(Run.id == run_id, Run.tenant_id == tenant)).scalar_one()
    attempts = {(item.step, item.attempt): item for item in _attempts(session, tenant, run_id)}
    state = load_state(row.state, _outputs(attempts.values()))
    # A failed attempt is the step's outcome only if no other one follows.
    settled = {name for name, step in state.steps.items() if step.phase in (Phase.COMPLETED, Phase.FAILED)}
    state.outputs = {name: output for name, output in state.outputs.items() if name in settled}
    return StoredRun(
        tenant=tenant,
        run_id=run_id,
        epoch=row.epoch,
        sequence=row.sequence,
        header=orchestrator_pb2.Run.FromString(row.header),
        inputs=tuple(task_pb2.StepOutput.FromString(row.inputs).outputs),
        graph=Graph(orchestrator_pb2.Plan.FromString(row.plan)),
        state=state,
        attempts=attempts,
    )


def _outputs(attempts: Iterable[orchestrator_pb2.AgentRun]) -> dict[str, Output]:
    """The outcome of each step's newest attempt that has come to an end."""
    outputs: dict[str, Output] = {}
    for attempt in attempts:
        if attempt.state == orchestrator_pb2.STATE_COMPLETED:
            outputs[attempt.step] = Output(attempt.agent, tuple(attempt.outputs))
        elif attempt.state == orchestrator_pb2.STATE_FAILED:
            outputs[attempt.step] = Output(attempt.agent, (), Failure.from_proto(attempt.error))
    return outputs


def _write(session: Session, run: StoredRun, change: Change) -> Moved:
    state = change.state
    epoch, sequence = run.epoch + 1, run.sequence + len(change.events)
    wake = next_wake(state)
    values: dict[str, Any] = {
        "epoch": epoch,
        "sequence": sequence,
        "status": str(state.phase),
        "state": dump_state(state),
        "wake_time": moment(wake),
        "start_time": moment(state.started),
        "end_time": moment(state.ended),
        "update_time": utcnow(),
    }
    if state.over or run.state.over:
        values |= _ending(run, change)
    if state.usage != run.state.usage:
        values["usage"] = json_format.MessageToDict(state.usage, preserving_proto_field_name=True)
    session.execute(update(Run).where(Run.id == run.run_id, Run.tenant_id == run.tenant).values(**values))
    _write_rows(session, run, change)
    owed = _write_outbox(session, run, change)
    moved = StoredRun(
        tenant=run.tenant,
        run_id=run.run_id,
        epoch=epoch,
        sequence=sequence,
        header=run.header,
        inputs=run.inputs,
        graph=run.graph,
        state=state,
        attempts={**run.attempts, **change.attempts},
    )
    return Moved(moved, change, owed)


def _ending(run: StoredRun, change: Change) -> dict[str, Any]:
    """The columns that an end sets and a retry takes back."""
    state = change.state
    parts = [part for step in state.result for part in state.outputs[step].parts]
    error = state.failure.proto() if state.failure else None
    return {
        "degraded": state.degraded,
        "missing": state.missing,
        "error": json_format.MessageToDict(error, preserving_proto_field_name=True) if error else None,
        "result": task_pb2.StepOutput(outputs=parts).SerializeToString() if state.result else None,
    }


def _write_rows(session: Session, run: StoredRun, change: Change) -> None:
    if change.artifacts:
        insert_artifacts(session, run.tenant, change.artifacts)
    if change.used or change.artifacts:
        made = {artifact.reference.artifact_id for artifact in change.artifacts}
        use_artifacts(session, run.tenant, run.run_id, change.used | made)
    fresh = [key for key in change.attempts if key not in run.attempts]
    if fresh:
        session.execute(insert(AgentRunRow), [attempt_row(run.tenant, change.attempts[key]) for key in fresh])
    for key in change.attempts.keys() & run.attempts.keys():
        row = attempt_row(run.tenant, change.attempts[key])
        session.execute(update(AgentRunRow).where(AgentRunRow.id == row.pop("id")).values(**row))
    if change.events:
        session.execute(insert(RunEvent), [event_row(run.tenant, event) for event in change.events])


def _owed(row: OutboxMessage) -> Owed:
    return Owed(row.seq, row.tenant_id, row.run_id, bus_pb2.Message.FromString(row.message))


def _write_outbox(session: Session, run: StoredRun, change: Change) -> list[Owed]:
    owed = []
    for message in change.messages:
        statement = insert(OutboxMessage).values(
            tenant_id=run.tenant, run_id=run.run_id, message=message.SerializeToString(), create_time=utcnow()
        )
        seq = session.execute(statement.returning(OutboxMessage.seq)).scalar_one()
        owed.append(Owed(seq, run.tenant, run.run_id, message))
    return owed
