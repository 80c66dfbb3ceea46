"""Deleting from the journal what is not kept any longer, on a connection that may write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select

from pentad_bus.store.journal import Needed, Swept
from pentad_common.models import BusMessage, DeadLetter


def sweep(connection: Any, aged: int, keep: int, needed: Needed, most: int, excess: int, after: int) -> Swept:
    """Deletes messages up to the seq `aged`, those beyond the newest `keep`, and the oldest `excess` bytes,
    among the first `most` after `after`.

    Never the newest one, from which seqs go on, nor what is needed. Of each tenant the oldest go first, so
    that what it has left has no gaps.
    """
    newest = connection.execute(select(func.max(BusMessage.seq))).scalar() or 0
    aged = max(aged, newest - keep)
    oldest = (
        select(BusMessage.seq, BusMessage.tenant_id, func.length(BusMessage.body).label("size"))
        .where(BusMessage.seq > after, BusMessage.seq < min(needed.upto, newest))
        .order_by(BusMessage.seq)
        .limit(most)
    )
    rows = connection.execute(oldest).all()
    doomed: list[int] = []
    place, size = after, 0
    for row in rows:
        if row.seq > aged and size >= excess:
            break
        place = row.seq
        if row.seq < needed.tenants.get(row.tenant_id, row.seq + 1):
            doomed.append(row.seq)
            size += row.size
    if doomed:
        together = doomed[-1] - doomed[0] == len(doomed) - 1
        span = BusMessage.seq.between(doomed[0], doomed[-1])
        connection.execute(delete(BusMessage).where(span if together else BusMessage.seq.in_(doomed)))
        connection.commit()
    return Swept(len(doomed), size, place, len(rows) < most or place != rows[-1].seq)


def sweep_dead(connection: Any, before: datetime, keep: int, most: int) -> int:
    """Deletes the oldest dead letters: those from before `before`, and those beyond the newest `keep`."""
    excess = (connection.execute(select(func.count()).select_from(DeadLetter)).scalar() or 0) - keep
    oldest = select(DeadLetter.id, DeadLetter.dead_time).order_by(DeadLetter.dead_time, DeadLetter.id)
    rows = connection.execute(oldest.limit(most)).all()
    doomed = [row.id for place, row in enumerate(rows) if place < excess or row.dead_time < before]
    if not doomed:
        return 0
    found = connection.execute(delete(DeadLetter).where(DeadLetter.id.in_(doomed)))
    connection.commit()
    return int(found.rowcount)


def history_size(connection: Any) -> int:
    """Bytes of all messages."""
    return int(connection.execute(select(func.sum(func.length(BusMessage.body)))).scalar() or 0)


def purge(connection: Any, tenant: str, ids: Sequence[str], recipient: str) -> int:
    """Deletes dead letters of a tenant: these, or all of an inbox, or all; how many."""
    doomed = delete(DeadLetter).where(DeadLetter.tenant_id == tenant)
    if ids:
        doomed = doomed.where(DeadLetter.id.in_(list(ids)))
    elif recipient:
        doomed = doomed.where(DeadLetter.recipient == recipient)
    found = connection.execute(doomed)
    connection.commit()
    return int(found.rowcount)
