"""The newest messages of the history, read from the log while they are not in its tables yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.store.journal import MOST_PAGE_BYTES, HistoryFilter, HistoryRow
from pentad_bus.store.log import newest
from pentad_common.models import LogSegment

_MOST_SEGMENTS = 1000
_MOST_BYTES = 4 * 1024 * 1024
"""Of segments that are read at a time; one always is."""


def recent(
    connection: Any, tenant: str, wanted: HistoryFilter, before: int, most: int
) -> tuple[list[HistoryRow], int | None]:
    """A tenant's messages with a seq below `before`, newest first: at most so many, or one more than fit on a
    page; and the seq below which the tables have the others, None if that is not known because enough were
    found.

    Raises ValueError and the like if the log is damaged.
    """
    found: list[HistoryRow] = []
    size, lowest = 0, before
    for seq, whose, body in _messages(connection):
        lowest = min(lowest, seq)
        if seq < before and whose == tenant and _matches(wanted, body):
            found.append(HistoryRow(seq, body))
            size += len(body)
            if len(found) == most or (size > MOST_PAGE_BYTES and len(found) > 1):
                return found, None
    return found, lowest


def _messages(connection: Any) -> Iterator[tuple[int, str, bytes]]:
    """All that the log has, newest first."""
    before: int | None = None
    while (first := _first(connection, before)) is not None:
        query = select(LogSegment.body).where(LogSegment.number >= first, LogSegment.number > 0)
        if before is not None:
            query = query.where(LogSegment.number < before)
        for body in connection.execute(query.order_by(LogSegment.number.desc())).scalars():
            yield from newest(bytes(body))
        before = first


def _first(connection: Any, before: int | None) -> int | None:
    """The first of the segments before this one that are read together."""
    query = select(LogSegment.number, func.length(LogSegment.body)).where(LogSegment.number > 0)
    if before is not None:
        query = query.where(LogSegment.number < before)
    first, size = None, 0
    for number, length in connection.execute(query.order_by(LogSegment.number.desc()).limit(_MOST_SEGMENTS)):
        size += length
        if first is not None and size > _MOST_BYTES:
            break
        first = number
    return first


def _matches(wanted: HistoryFilter, body: bytes) -> bool:
    """As the reader's query has it."""
    if wanted == _ALL:
        return True
    message = Message.FromString(body)
    agent = wanted.agent
    if (
        (wanted.run_id and message.run_id != wanted.run_id)
        or (wanted.type and message.type != wanted.type)
        or (wanted.correlation_id and message.correlation_id != wanted.correlation_id)
        or (agent and agent not in (message.sender, message.recipient, message.recipient.split("/")[0]))
    ):
        return False
    time = message.create_time
    taken = _time(time.seconds + time.nanos / 1e9)
    return (wanted.start_time is None or taken >= _time(wanted.start_time)) and (
        wanted.end_time is None or taken < _time(wanted.end_time)
    )


_ALL = HistoryFilter()


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
