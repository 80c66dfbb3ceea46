"""The journal's reading side: what was sent and what was given up on, in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, Row, Select, Text, cast, func, select, text
from sqlalchemy.exc import DBAPIError

from pentad_bus.store.journal import DeadRow, HistoryFilter, HistoryRow, Page, fitting
from pentad_common.db import ALL_TENANTS, APPLICATION_ROLE
from pentad_common.errors import Unavailable
from pentad_common.models import BusMessage, DeadLetter


class SqlReader:
    """Reads for one tenant at a time, in any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(reading=True)
        self._sqlite = engine.dialect.name == "sqlite"

    def catch_up(self) -> None:
        """Sees to it that the tables have all that is stored so far."""

    @contextmanager
    def _connect(self, tenant: str, *, writing: bool = False) -> Iterator[Any]:
        try:
            with (self._engine if writing else self._reading).connect() as connection:
                if not self._sqlite:
                    scope = text(
                        "select set_config('role', :role, true), set_config('app.tenant_id', :tenant, true)"
                    )
                    connection.execute(scope, {"role": APPLICATION_ROLE, "tenant": tenant})
                yield connection
        except DBAPIError as error:
            raise Unavailable(
                "JOURNAL_UNAVAILABLE",
                "the history cannot be read at the moment; the bus's log has the details",
                retry_after=1.0,
            ) from error

    def seq_at(self, time: float) -> int:
        """The first seq taken at or after `time`, in epoch seconds."""
        self.catch_up()
        with self._connect(ALL_TENANTS) as connection:
            return self._seq_at(connection, time)

    def _seq_at(self, connection: Any, time: float) -> int:
        """The first seq taken at or after `time`, by bisection: seqs go up with time."""
        bounds = connection.execute(select(func.min(BusMessage.seq), func.max(BusMessage.seq))).one()
        if bounds[0] is None:
            return 0
        low, high = bounds[0], bounds[1] + 1
        wanted = datetime.fromtimestamp(time, UTC)
        query = select(BusMessage.seq, BusMessage.create_time).order_by(BusMessage.seq).limit(1)
        while low < high:
            middle = (low + high) // 2
            row = connection.execute(query.where(BusMessage.seq >= middle)).first()
            if row is None or row.create_time >= wanted:
                high = middle
            else:
                low = row.seq + 1
        return int(low)

    def history(
        self, tenant: str, wanted: HistoryFilter, *, before: int | None, limit: int
    ) -> Page[HistoryRow]:
        """Messages with a seq below `before`, newest first."""
        with self._connect(tenant) as connection:
            query = self._filtered(connection, tenant, wanted)
            if before is not None:
                query = query.where(BusMessage.seq < before)
            return _messages(connection, query.order_by(BusMessage.seq.desc()), limit)

    def after(
        self, tenant: str, wanted: HistoryFilter, *, seq: int, upto: int, limit: int
    ) -> Page[HistoryRow]:
        """Messages with a seq above `seq` and not above `upto`, oldest first."""
        with self._connect(tenant) as connection:
            query = self._filtered(connection, tenant, wanted)
            query = query.where(BusMessage.seq > seq, BusMessage.seq <= upto)
            return _messages(connection, query.order_by(BusMessage.seq), limit)

    def _filtered(self, connection: Any, tenant: str, wanted: HistoryFilter) -> Select[int, int]:
        """Their seqs and sizes: bodies are read once it is known how many fit on a page."""
        query = select(BusMessage.seq, func.length(BusMessage.body)).where(BusMessage.tenant_id == tenant)
        if wanted.run_id:
            query = query.where(BusMessage.run_id == wanted.run_id)
        if wanted.type:
            query = query.where(BusMessage.type == wanted.type)
        if wanted.correlation_id:
            query = query.where(BusMessage.correlation_id == wanted.correlation_id)
        if wanted.agent:
            to_instance = BusMessage.recipient.startswith(f"{wanted.agent}/", autoescape=True)
            query = query.where(
                (BusMessage.sender == wanted.agent) | (BusMessage.recipient == wanted.agent) | to_instance
            )
        if wanted.start_time is not None:
            query = query.where(BusMessage.seq >= self._seq_at(connection, wanted.start_time))
        if wanted.end_time is not None:
            query = query.where(BusMessage.seq < self._seq_at(connection, wanted.end_time))
        return query

    def oldest_seq(self, tenant: str) -> int | None:
        """The seq of the tenant's oldest message that is kept."""
        self.catch_up()
        query = select(BusMessage.seq).where(BusMessage.tenant_id == tenant)
        with self._connect(tenant) as connection:
            oldest: int | None = connection.execute(query.order_by(BusMessage.seq).limit(1)).scalar()
            return oldest

    def newest_seq(self) -> int:
        """The last seq in the tables, whoever's it is; 0 if there is none."""
        with self._connect(ALL_TENANTS) as connection:
            return int(connection.execute(select(func.max(BusMessage.seq))).scalar() or 0)

    def keeps_all_after(self, tenant: str, seq: int) -> bool:
        """Whether it is known that none of the tenant's messages after `seq` was swept.

        Of a tenant the oldest go first: so it is while the message `seq` is kept, or the very next one, or
        when all that came after it is still in the log.
        """
        if seq >= self.newest_seq():
            return True
        query = select(BusMessage.seq).where(BusMessage.seq.in_((seq, seq + 1)))
        with self._connect(tenant) as connection:
            return connection.execute(query.where(BusMessage.tenant_id == tenant)).first() is not None

    def dead_letters(
        self, tenant: str, recipient: str, *, before: tuple[float, str] | None, limit: int
    ) -> Page[DeadRow]:
        """Dead letters that died before (time, id), newest first."""
        query = select(DeadLetter.id, _DEAD_SIZE).where(DeadLetter.tenant_id == tenant)
        if recipient:
            query = query.where(DeadLetter.recipient == recipient)
        if before is not None:
            time = datetime.fromtimestamp(before[0], UTC)
            same = (DeadLetter.dead_time == time) & (DeadLetter.id < before[1])
            query = query.where((DeadLetter.dead_time < time) | same)
        query = query.order_by(DeadLetter.dead_time.desc(), DeadLetter.id.desc())
        with self._connect(tenant) as connection:
            ids, more = _fitting(connection, query, limit)
            rows = _dead(connection, tenant, ids)
            return Page(rows[::-1], more)

    def dead_by_id(self, tenant: str, ids: Iterable[str]) -> Sequence[DeadRow]:
        """Those of these dead letters that there are, oldest first."""
        with self._connect(tenant) as connection:
            return _dead(connection, tenant, list(ids))

    def dead_counts(self, tenant: str) -> dict[str, int]:
        """Dead letters by recipient."""
        query = select(DeadLetter.recipient, func.count()).where(DeadLetter.tenant_id == tenant)
        with self._connect(tenant) as connection:
            return {
                recipient: count
                for recipient, count in connection.execute(query.group_by(DeadLetter.recipient))
            }


_DEAD_SIZE = func.length(DeadLetter.body) + func.coalesce(func.length(cast(DeadLetter.history, Text)), 0)


def _fitting(connection: Any, query: Select[Any, int], limit: int) -> tuple[list[Any], bool]:
    """The keys of as many rows (key, size) as a page takes, and whether there are more."""
    rows = connection.execute(query.limit(limit + 1)).all()
    count = fitting((size for _, size in rows), limit)
    return [key for key, _ in rows[:count]], count < len(rows)


def _messages(connection: Any, query: Select[int, int], limit: int) -> Page[HistoryRow]:
    while True:
        seqs, more = _fitting(connection, query, limit)
        found = connection.execute(select(BusMessage.seq, BusMessage.body).where(BusMessage.seq.in_(seqs)))
        bodies = {row.seq: bytes(row.body) for row in found}
        if bodies or not seqs:  # otherwise all of them were swept in between
            return Page([HistoryRow(seq, bodies[seq]) for seq in seqs if seq in bodies], more)


def _dead(connection: Any, tenant: str, ids: Sequence[str]) -> list[DeadRow]:
    """Oldest first."""
    query = select(DeadLetter.__table__).where(DeadLetter.tenant_id == tenant, DeadLetter.id.in_(ids))
    return [_dead_row(row) for row in connection.execute(query.order_by(DeadLetter.dead_time, DeadLetter.id))]


def _dead_row(row: Row[Any]) -> DeadRow:
    return DeadRow(
        row.id,
        row.tenant_id,
        row.message_id,
        row.recipient,
        row.reason,
        row.detail,
        row.attempts,
        bytes(row.body),
        row.dead_time.timestamp(),
        [tuple(item) for item in row.history or ()],
    )
