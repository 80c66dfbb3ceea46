"""Batches in both databases: claims, leases and what is settled."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pentad_common.call import CallContext
from pentad_common.db import Database
from pentad_common.errors import NotFound
from pentad_common.ids import new_id
from pentad_common.models import Tenant
from pentad_llm_gateway.batches.model import Batch, Item, NewBatch, Outcome
from pentad_llm_gateway.batches.queue import BatchQueue
from pentad_llm_gateway.batches.store import BatchStore
from pentad_llm_gateway.completion import Usage

CALLER = {"key_id": "abcdefghijkl", "role": "client", "run_id": "run", "agent": None, "grants": ()}
LONG = 60.0


@pytest.fixture
def store(database: Database) -> BatchStore:
    """Batches, as callers see them."""
    return BatchStore(database)


async def add(
    store: BatchStore, tenant: str, items: int = 3, native: bool = False, request_id: str = ""
) -> Batch:
    """A new batch."""
    caller = CallContext(tenant_id=tenant, **CALLER)  # type: ignore[arg-type]
    requests = tuple((f"i{number}", b"request") for number in range(items))
    new = NewBatch(caller, request_id, "", "openai/x", native, requests)
    return await store.add(new, LONG)


def done(number: int) -> Outcome:
    """An answer that cost something."""
    return Outcome(number, "SUCCEEDED", response=b"answer", usage=Usage(3, 4), cost_micros=5)


async def test_a_batch(store: BatchStore, database: Database, tenant: str) -> None:
    """Items are claimed once, settled once, and end the batch with the last of them."""
    batch = await add(store, tenant)
    queue, other = BatchQueue(database, new_id(), LONG), BatchQueue(database, new_id(), LONG)
    assert await queue.items_waiting()
    items = [*await queue.claim_items(2), *await other.claim_items(2)]
    assert [item.number for item in items] == [0, 1, 2]
    assert not await other.claim_items(2) and not await other.items_waiting()
    assert (items[0].caller.key_id, items[0].caller.run_id, items[0].request) == (
        "abcdefghijkl",
        "run",
        b"request",
    )
    assert (await store.get(tenant, batch.id)).state == "RUNNING"
    await queue.settle(batch.id, [done(0), done(1), done(2)])  # the last is the other's
    assert (await store.get(tenant, batch.id)).progress.succeeded == 2
    await other.settle(batch.id, [Outcome(2, "FAILED", error=b"error")])
    await other.settle(batch.id, [done(2)])
    found = await store.get(tenant, batch.id)
    assert (found.state, found.progress.succeeded, found.progress.failed) == ("COMPLETED", 2, 1)
    assert (found.progress.usage, found.progress.cost_micros) == (Usage(6, 8), 10)
    results = await store.results(tenant, batch.id, 10)
    assert [(item.custom_id, item.response, item.error) for item in results] == [
        ("i0", b"answer", None),
        ("i1", b"answer", None),
        ("i2", None, b"error"),
    ]
    assert [item.number for item in await store.results(tenant, batch.id, 1, after=0)] == [1, 2]


async def test_many_claim_at_once(store: BatchStore, database: Database, tenant: str) -> None:
    """However many claim and settle at once, each item is claimed by one, and the batch ends."""
    batch = await add(store, tenant, items=60)
    queues = [BatchQueue(database, new_id(), LONG) for _ in range(6)]

    async def work(queue: BatchQueue) -> list[int]:
        taken: list[int] = []
        while items := await queue.claim_items(3):
            taken += [item.number for item in items]
            await asyncio.gather(*(queue.settle(batch.id, [done(item.number)]) for item in items))
        return taken

    claimed = [number for taken in await asyncio.gather(*map(work, queues)) for number in taken]
    assert sorted(claimed) == list(range(60))
    assert (await store.get(tenant, batch.id)).state == "COMPLETED"


async def claimed(queue: BatchQueue) -> Item:
    """The next item, as soon as there is one."""
    async with asyncio.timeout(20):
        while not (items := await queue.claim_items(1)):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)
        return items[0]


async def test_leases(store: BatchStore, database: Database, tenant: str) -> None:
    """What is held is nobody else's; what a dead holder held is claimed again; its answer is too late."""
    batch = await add(store, tenant, items=2)
    alive, queue = BatchQueue(database, new_id(), LONG), BatchQueue(database, new_id(), LONG)
    dead = BatchQueue(database, new_id(), 0.2)
    await alive.claim_items(1)
    await dead.claim_items(1)
    item = await claimed(queue)
    assert (item.number, item.attempts) == (1, 2)
    await dead.settle(batch.id, [done(1)])
    assert (await store.get(tenant, batch.id)).progress.succeeded == 0
    await queue.put_back(item, 3600)
    assert not await queue.claim_items(1)
    await alive.release()
    item = await claimed(queue)
    assert (item.number, item.attempts) == (0, 1), "what was let go does not count as asked"
    await queue.put_back(item, 0)
    assert (await claimed(alive)).number == 0


async def test_renewal(store: BatchStore, database: Database, tenant: str) -> None:
    """What is renewed stays with its holder beyond the first lease."""
    await add(store, tenant, items=1)
    holder = BatchQueue(database, new_id(), 0.01)
    await holder.claim_items(1)
    holder._lease = timedelta(seconds=LONG)
    await holder.renew()
    await asyncio.sleep(0.02)
    assert not await BatchQueue(database, new_id(), LONG).claim_items(1)


async def test_cancel(store: BatchStore, database: Database, tenant: str) -> None:
    """What waits is cancelled at once; what runs is told of, and ends the batch."""
    batch = await add(store, tenant)
    queue = BatchQueue(database, new_id(), LONG)
    await queue.claim_items(1)
    assert await queue.renew() == (set(), set())
    stopped = await store.cancel(tenant, batch.id, b"why")
    assert (stopped.state, stopped.progress.cancelled) == ("CANCELLING", 2)
    assert await queue.renew() == ({batch.id}, set())
    await queue.settle(batch.id, [done(0)])
    ended = await store.get(tenant, batch.id)
    assert (ended.state, ended.progress.succeeded) == ("CANCELLED", 1)
    assert await store.cancel(tenant, batch.id, b"again") == ended
    untouched = await add(store, tenant)
    assert (await store.cancel(tenant, untouched.id, b"why")).state == "CANCELLED"


async def test_native(store: BatchStore, database: Database, tenant: str) -> None:
    """A batch at a provider is held by one at a time, and due when it says."""
    batch = await add(store, tenant, native=True)
    queue, other = BatchQueue(database, new_id(), LONG), BatchQueue(database, new_id(), LONG)
    assert not await queue.items_waiting()
    assert await queue.natives_due()
    held = await queue.claim_native()
    assert held is not None and held.id == batch.id
    assert await other.claim_native() is None
    await queue.handed_on(batch.id, "theirs")
    assert await queue.renew() == (set(), {batch.id})
    await queue.wait(held, 3600)
    assert await queue.claim_native() is None
    await queue.wait(held, 0)
    assert await other.claim_native() is None, "it is held until it ends, or its holder does"
    assert await queue.claim_native() is not None
    await queue.release()
    again = await other.claim_native()
    assert again is not None and again.provider_batch_id == "theirs"
    await queue.settle(batch.id, [done(0)])
    assert (await store.get(tenant, batch.id)).progress.succeeded == 0, "it is not the holder any more"
    await other.settle(batch.id, [done(number) for number, _ in await other.native_requests(batch.id)])
    assert (await store.get(tenant, batch.id)).state == "COMPLETED"


async def test_tenants(store: BatchStore, database: Database, tenant: str) -> None:
    """Tenants take turns, and see their own batches alone."""
    rival = new_id()
    database.run_sync(lambda session: session.add(Tenant(id=rival, name="rival")), tenant=rival)
    crowd = [await add(store, tenant, items=10) for _ in range(3)]
    await add(store, rival, items=10)
    items = await BatchQueue(database, new_id(), LONG).claim_items(8)
    assert {item.caller.tenant_id for item in items} == {tenant, rival}
    assert [batch.id for batch in await store.page(tenant, 2)] == [batch.id for batch in reversed(crowd)]
    assert [batch.id for batch in await store.page(tenant, 2, crowd[1].id)] == [crowd[0].id]
    with pytest.raises(NotFound):
        await store.get(rival, crowd[0].id)
    with pytest.raises(NotFound):
        await store.results(rival, crowd[0].id, 10)


async def test_same_request(store: BatchStore, tenant: str) -> None:
    """However often and at once it is handed in, the same request id is one batch."""
    found = await asyncio.gather(*(add(store, tenant, request_id="once") for _ in range(8)))
    assert len({batch.id for batch in found}) == 1


async def test_over_its_time(store: BatchStore, database: Database, tenant: str) -> None:
    """What waits in a batch that is over its time ends with it."""
    caller = CallContext(tenant_id=tenant, **CALLER)  # type: ignore[arg-type]
    batch = await store.add(NewBatch(caller, "", "", "openai/x", False, (("a", b"x"),)), 0.01)
    await asyncio.sleep(0.02)
    await BatchQueue(database, new_id(), LONG).give_up(b"late")
    found = await store.get(tenant, batch.id)
    assert (found.state, found.progress.failed) == ("COMPLETED", 1)
    assert await store.purge(0) == 1
