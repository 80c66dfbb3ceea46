"""Stores of the registry: every card store keeps the same promises."""

from __future__ import annotations

import asyncio
from operator import methodcaller

import pytest

from pentad_common.db import Database
from pentad_common.models import Tenant
from pentad_registry.model import Card
from pentad_registry.store import CardStore
from pentad_registry.store.memory import MemoryCardStore
from pentad_registry.store.sql import SqlCardStore

FULL = Card(
    "writer", "1", "Writes.", ("write",), ("prose",), '{"type": "object"}', "true", "agents/writer.py"
)


@pytest.fixture(params=["memory", "sql"])
def cards(request: pytest.FixtureRequest, database: Database) -> CardStore:
    """A store with two tenants, `t` and `u`."""
    for tenant in ("t", "u"):
        row = Tenant(id=tenant, name=tenant)
        database.run_sync(methodcaller("add", row), tenant=tenant)
    return MemoryCardStore() if request.param == "memory" else SqlCardStore(database)


async def test_card_comes_back_whole(cards: CardStore) -> None:
    """A card is read as it was put, for its own tenant only."""
    assert await cards.latest("t") == {}
    stored = await cards.put("t", FULL)
    assert stored == FULL and stored.since is not None
    assert await cards.latest("t") == {"writer": FULL}
    assert await cards.latest("u") == {}


async def test_newest_version_is_the_latest(cards: CardStore) -> None:
    """A new version, or a new text of an old one, becomes the agent's card; putting the same again
    changes nothing.
    """
    await cards.put("t", Card("writer", "1"))
    second = await cards.put("t", Card("writer", "2"))
    await cards.put("t", Card("writer", "1"))
    assert (await cards.latest("t"))["writer"].version == "2"
    assert (await cards.put("t", Card("writer", "2"))).since == second.since
    await cards.put("t", Card("writer", "1", "Now better."))
    assert (await cards.latest("t"))["writer"].description == "Now better."


async def test_forgetting_takes_all_versions(cards: CardStore) -> None:
    """Removing an agent removes all its versions, and only its tenant's."""
    for tenant in ("t", "u"):
        await cards.put(tenant, Card("writer", "1"))
        await cards.put(tenant, Card("writer", "2"))
    assert await cards.remove("t", "writer")
    assert not await cards.remove("t", "writer")
    assert await cards.latest("t") == {}
    assert "writer" in await cards.latest("u")


async def test_concurrent_puts(cards: CardStore) -> None:
    """The same card put by many at once is there once, and a read that races with a put does not hide it."""
    reads = [cards.latest("t") for _ in range(5)]
    puts = [cards.put("t", Card(f"agent-{index % 3}")) for index in range(12)]
    await asyncio.gather(*reads, *puts)
    assert set(await cards.latest("t")) == {"agent-0", "agent-1", "agent-2"}


async def test_cards_outlive_the_process(database: Database) -> None:
    """Another registry on the same database knows the cards; of one that runs it sees news after a moment."""
    database.run_sync(lambda session: session.add(Tenant(id="t", name="t")), tenant="t")
    first, second = SqlCardStore(database, max_age=0.05), SqlCardStore(database, max_age=0.05)
    await first.put("t", FULL)
    assert await second.latest("t") == {"writer": FULL}
    await first.put("t", Card("critic"))
    await asyncio.sleep(0.06)
    assert set(await second.latest("t")) == {"writer", "critic"}
