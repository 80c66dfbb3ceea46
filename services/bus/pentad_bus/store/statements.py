"""The statements of the journal's writer, with many rows each.

A statement is run by SQLite in one step, without Python's lock; row by row the writer would wait for that
lock between any two rows while the event loop is busy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Dialect

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.entry import Attempt
from pentad_bus.store.journal import DeadRow, EntryKey, InboxRow, MessageRow, RetryRow
from pentad_common.db import ALL_TENANTS
from pentad_common.models import BusMessage, DeadLetter, Inbox, LogSegment, QueueEntry
from pentad_common.models.base import UtcDateTime

_CHUNKS = (256, 32, 1)
"""Rows a statement: few different ones, so that they stay prepared, and under SQLite's 32,766 parameters."""

_MESSAGE_COLUMNS = (
    "seq, id, tenant_id, sender, recipient, topic, type, run_id, correlation_id, create_time, body"
)
_MOST_SEGMENTS = 1000
_MOST_BYTES = 16 * 1024 * 1024
_ENTRY_COLUMNS = "message_seq, inbox_id, tenant_id, subscription, due_time, attempts, history"
_DEAD_COLUMNS = "id, tenant_id, message_id, recipient, reason, detail, attempts, body, dead_time, history"


class Statements:
    """Made for one dialect. Each method takes the driver's cursor, within a transaction."""

    def __init__(self, dialect: Dialect) -> None:
        self._mark = "?" if dialect.paramstyle == "qmark" else "%s"
        self._time = _time_converter(dialect)

    def message_rows(self, rows: Sequence[MessageRow]) -> list[tuple[Any, ...]]:
        """What `insert_messages` takes: needs no database. Raises DecodeError."""
        times = _Times(self._time)
        return [_columns(row, times) for row in rows]

    def insert_messages(self, cursor: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows of `messages`, from `message_rows`."""
        self._insert(cursor, BusMessage.__tablename__, _MESSAGE_COLUMNS, rows)

    def append_segment(self, cursor: Any, number: int, messages: int, body: bytes) -> None:
        """A row of `log_segments`."""
        columns = "number, tenant_id, messages, body"
        statement = insert_sql(LogSegment.__tablename__, columns, 1, self._mark)
        cursor.execute(statement, (number, ALL_TENANTS, messages, body))

    def oldest_segments(self, cursor: Any, most_messages: int) -> tuple[int, list[bytes]]:
        """The first segments, up to so many messages, but at least one; before them the last one's number."""
        last = size = 0
        cursor.execute(
            "SELECT number, messages, length(body) FROM log_segments WHERE number > 0 "
            f"ORDER BY number LIMIT {_MOST_SEGMENTS}"
        )
        for number, messages, length in cursor.fetchall():
            most_messages -= messages
            size += length
            if last and (most_messages < 0 or size > _MOST_BYTES):
                break
            last = number
        cursor.execute(
            f"SELECT body FROM log_segments WHERE number > 0 AND number <= {self._mark} ORDER BY number",
            (last,),
        )
        return last, [bytes(body) for (body,) in cursor.fetchall()]

    def all_segments(self, cursor: Any) -> list[bytes]:
        """All that were not set aside."""
        cursor.execute("SELECT body FROM log_segments WHERE number > 0 ORDER BY number")
        return [bytes(body) for (body,) in cursor.fetchall()]

    def drop_segments(self, cursor: Any, upto: int, above: int = 0) -> None:
        """Forgets segments."""
        mark = self._mark
        cursor.execute(f"DELETE FROM log_segments WHERE number > {mark} AND number <= {mark}", (above, upto))

    def messages_in(self, cursor: Any, number: int) -> int:
        """How many messages a segment has."""
        cursor.execute(f"SELECT messages FROM log_segments WHERE number = {self._mark}", (number,))
        return int(cursor.fetchone()[0])

    def lowest(self, cursor: Any) -> int:
        """The lowest number of a segment that was set aside; 0 if there is none."""
        cursor.execute("SELECT coalesce(min(number), 0) FROM log_segments WHERE number < 0")
        return int(cursor.fetchone()[0])

    def set_aside(self, cursor: Any) -> int:
        """Messages, at least one a segment, that were set aside: their segments' numbers are negative."""
        cursor.execute(
            "SELECT coalesce(sum(CASE WHEN messages > 1 THEN messages ELSE 1 END), 0) "
            "FROM log_segments WHERE number < 0"
        )
        return int(cursor.fetchone()[0])

    def inbox_name(self, cursor: Any, inbox_id: int) -> str:
        """The inbox's name; empty if it is gone."""
        cursor.execute(f"SELECT recipient FROM inboxes WHERE id = {self._mark}", (inbox_id,))
        row = cursor.fetchone()
        return str(row[0]) if row else ""

    def log_size(self, cursor: Any) -> tuple[int, int]:
        """The number of the last segment, and the messages in all."""
        cursor.execute(
            "SELECT coalesce(max(number), 0), coalesce(sum(messages), 0) FROM log_segments WHERE number > 0"
        )
        last, messages = cursor.fetchone()
        return int(last), int(messages)

    def insert_entries(self, cursor: Any, rows: Iterable[tuple[Any, ...]]) -> None:
        """Rows of `queue_entries`: an EntryRow with its attempts, and those that failed."""
        full = [(*row[:4], self._time(row[4]) if row[4] else None, row[5], _json(row[6])) for row in rows]
        self._insert(cursor, QueueEntry.__tablename__, _ENTRY_COLUMNS, full)

    def insert_dead(self, cursor: Any, rows: Sequence[DeadRow]) -> None:
        """Rows of `dead_letters`."""
        full = [(*row[:8], self._time(row.dead_time), _json(row.history)) for row in rows]
        self._insert(cursor, DeadLetter.__tablename__, _DEAD_COLUMNS, full)

    def _insert(self, cursor: Any, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
        for chunk in chunks(rows):
            statement = insert_sql(table, columns, len(chunk), self._mark)
            cursor.execute(statement, list(chain.from_iterable(chunk)))

    def delete_settled(self, cursor: Any, keys: Sequence[EntryKey]) -> None:
        """Entries that are done with."""
        by_inbox: dict[int, list[int]] = {}
        for seq, inbox_id in keys:
            by_inbox.setdefault(inbox_id, []).append(seq)
        for inbox_id, seqs in by_inbox.items():
            for chunk in chunks(seqs):
                marks = ", ".join([self._mark] * len(chunk))
                statement = (
                    f"DELETE FROM queue_entries WHERE message_seq IN ({marks}) AND inbox_id = {self._mark}"
                )
                cursor.execute(statement, [*chunk, inbox_id])

    def update_retried(self, cursor: Any, rows: Sequence[RetryRow]) -> None:
        """Attempts and due time of entries that were given back."""
        mark = self._mark
        statement = (
            f"UPDATE queue_entries SET attempts = {mark}, due_time = {mark}, history = {mark} "
            f"WHERE message_seq = {mark} AND inbox_id = {mark}"
        )
        for attempts, due, seq, inbox_id, history in rows:
            time = self._time(due) if due else None
            cursor.execute(statement, (attempts, time, _json(history), seq, inbox_id))

    def delete_dead(self, cursor: Any, ids: Sequence[str]) -> None:
        """Dead letters that are none any more."""
        for dead_letter_id in ids:
            cursor.execute(f"DELETE FROM dead_letters WHERE id = {self._mark}", (dead_letter_id,))

    def save_inboxes(self, cursor: Any, rows: Iterable[InboxRow]) -> None:
        """New inboxes, and others with their subscriptions as they are now."""
        now = self._time(datetime.now(UTC).timestamp())
        columns = "id, tenant_id, recipient, subscriptions, policy, create_time"
        statement = insert_sql(Inbox.__tablename__, columns, 1, self._mark)
        statement += (
            " ON CONFLICT (id) DO UPDATE SET subscriptions = excluded.subscriptions, policy = excluded.policy"
        )
        for row in rows:
            wanted = json.dumps(row.subscriptions), json.dumps(row.policy._asdict())
            cursor.execute(statement, (row.id, row.tenant_id, row.name, *wanted, now))

    def remove_inboxes(self, cursor: Any, ids: Sequence[int]) -> None:
        """Inboxes, with the entries in them."""
        for inbox_id in ids:
            cursor.execute(f"DELETE FROM queue_entries WHERE inbox_id = {self._mark}", (inbox_id,))
            cursor.execute(f"DELETE FROM inboxes WHERE id = {self._mark}", (inbox_id,))


def _json(history: list[Attempt]) -> str | None:
    return json.dumps(history) if history else None


def chunks(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """The rows in pieces of the sizes in _CHUNKS."""
    place = 0
    for size in _CHUNKS:
        while len(rows) - place >= size:
            yield rows[place : place + size]
            place += size


@lru_cache(maxsize=64)
def insert_sql(table: str, columns: str, rows: int, mark: str) -> str:
    """An INSERT of so many rows."""
    one = f"({', '.join([mark] * (columns.count(',') + 1))})"
    return f"INSERT INTO {table} ({columns}) VALUES {', '.join([one] * rows)}"


def _time_converter(dialect: Dialect) -> Callable[[float], Any]:
    """From epoch seconds to what the driver stores where SQLAlchemy reads a time."""
    process = UtcDateTime().dialect_impl(dialect).bind_processor(dialect)

    def convert(seconds: float) -> Any:
        time = datetime.fromtimestamp(seconds, UTC)
        return process(time) if process else time

    return convert


class _Times(dict[tuple[int, int], Any]):
    """What is stored for a Timestamp's seconds and nanos: messages of a frame have the same."""

    def __init__(self, convert: Callable[[float], Any]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, key: tuple[int, int]) -> Any:
        found = self[key] = self._convert(key[0] + key[1] / 1e9)
        return found


def _columns(row: MessageRow, times: _Times) -> tuple[Any, ...]:
    """What the history is searched by, read from the message."""
    seq, _, tenant_id, body = row
    message = Message.FromString(body)
    time = message.create_time
    return (
        seq,
        message.id,
        tenant_id,
        message.sender,
        message.recipient or None,
        message.topic or None,
        message.type,
        message.run_id or None,
        message.correlation_id or None,
        times[time.seconds, time.nanos],
        body,
    )
