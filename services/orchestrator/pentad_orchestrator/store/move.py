"""One move of a run, in one transaction.

This is on the way of every step: statements are made once, and are those of SQLAlchemy's core, which cost
half of what its ORM's do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from sqlalchemy import Connection, Table, bindparam, insert, select, update
from sqlalchemy.orm import Session

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import task_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_common.clock import utcnow
from pentad_common.errors import NotFound
from pentad_common.models import AgentRun as AgentRunRow
from pentad_common.models import OutboxMessage, Run, RunEvent
from pentad_orchestrator.core import Graph, next_wake
from pentad_orchestrator.core.state import Failure, Output, Phase, dump_state, load_state
from pentad_orchestrator.run import Change, Owed, StoredRun, moment
from pentad_orchestrator.store.artifacts import insert_artifacts, use_artifacts
from pentad_orchestrator.store.rows import attempt_row, event_row

Move = Callable[[StoredRun], Change | None]


@dataclass(frozen=True, slots=True)
class Moved:
    """The run after a move; `change` is None if there was nothing to do."""

    run: StoredRun
    change: Change | None
    owed: Sequence[Owed] = ()


def _table(model: type[Any]) -> Table:
    table: Table = model.__table__
    return table


_runs, _attempts, _events, _outbox = map(_table, (Run, AgentRunRow, RunEvent, OutboxMessage))
_THIS_RUN = (_runs.c.id == bindparam("key")) & (_runs.c.tenant_id == bindparam("tenant"))
_THIS_ATTEMPT = (_attempts.c.id == bindparam("key")) & (_attempts.c.tenant_id == bindparam("tenant"))

_LOCK = select(_runs.c.epoch).where(_THIS_RUN).with_for_update()
_UPDATE_RUN = update(_runs).where(_THIS_RUN)
_INSERT_ATTEMPT = insert(_attempts)
_UPDATE_ATTEMPT = update(_attempts).where(_THIS_ATTEMPT)
_INSERT_EVENT = insert(_events)
_INSERT_OWED = insert(_outbox).returning(_outbox.c.seq)


def run_not_found(run_id: str) -> NotFound:
    """There is no such run, or not for this tenant."""
    return NotFound(
        "RUN_NOT_FOUND", f"run {run_id!r} does not exist; `pentad runs list` shows what there is", run=run_id
    )


def move_run(session: Session, tenant: str, run_id: str, known: StoredRun | None, move: Move) -> Moved:
    """Locks the run, applies the move to it as it is now, and writes what it changes."""
    epoch = session.connection().execute(_LOCK, {"key": run_id, "tenant": tenant}).scalar()
    if epoch is None:
        raise run_not_found(run_id)
    run = known if known is not None and known.epoch == epoch else _load(session, tenant, run_id)
    change = move(run)
    if change is None:
        return Moved(run, None)
    return _write(session, run, change)


def _load(session: Session, tenant: str, run_id: str) -> StoredRun:
    row = session.execute(select(Run).where(Run.id == run_id, Run.tenant_id == tenant)).scalar_one()
    attempts = {(item.step, item.attempt): item for item in read_attempts(session, tenant, run_id)}
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
    connection = session.connection()
    connection.execute(_UPDATE_RUN, {"key": run.run_id, "tenant": run.tenant, **values})
    _write_artifacts(session, run, change)
    _write_rows(connection, run, change)
    owed = _write_outbox(connection, run, change)
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


def _write_artifacts(session: Session, run: StoredRun, change: Change) -> None:
    if change.artifacts:
        insert_artifacts(session, run.tenant, change.artifacts)
    if change.used or change.artifacts:
        made = {artifact.reference.artifact_id for artifact in change.artifacts}
        use_artifacts(session, run.tenant, run.run_id, change.used | made)


def _write_rows(connection: Connection, run: StoredRun, change: Change) -> None:
    fresh, known = [], []
    for key, attempt in change.attempts.items():
        row = attempt_row(run.tenant, attempt)
        if key in run.attempts:
            known.append({"key": row.pop("id"), "tenant": row.pop("tenant_id"), **row})
        else:
            fresh.append({**row, "create_time": utcnow()})
    if fresh:
        connection.execute(_INSERT_ATTEMPT, fresh)
    if known:
        connection.execute(_UPDATE_ATTEMPT, known)
    if change.events:
        connection.execute(_INSERT_EVENT, [event_row(run.tenant, event) for event in change.events])


def owed_of(row: OutboxMessage) -> Owed:
    return Owed(row.seq, row.tenant_id, row.run_id, bus_pb2.Message.FromString(row.message))


def _write_outbox(connection: Connection, run: StoredRun, change: Change) -> list[Owed]:
    owed = []
    for message in change.messages:
        row = {
            "tenant_id": run.tenant,
            "run_id": run.run_id,
            "message": message.SerializeToString(),
            "create_time": utcnow(),
        }
        seq = connection.execute(_INSERT_OWED, row).scalar_one()
        owed.append(Owed(seq, run.tenant, run.run_id, message))
    return owed


def read_attempts(session: Session, tenant: str, run_id: str) -> list[orchestrator_pb2.AgentRun]:
    """Every attempt of the run, oldest first."""
    query = (
        select(AgentRunRow.record)
        .where(AgentRunRow.run_id == run_id, AgentRunRow.tenant_id == tenant)
        .order_by(AgentRunRow.id)
    )
    return [orchestrator_pb2.AgentRun.FromString(record) for record in session.scalars(query)]
