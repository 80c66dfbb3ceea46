"""Reads the history across the log and the tables: who asks right after a burst does not wait until all of it
is in the tables.
"""

from __future__ import annotations

from sqlalchemy import Engine

from pentad_bus.store.journal import HistoryFilter, HistoryRow, Page, fitting
from pentad_bus.store.reader import SqlReader
from pentad_bus.store.recent import recent
from pentad_common.db import ALL_TENANTS
from pentad_common.errors import Unavailable

_NEVER = 1 << 62
"""A seq that none will have."""
_CATCH_UP_MESSAGES = 1024


class LogReader(SqlReader):
    """The reading side of a journal with a log, which `archive` takes into the tables."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._last = self._archived = 0
        """Numbers of the log's last segment, and of the last that the tables have."""
        self._behind = 0

    def archive(self, most: int) -> int:
        """Takes the oldest of the log, about `most` messages, into the tables; how many are left."""
        raise NotImplementedError

    def catch_up(self) -> None:
        """Sees to it that the tables have all that is stored so far."""
        last = self._last
        while self._archived < last:
            self.archive(_CATCH_UP_MESSAGES)

    def history(
        self, tenant: str, wanted: HistoryFilter, *, before: int | None, limit: int
    ) -> Page[HistoryRow]:
        """Messages with a seq below `before`, newest first. What the tables do not have is read from the log:
        who looks at the newest after a burst waits for nothing, and holds up no writer.
        """
        if self._archived >= self._last:
            return super().history(tenant, wanted, before=before, limit=limit)
        try:
            with self._connect(ALL_TENANTS) as connection:
                found, rest = recent(
                    connection, tenant, wanted, _NEVER if before is None else before, limit + 1
                )
        except Unavailable:
            raise
        except Exception:  # damaged: it is sifted
            self.catch_up()
            found, rest = [], before
        older: Page[HistoryRow] = Page([], False)
        if rest is not None or not found:
            older = super().history(tenant, wanted, before=rest, limit=max(0, limit - len(found)))
        rows = [*found, *older.rows]
        count = fitting((len(row.body) for row in rows), limit)
        return Page(rows[:count], older.more or count < len(rows))

    def after(
        self, tenant: str, wanted: HistoryFilter, *, seq: int, upto: int, limit: int
    ) -> Page[HistoryRow]:
        """Messages with a seq above `seq` and not above `upto`, oldest first.

        No more of the log is taken into the tables than the page needs; writers have their turns in between.
        """
        last, rows = self._last, list[HistoryRow]()
        if self._behind <= _CATCH_UP_MESSAGES:
            self.catch_up()
        while True:
            complete = self._archived >= last  # before it is read: another may archive meanwhile
            newest = 0 if complete else self.newest_seq()
            page = super().after(tenant, wanted, seq=seq, upto=upto, limit=limit - len(rows))
            rows += page.rows
            if page.more or complete:
                count = fitting((len(row.body) for row in rows), limit)
                return Page(rows[:count], page.more or count < len(rows))
            seq = max(seq, newest, *(row.seq for row in page.rows[-1:]))
            self.archive(_CATCH_UP_MESSAGES)
