"""Cards in the database."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pentad_common.clock import utcnow
from pentad_common.db import Database
from pentad_common.models import Agent
from pentad_registry.model import Card


class SqlCardStore:
    """A CardStore on SQLite or PostgreSQL.

    Reads come from memory for up to `max_age` seconds, so that searches and selections need no database; what
    this process writes is seen at once, what others write after that time.
    """

    def __init__(self, database: Database, max_age: float = 1.0) -> None:
        self._database = database
        self._max_age = max_age
        self._writes = 0
        self._cache: dict[str, tuple[float, dict[str, Card]]] = {}

    async def put(self, tenant: str, card: Card) -> Card:
        """As in CardStore."""
        try:
            stored = await self._database.run(lambda session: _put(session, tenant, card), tenant=tenant)
        except IntegrityError:  # another process inserted the same version first: now it is there
            stored = await self._database.run(lambda session: _put(session, tenant, card), tenant=tenant)
        self._writes += 1
        if tenant in self._cache:
            cards = self._cache[tenant][1]
            cards[card.name] = max(stored, cards.get(card.name, stored), key=_since)
        return stored

    async def latest(self, tenant: str) -> Mapping[str, Card]:
        """As in CardStore."""
        while True:
            if tenant in self._cache and time.monotonic() < self._cache[tenant][0]:
                return self._cache[tenant][1]
            writes, started = self._writes, time.monotonic()
            cards = await self._database.read(lambda session: _latest(session, tenant), tenant=tenant)
            if writes == self._writes:  # otherwise it may have missed what was written meanwhile
                self._cache[tenant] = (started + self._max_age, cards)
                return cards

    async def remove(self, tenant: str, name: str) -> bool:
        """As in CardStore."""
        statement = delete(Agent).where(Agent.tenant_id == tenant, Agent.name == name).returning(Agent.id)
        removed = await self._database.run(lambda session: session.scalars(statement).all(), tenant=tenant)
        self._writes += 1
        if tenant in self._cache:
            self._cache[tenant][1].pop(name, None)
        return bool(removed)


def _put(session: Session, tenant: str, card: Card) -> Card:
    where = (Agent.tenant_id == tenant, Agent.name == card.name, Agent.version == card.version)
    row = session.scalar(select(Agent).where(*where))
    if row is None:
        row = Agent(tenant_id=tenant, name=card.name, version=card.version)
        session.add(row)
    elif _card(row) == card:
        return _card(row)
    row.description = card.description
    row.card = {name: getattr(card, name) for name in _IN_JSON}
    row.update_time = utcnow()
    session.flush()
    return replace(card, since=row.update_time)


def _latest(session: Session, tenant: str) -> dict[str, Card]:
    rows = session.scalars(
        select(Agent).where(Agent.tenant_id == tenant).order_by(Agent.update_time, Agent.id)
    )
    return {row.name: _card(row) for row in rows}


_COLUMNS = ("name", "version", "description", "since")
_IN_JSON = [item.name for item in fields(Card) if item.name not in _COLUMNS]


def _card(row: Agent) -> Card:
    values: dict[str, Any] = {name: row.card[name] for name in _IN_JSON if name in row.card}
    values["capabilities"] = tuple(values.get("capabilities", ()))
    values["tags"] = tuple(values.get("tags", ()))
    return Card(row.name, row.version, row.description, since=row.update_time, **values)


def _since(card: Card) -> datetime:
    assert card.since is not None
    return card.since
