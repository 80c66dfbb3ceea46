"""What waits when a bus starts: the rows of the tables, with the log on top of them.

The log is not taken over into the tables for that: merged in memory it costs a tenth. Rows are read by the
driver itself, for there may be a million.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sqlalchemy import select

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.entry import Attempt
from pentad_bus.policy import Policy
from pentad_bus.store.archive import Merged
from pentad_bus.store.journal import EntryKey, InboxRow, RetryRow, WaitingRow
from pentad_common.models import Inbox
from pentad_common.models.base import UtcDateTime

_PAGE = 5000
_WAITING = (
    "SELECT e.message_seq, e.inbox_id, e.tenant_id, e.subscription, e.attempts, e.due_time, m.body, "
    "e.history FROM queue_entries e JOIN messages m ON m.seq = e.message_seq "
    "ORDER BY e.message_seq, e.inbox_id"
)


class Recovery:
    """Reads on one connection of SQLAlchemy's. `log`: the segments that are not in the tables, merged."""

    def __init__(self, connection: Any, log: Merged) -> None:
        self._connection = connection
        self._log = log
        dialect = connection.dialect
        self._mark = "?" if dialect.paramstyle == "qmark" else "%s"
        self._streams = dialect.name == "sqlite"
        self._to_time: Callable[[Any], Any] = UtcDateTime().dialect_impl(dialect).result_processor(
            dialect, None
        ) or (lambda value: value)

    def _rows(self, statement: str, *values: object) -> Iterator[tuple[Any, ...]]:
        driver = self._connection.connection.driver_connection
        cursor = driver.cursor() if self._streams else driver.cursor("recovery")
        try:
            cursor.execute(statement, values)
            while rows := cursor.fetchmany(_PAGE):
                yield from rows
        finally:
            cursor.close()

    def inboxes(self) -> list[InboxRow]:
        """All inboxes."""
        rows = self._connection.execute(select(Inbox.__table__).order_by(Inbox.id))
        return [
            InboxRow(
                row.id,
                row.tenant_id,
                row.recipient,
                [tuple(item) for item in row.subscriptions],
                Policy(**row.policy),
            )
            for row in rows
        ]

    def recent(self, first_seq: int, since: float) -> list[tuple[str, str]]:
        """(tenant, id) of the messages of the tables from `first_seq` on, and of the log since then."""
        statement = f"SELECT tenant_id, id FROM messages WHERE seq >= {self._mark} ORDER BY seq"
        found = [(tenant, message_id) for tenant, message_id in self._rows(statement, first_seq)]
        for _, _, tenant, body in self._log.messages:
            message = Message.FromString(body)
            if _created(message) >= since:
                found.append((tenant, message.id))
        return found

    def waiting(self) -> Iterator[WaitingRow]:
        """The entries, oldest message first."""
        settled, removed = set(self._log.settled), set(self._log.removed)
        retried: dict[EntryKey, RetryRow] = {(row[2], row[3]): row for row in self._log.retried}
        for seq, inbox_id, tenant, pattern, attempts, due_time, body, history in self._rows(_WAITING):
            if (seq, inbox_id) in settled or inbox_id in removed:
                continue
            due = self._to_time(due_time).timestamp() if due_time else 0.0
            failed = json.loads(history) if isinstance(history, str) else history
            if again := retried.get((seq, inbox_id)):
                attempts, due, _, _, failed = again
            yield _waiting((seq, inbox_id, tenant, pattern, due), attempts, failed, bytes(body))
        bodies = {row[0]: row[3] for row in self._log.messages}
        for entry, attempts, failed in self._log.entries.values():
            yield _waiting(entry, attempts, failed, bodies[entry[0]])


def _waiting(
    entry: tuple[int, int, str, str, float], attempts: int, failed: Iterable[Attempt] | None, body: bytes
) -> WaitingRow:
    message = Message.FromString(body)
    seq, inbox_id, tenant, pattern, due = entry
    history = [tuple(item) for item in failed or ()]
    created = _created(message)
    return WaitingRow(seq, inbox_id, tenant, pattern, attempts, due, message.id, created, body, history)  # type: ignore[arg-type]


def _created(message: Message) -> float:
    time = message.create_time
    return time.seconds + time.nanos / 1e9
