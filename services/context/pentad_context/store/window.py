"""A window on rows: as many as asked for, and no more bytes than a message can carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, defer

from pentad_common.models import ContextEntry, ContextHistory
from pentad_context.model import Entry
from pentad_context.store.rows import Row, to_entry

PAGE_BYTES = 3 * 1024 * 1024
"""What a page holds at most, so that it fits a message of 4 MiB."""

ROW_BYTES = 3 * 1024
"""What an entry takes beside its data, at most: its key has 512 characters of up to 4 bytes."""


@dataclass(frozen=True)
class Window:
    """The first `size` rows of `table` that meet `where`, in `order`."""

    table: type[ContextEntry] | type[ContextHistory]
    where: ColumnElement[bool]
    order: Sequence[Any]
    size: int
    keys_only: bool = False

    def read(self, session: Session) -> tuple[list[Entry], bool]:
        """The entries, and whether there are more."""
        rows, more = self.read_rows(session)
        return [to_entry(row, with_data=not self.keys_only) for row in rows], more

    def read_rows(self, session: Session) -> tuple[list[Row], bool]:
        """The rows, and whether there are more. How long their data are is looked at before they are
        loaded.
        """
        length = func.length(self.table.data)
        query = select(self.table.id, length).where(self.where).order_by(*self.order).limit(self.size + 1)
        found = [(row_id, size or 0) for row_id, size in session.execute(query)]
        chosen = found[: self._fitting([size for _, size in found])]
        load = (
            select(self.table)
            .where(self.table.id.in_([row_id for row_id, _ in chosen]))
            .order_by(*self.order)
        )
        if self.keys_only:
            load = load.options(defer(self.table.data))
        return (list(session.scalars(load)) if chosen else []), len(chosen) < len(found)

    def _fitting(self, sizes: Sequence[int]) -> int:
        """How many of the rows fit; at least one, if there is one."""
        total = 0
        for count, size in enumerate(sizes[: self.size]):
            total += ROW_BYTES + (0 if self.keys_only else size)
            if total > PAGE_BYTES and count:
                return count
        return min(len(sizes), self.size)
