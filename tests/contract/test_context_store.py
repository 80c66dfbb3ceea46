"""Stores of shared context: every backend keeps the same promises."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pentad_common.call import CallContext
from pentad_common.db import Database
from pentad_common.errors import Aborted, InvalidArgument, NotFound, OutOfRange
from pentad_common.ids import new_id
from pentad_common.models import Tenant
from pentad_context.context import Context, Repeatable
from pentad_context.feed import Feed
from pentad_context.model import (
    END,
    Address,
    Compare,
    Condition,
    Delete,
    Entry,
    Get,
    Outcome,
    Position,
    Put,
    Reducer,
    Transaction,
)
from pentad_context.store import Request, Retention
from pentad_context.store.sql import SqlContextStore

MIB = 1024 * 1024


class Clock:
    """Time that tests set."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, **spans: float) -> None:
        """Lets time go by."""
        self.now += timedelta(**spans)


class Shared:
    """A context on a store, and short ways to use it as a client of a tenant."""

    def __init__(self, database: Database, tenant: str) -> None:
        self.clock = Clock()
        self.store = SqlContextStore(database)
        self.context = Context(self.store, Feed(self.store), self.clock)
        self.tenant = tenant
        self.call = CallContext(tenant_id=tenant, key_id="k", role="client")

    async def put(self, key: str, data: bytes = b"x", revision: int | None = None, **options: Any) -> Entry:
        """Writes a key, if it has a revision."""
        compare = None if revision is None else Compare(at(key), Condition.REVISION, revision)
        return await self.context.put(self.call, Put(at(key), "", data, **options), compare)

    async def get(self, key: str, revision: int = 0) -> bytes:
        """The data of a key."""
        return (await self.context.get(self.call, at(key), revision))[0].data

    async def history(self, key: str) -> list[tuple[int, bytes, bool]]:
        """Revision, data and deleted of all changes that are kept, newest first."""
        page, _ = await self.context.history(self.call, at(key), size=1000)
        return [(item.revision, item.data, item.deleted) for item in page.entries]

    async def changes(self, prefix: str, after: int, size: int = 100) -> list[tuple[str, int]]:
        """Key and revision of the changes after a revision, read `size` at a time."""
        position, found, more = Position(after, END), [], True
        while more:
            batch = await self.store.changes(self.tenant, at(prefix), position, size)
            found += [(entry.address.key, entry.revision) for _, entry in batch.items]
            position, more = batch.end, batch.more
        return found


def at(key: str, namespace: str = "", scope: str = "tenant") -> Address:
    """An address."""
    return Address(scope, namespace, key)


@pytest.fixture
def shared(database: Database, tenant: str) -> Shared:
    """A context of the test's own tenant."""
    return Shared(database, tenant)


async def test_life_of_an_entry(shared: Shared) -> None:
    """Revisions count a tenant's changes, versions an entry's since its creation; a removal ends the
    count.
    """
    first = await shared.put("a")
    await shared.put("b")
    second = await shared.put("a", b"y")
    assert (first.revision, first.create_revision, first.version) == (1, 1, 1)
    assert (second.revision, second.create_revision, second.version) == (3, 1, 2)
    assert second.writer == "key:k"
    assert await shared.context.delete(shared.call, at("a")) == (True, 4)
    assert await shared.context.delete(shared.call, at("a")) == (False, 4)
    with pytest.raises(NotFound):
        await shared.get("a")
    third = await shared.put("a", b"z")
    assert (third.revision, third.create_revision, third.version) == (5, 5, 1)
    assert await shared.history("a") == [(5, b"z", False), (4, b"", True), (3, b"y", False), (1, b"x", False)]


async def test_stale_write_is_refused(shared: Shared) -> None:
    """A write with an older revision is ABORTED and tells the present one; revision 0 creates only."""
    await shared.put("a", revision=0)
    with pytest.raises(Aborted) as caught:
        await shared.put("a", b"y", revision=0)
    assert caught.value.reason == "REVISION_CONFLICT"
    assert caught.value.metadata["revision"] == "1"
    with pytest.raises(Aborted):
        await shared.put("new", revision=1)
    with pytest.raises(Aborted):
        await shared.context.delete(shared.call, at("a"), Compare(at("a"), Condition.EXISTS, False))
    assert await shared.get("a") == b"x"
    assert (await shared.put("a", b"y", revision=1)).revision == 2


async def test_parallel_writers_lose_nothing(shared: Shared) -> None:
    """Fifty increments at once make fifty; of fifty creations at once one wins."""
    await asyncio.gather(*(shared.put("n", b"1", reducer=Reducer.INCREMENT) for _ in range(50)))
    assert await shared.get("n") == b"50"
    results = await asyncio.gather(
        *(shared.put("once", revision=0) for _ in range(50)), return_exceptions=True
    )
    assert sum(isinstance(item, Entry) for item in results) == 1
    assert sum(isinstance(item, Aborted) for item in results) == 49


async def test_transaction_is_all_or_nothing(shared: Shared) -> None:
    """All writes of a transaction have one revision; a fault in one undoes all; reads see the writes
    before them.
    """
    await shared.put("a", b"1")
    ops = (Put(at("b"), "", b"2"), Delete(at("a")), Get(at("a")), Get(at("b")))
    compare = Compare(at("a"), Condition.DATA, b"1")
    done = await shared.context.transact(shared.call, Transaction((compare,), ops))
    assert done.succeeded and done.revision == 2
    assert [entry and (entry.revision, entry.deleted) for entry in done.results] == [
        (2, False),
        (2, True),
        None,
        (2, False),
    ]
    other = await shared.context.transact(shared.call, Transaction((compare,), ops, (Get(at("b")),)))
    assert not other.succeeded and other.results[0] is not None and other.revision == 2
    bad = Transaction((), (Put(at("c"), "", b"1"), Put(at("b"), "", b"x", reducer=Reducer.MERGE)))
    with pytest.raises(Exception, match="not JSON"):
        await shared.context.transact(shared.call, bad)
    with pytest.raises(NotFound):
        await shared.get("c")
    with pytest.raises(InvalidArgument, match="twice"):
        await shared.context.transact(shared.call, Transaction((), (Delete(at("b")), Delete(at("b")))))


async def test_older_revisions(shared: Shared) -> None:
    """Get tells what a key was at any revision that is kept: before, between, removed and now."""
    for data in (b"1", b"2"):
        await shared.put("a", data)
        await shared.put("other")
    await shared.context.delete(shared.call, at("a"))
    assert [await shared.get("a", revision) for revision in (1, 2, 3, 4)] == [b"1", b"1", b"2", b"2"]
    with pytest.raises(NotFound):
        await shared.get("a", 5)
    with pytest.raises(NotFound):
        await shared.get("other", 1)
    with pytest.raises(OutOfRange) as caught:
        await shared.get("a", 6)
    assert caught.value.reason == "REVISION_IN_FUTURE"


async def test_ttl(shared: Shared) -> None:
    """An entry that has ended is gone for readers at once, and its end is a change like a removal."""
    await shared.put("a", ttl=timedelta(seconds=5))
    await shared.put("b", ttl=timedelta(seconds=5))
    await shared.put("b")
    shared.clock.pass_time(seconds=5)
    with pytest.raises(NotFound):
        await shared.get("a")
    page, _ = await shared.context.list(shared.call, at(""), size=10)
    assert [entry.address.key for entry in page.entries] == ["b"]
    assert await shared.store.expire(shared.clock.now) == {shared.tenant: 4}
    assert await shared.store.expire(shared.clock.now) == {}
    assert (await shared.history("a"))[0] == (4, b"", True)
    assert await shared.changes("", 3) == [("a", 4)]
    assert await shared.get("b") == b"x"


async def test_list_by_prefix(shared: Shared) -> None:
    """Keys come in the order of their code points, below the prefix, from one scope and namespace, page
    by page.
    """
    keys = ["a", "a/1", "a/2", "a/Z", "a/é", "a/\U0001f642", "a0", "A/1", "a%", "a_"]
    for key in keys:
        await shared.put(key)
    for address in (at("a/9", "writer"), at("a/9", scope="runs/1")):
        call = CallContext(tenant_id=shared.tenant, key_id="k", role="service")
        await shared.context.put(call, Put(address, "", b"x"))
    found, token = [], ""
    while True:
        page, token = await shared.context.list(shared.call, at("a/"), size=2, token=token)
        found += [entry.address.key for entry in page.entries]
        if not token:
            break
    assert found == sorted(key for key in keys if key.startswith("a/"))
    with pytest.raises(InvalidArgument):
        await shared.context.list(shared.call, at("a/"), size=2, token="nonsense")


async def test_pages_fit_a_message(shared: Shared) -> None:
    """Pages and batches of large values stop before a message would be full, and go on after."""
    for index in range(5):
        await shared.put(f"big/{index}", b"x" * MIB)
    page, token = await shared.context.list(shared.call, at("big/"), size=100)
    assert len(page.entries) == 2 and token
    bare, token = await shared.context.list(shared.call, at("big/"), size=100, keys_only=True)
    assert len(bare.entries) == 5 and not token and not any(entry.data for entry in bare.entries)
    assert await shared.changes("big/", 0) == [(f"big/{index}", index + 1) for index in range(5)]
    with pytest.raises(InvalidArgument) as caught:
        await shared.put("big/6", b"x" * (MIB + 1))
    assert caught.value.reason == "VALUE_TOO_LARGE"
    reads = tuple(Get(at(f"big/{index}")) for index in range(5))
    with pytest.raises(InvalidArgument) as caught:
        await shared.context.transact(shared.call, Transaction(then=reads))
    assert caught.value.reason == "TRANSACTION_TOO_LARGE"


async def test_changes_in_order_whatever_the_batch(shared: Shared) -> None:
    """Changes come once and in order, also when a batch ends in the middle of a transaction."""
    keys = [f"k{index}" for index in range(7)]
    await shared.context.transact(
        shared.call, Transaction(then=tuple(Put(at(key), "", b"x") for key in keys))
    )
    await shared.put("other")
    await shared.context.transact(shared.call, Transaction(then=tuple(Delete(at(key)) for key in keys)))
    expected = [(key, 1) for key in keys] + [(key, 3) for key in keys]
    for size in (1, 3, 100):
        assert await shared.changes("k", 0, size) == expected


async def test_repeated_request(shared: Shared) -> None:
    """A repeat has no further effect and gets the same answer; the same id for something else is refused."""

    async def add(key: str, fingerprint: str) -> Entry:
        op = Put(at(key), "", b"1", reducer=Reducer.INCREMENT)
        return await shared.context.put(shared.call, op, None, Repeatable("r", fingerprint))

    first = await add("n", "f")
    await shared.put("n", b"9")
    assert await add("n", "f") == first
    assert await shared.get("n") == b"9"
    with pytest.raises(InvalidArgument) as caught:
        await add("m", "g")
    assert caught.value.reason == "REQUEST_ID_REUSED"
    again = await asyncio.gather(
        *(
            shared.context.transact(
                shared.call,
                Transaction(then=(Put(at("t"), "", b"1", reducer=Reducer.INCREMENT), Get(at("none")))),
                Repeatable("parallel", "h"),
            )
            for _ in range(5)
        )
    )
    assert {(item.revision, item.succeeded) for item in again} == {(again[0].revision, True)}
    assert all(item.results == again[0].results for item in again)
    assert await shared.get("t") == b"1"


async def test_step_that_fails_stores_nothing(shared: Shared) -> None:
    """What raises within a transaction leaves neither changes nor a note of the request."""
    request = Request("w", "r", "f")

    def fail(known: Mapping[Address, Entry], revision: int) -> Outcome:
        raise Aborted("NO", "no")

    with pytest.raises(Aborted):
        await shared.store.transact(shared.tenant, [at("a")], fail, request)
    done = await shared.store.transact(
        shared.tenant, [at("a")], lambda _, revision: Outcome((), revision), request
    )
    assert done.repeated is None and done.outcome.revision == 0


async def test_trim_by_number(shared: Shared) -> None:
    """A key keeps its newest changes; what was before is REVISION_COMPACTED, and what is exact stays
    readable.
    """
    for index in range(6):
        await shared.put("a", b"%d" % index)
    await shared.put("b")
    shared.clock.pass_time(hours=1)
    keep = Retention(per_key=2)
    assert await shared.store.trim(keep, shared.clock.now) == 4
    assert await shared.store.trim(keep, shared.clock.now) == 0
    assert [item[0] for item in await shared.history("a")] == [6, 5]
    assert await shared.get("a", 5) == b"4"
    assert await shared.get("b", 7) == b"x"
    with pytest.raises(OutOfRange) as caught:
        await shared.get("a", 4)
    assert caught.value.reason == "REVISION_COMPACTED"
    assert (await shared.store.changes(shared.tenant, at(""), Position(0, END))).oldest == 4


async def test_trim_spares_what_is_young(shared: Shared) -> None:
    """However many changes a key has, those of the last minutes are kept for watches to resume."""
    for _ in range(3):
        await shared.put("a")
    shared.clock.pass_time(minutes=9)
    await shared.put("a")
    shared.clock.pass_time(minutes=2)
    assert await shared.store.trim(Retention(per_key=1), shared.clock.now) == 3
    assert [item[0] for item in await shared.history("a")] == [4]


async def test_trim_by_age(shared: Shared) -> None:
    """What was history already 30 days ago goes; an entry that has not changed since stays readable at
    its time.
    """
    await shared.put("steady", b"s")
    await shared.put("a", b"1")
    await shared.put("a", b"2")
    await shared.put("gone")
    await shared.context.delete(shared.call, at("gone"))
    shared.clock.pass_time(days=31)
    await shared.put("a", b"3")
    assert await shared.store.trim(Retention(), shared.clock.now) == 3
    assert [item[0] for item in await shared.history("a")] == [6, 3]
    assert await shared.history("gone") == []
    assert await shared.get("steady", 5) == b"s"
    assert await shared.get("a", 5) == b"2"
    with pytest.raises(OutOfRange):
        await shared.get("a", 2)
    with pytest.raises(OutOfRange):
        await shared.get("gone", 4)
    with pytest.raises(NotFound):
        await shared.get("gone", 6)


async def test_tenants_are_apart(shared: Shared, database: Database) -> None:
    """Another tenant has its own revisions and sees none of this one's entries, histories and changes."""
    await shared.put("a", ttl=timedelta(seconds=1))
    other_id = new_id()
    database.run_sync(lambda session: session.add(Tenant(id=other_id, name="o")), tenant=other_id)
    other = Shared(database, other_id)
    with pytest.raises(NotFound):
        await other.get("a")
    assert await other.history("a") == []
    assert await other.changes("", 0) == []
    assert (await other.put("a", revision=0, ttl=timedelta(seconds=1))).revision == 1
    shared.clock.pass_time(seconds=2)
    assert await shared.store.expire(shared.clock.now) == {shared.tenant: 2, other_id: 2}
    assert await shared.store.revisions([shared.tenant, other_id]) == {shared.tenant: 2, other_id: 2}
