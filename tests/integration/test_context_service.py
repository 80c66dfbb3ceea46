"""Shared context as a service: over sockets, with real clients, killed and started again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from pentad.context.v1 import context_pb2 as pb
from pentad_client import ClientConfig, Pentad
from pentad_client.context import address as place
from pentad_client.context import put_op
from pentad_client.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PentadError,
    PermissionDenied,
    Unavailable,
)
from pentad_common.db import Database
from pentad_common.ids import new_id
from pentad_common.keys import KeyStore
from pentad_common.models import Tenant
from pentad_context.__main__ import built_server
from pentad_context.settings import ContextSettings
from tests.fixtures.databases import MakeKey
from tests.fixtures.ports import unused_port
from tests.integration.processes import ServiceProcess


@asynccontextmanager
async def serving(database: Database) -> AsyncIterator[str]:
    """The address of a service on the database."""
    url = database.url.render_as_string(False)
    settings = ContextSettings(database_url=url, log_format="json", poll_seconds=0.1)
    async with built_server(settings, database) as server, server.running() as bound:
        yield bound


@pytest.fixture
async def address(database: Database) -> AsyncIterator[str]:
    """The address of a service."""
    async with serving(database) as bound:
        yield bound


@asynccontextmanager
async def client(address: str, key: str) -> AsyncIterator[Pentad]:
    """A client of shared context alone."""
    async with Pentad(ClientConfig(api_key=key, context_address=address)) as pentad:
        yield pentad


@pytest.fixture
async def pentad(address: str, make_key: MakeKey) -> AsyncIterator[Pentad]:
    """A client with a key of role client."""
    async with client(address, await make_key("client")) as opened:
        yield opened


async def take(watch: AsyncIterator[pb.WatchResponse], count: int) -> list[pb.WatchResponse]:
    """The next answers of a watch."""
    async with asyncio.timeout(10):
        return [await anext(watch) for _ in range(count)]


async def test_json_comes_and_goes(pentad: Pentad) -> None:
    """A JSON value is read back as it was put, with its type, writer and times."""
    entry = await pentad.context.put_json("plans/ü", {"steps": [1, 2.5, None]})
    assert entry.content.content_type == "application/json"
    assert entry.writer.startswith("key:")
    assert entry.HasField("update_time") and not entry.HasField("expire_time")
    assert await pentad.context.get_json("plans/ü") == {"steps": [1, 2.5, None]}
    assert await pentad.context.get_json("nothing", default=3) == 3
    with pytest.raises(NotFound) as caught:
        await pentad.context.get("nothing")
    assert caught.value.reason == "KEY_NOT_FOUND"
    text = await pentad.context.put("t", "words", ttl=3600)
    assert text.content.content_type.startswith("text/plain") and text.HasField("expire_time")


async def test_fifty_parallel_increments(pentad: Pentad) -> None:
    """Fifty increments at once make fifty, each at a revision of its own."""
    entries = await asyncio.gather(*(pentad.context.put_json("n", 1, reducer="increment") for _ in range(50)))
    assert await pentad.context.get_json("n") == 50
    assert len({entry.revision for entry in entries}) == 50
    assert [entry.version async for entry in pentad.context.history("n")] == list(range(50, 0, -1))


async def test_compare_and_set(pentad: Pentad) -> None:
    """A stale write and a second creation are ABORTED with the present revision; nothing is lost."""
    first = await pentad.context.put("a", "1", if_revision=0)
    with pytest.raises(Aborted) as caught:
        await pentad.context.put("a", "2", if_revision=0)
    assert (caught.value.reason, caught.value.metadata["revision"]) == (
        "REVISION_CONFLICT",
        str(first.revision),
    )
    second = await pentad.context.put("a", "2", compare=pb.Compare(data=b"1"))
    with pytest.raises(Aborted):
        await pentad.context.delete("a", if_revision=first.revision)
    assert await pentad.context.delete("a", if_revision=second.revision)
    assert not await pentad.context.delete("a")


async def test_wrong_requests(pentad: Pentad) -> None:
    """What is wrong with a request is said by reason, and as a rule by field."""
    cases: list[tuple[object, type[PentadError], str]] = [
        (pentad.context.put("", "x"), InvalidArgument, "KEY_INVALID"),
        (pentad.context.put("a\tb", "x"), InvalidArgument, "KEY_INVALID"),
        (pentad.context.put("k" * 513, "x"), InvalidArgument, "INVALID_REQUEST"),
        (pentad.context.put("a", "x", scope="run"), InvalidArgument, "SCOPE_INVALID"),
        (pentad.context.put("a", "x", ttl=0), InvalidArgument, "INVALID_REQUEST"),
        (pentad.context.put("a", b"x" * (1024 * 1024 + 1)), InvalidArgument, "VALUE_TOO_LARGE"),
        (pentad.context.put("a", "x", reducer="increment"), FailedPrecondition, "REDUCER_MISMATCH"),
        (pentad.context.put("a", "x", compare=pb.Compare()), InvalidArgument, "COMPARE_INVALID"),
        (pentad.context.transact(then=[pb.Op()]), InvalidArgument, "OP_INVALID"),
        (pentad.context.get("a", revision=99), OutOfRange, "REVISION_IN_FUTURE"),
    ]
    for call, kind, reason in cases:
        with pytest.raises(kind) as caught:
            await call  # type: ignore[misc]
        assert caught.value.reason == reason
        assert kind is not InvalidArgument or caught.value.violations


async def test_namespaces(address: str, pentad: Pentad, make_key: MakeKey) -> None:
    """An agent alone reads, writes and watches its namespace; an admin reads it; the global one is
    everyone's.
    """
    async with AsyncExitStack() as stack:

        async def opened(*role: str) -> Pentad:
            key = await make_key(*role)
            return await stack.enter_async_context(client(address, key))

        writer, critic, admin = (
            await opened("agent", "writer"),
            await opened("agent", "critic"),
            await opened("admin"),
        )
        entry = await writer.context.put_json("notes", [1], "writer")
        assert entry.writer == "writer"
        assert await writer.context.get_json("notes", "writer") == [1]
        assert await admin.context.get_json("notes", "writer") == [1]
        for other in (critic, pentad):
            await assert_forbidden(other)
        with pytest.raises(PermissionDenied):
            await admin.context.put_json("notes", [], "writer")
        await critic.context.put_json("shared", 1)
        assert await pentad.context.get_json("shared") == 1


async def assert_forbidden(other: Pentad) -> None:
    """Nothing in namespace `writer` can be had."""
    get = pb.Op(get=place("notes", "writer"))
    calls = (
        other.context.get("notes", "writer"),
        other.context.put("notes", "x", "writer"),
        other.context.delete("notes", "writer"),
        other.context.transact([pb.Compare(address=place("notes", "writer"), exists=True)]),
        other.context.transact(otherwise=[get]),
        anext(aiter(other.context.list("", "writer"))),
        anext(aiter(other.context.history("notes", "writer"))),
        anext(aiter(other.context.watch("", "writer"))),
    )
    for call in calls:
        with pytest.raises(PermissionDenied) as caught:
            await call
        assert caught.value.reason == "NAMESPACE_FORBIDDEN"


async def test_tenants_are_apart(address: str, pentad: Pentad, database: Database) -> None:
    """Another tenant gets, lists and watches nothing of this one's, and counts revisions of its own."""
    other_id = new_id()
    database.run_sync(lambda session: session.add(Tenant(id=other_id, name="o")), tenant=other_id)
    _, key = await KeyStore(database).create(other_id, name="o", role="admin")
    await pentad.context.put("a", "1")
    async with client(address, key) as other:
        watch = aiter(other.context.watch(include_current=True))
        await take(watch, 1)
        with pytest.raises(NotFound):
            await other.context.get("a")
        assert [entry async for entry in other.context.list()] == []
        assert [entry async for entry in other.context.history("a")] == []
        await pentad.context.put("a", "2")
        assert (await other.context.put("b", "1")).revision == 1
        assert (await take(watch, 1))[0].entry.address.key == "b"


async def test_transaction(pentad: Pentad) -> None:
    """Two keys move together, or the other branch tells how they stand."""
    await pentad.context.put_json("from", 5)
    compare = pb.Compare(address=place("from"), data=b"5")
    then = [
        pb.Op(put=put_op(place("from"), b"-3", reducer="increment")),
        pb.Op(put=put_op(place("to"), b"3", reducer="increment")),
    ]
    moved = await pentad.context.transact([compare], then, [pb.Op(get=place("from"))])
    assert moved.succeeded and {item.entry.revision for item in moved.results} == {moved.revision}
    again = await pentad.context.transact([compare], then, [pb.Op(get=place("from")), pb.Op(get=place("x"))])
    assert not again.succeeded
    assert again.results[0].entry.content.data == b"2" and not again.results[1].HasField("entry")


async def test_watch_sees_what_others_do(pentad: Pentad) -> None:
    """A watch says where it begins, then shows puts, deletes and ends of time below its prefix, with
    revisions.
    """
    await pentad.context.put("p/old", "0")
    watch = aiter(pentad.context.watch("p/"))
    [start] = await take(watch, 1)
    assert (start.HasField("entry"), start.revision) == (False, 1)
    await pentad.context.put("p/a", "1", ttl=0.2)
    await pentad.context.put("q", "no")
    await pentad.context.delete("p/old")
    changes = await take(watch, 3)
    assert [(item.entry.address.key, item.entry.deleted, item.revision) for item in changes] == [
        ("p/a", False, 2),
        ("p/old", True, 4),
        ("p/a", True, 5),
    ]
    assert not changes[1].entry.HasField("content")


async def test_watch_from_everywhere(pentad: Pentad) -> None:
    """A watch starts with what is there, after a revision, or after any cursor, always without gap or
    repeat.
    """
    for index in range(250):
        await pentad.context.put(f"k{index:03}", "1")
    then = [pb.Op(put=put_op(place(f"k{index:03}"), "2")) for index in range(3)]
    whole = aiter(pentad.context.watch(include_current=True))
    head = await take(whole, 251)
    await pentad.context.transact(then=then)
    seen = head + await take(whole, 3)
    assert [item.entry.address.key for item in head[1:]] == [f"k{index:03}" for index in range(250)]
    keys = [item.entry.address.key for item in seen]
    changed = keys[251:]
    for cut in (0, 1, 100, 200, 249, 250, 251, 252):
        rest = aiter(pentad.context.watch(after=seen[cut].cursor))
        # What changed before it was sent as present comes as a change only.
        present = [key for key in keys[cut + 1 : 251] if key not in changed]
        expected = present + keys[max(cut + 1, 251) :]
        assert [item.entry.address.key for item in await take(rest, 1 + len(expected))][1:] == expected
    after = aiter(pentad.context.watch(after_revision=249))
    assert [item.entry.revision for item in await take(after, 5)] == [0, 250, 251, 251, 251]
    for wrong in (pentad.context.watch(after="x"), pentad.context.watch(after_revision=999)):
        with pytest.raises((InvalidArgument, OutOfRange)) as caught:
            await anext(aiter(wrong))
        assert caught.value.reason in ("CURSOR_INVALID", "CURSOR_EXPIRED")


async def test_longest_keys(pentad: Pentad) -> None:
    """Keys of 512 characters of four bytes are listed over pages and watched like others."""
    keys = ["\U0001f642" * 509 + f"{index:03}" for index in range(103)]
    for key in keys:
        await pentad.context.put(key, "x")
    assert [entry.address.key async for entry in pentad.context.list(keys_only=True)] == keys
    watch = aiter(pentad.context.watch(include_current=True))
    head = await take(watch, 3)
    rest = aiter(pentad.context.watch(after=head[-1].cursor))
    assert [item.entry.address.key for item in (await take(rest, 102))[1:]] == keys[2:]


async def test_two_services_on_one_database(database: Database, make_key: MakeKey) -> None:
    """A watch at one service sees in order what another one writes; increments at both add up."""
    key = await make_key("client")
    second = Database(database.url.render_as_string(False))
    async with (
        serving(database) as here,
        serving(second) as there,
        client(here, key) as one,
        client(there, key) as two,
    ):
        watch = aiter(one.context.watch())
        await take(watch, 1)
        both = [item.context.put_json("n", 1, reducer="increment") for item in (one, two) for _ in range(20)]
        await asyncio.gather(*both)
        assert [item.entry.revision for item in await take(watch, 40)] == list(range(1, 41))
        assert await two.context.get_json("n") == 40
    second.close()


async def test_watch_over_kills(sqlite_url: str, tmp_path: Path) -> None:
    """With writers all the time and the service killed twice, a watch sees each change once and in order."""
    database = Database(sqlite_url)
    database.run_sync(lambda session: session.add(Tenant(id="t", name="t")), tenant="t")
    _, key = await KeyStore(database).create("t", name="test", role="client")
    database.close()
    service = ServiceProcess("pentad_context", unused_port(), sqlite_url, tmp_path / "log")
    try:
        await service.start()
        assert service.idle_megabytes() < 120
        async with client(service.address, key) as pentad:
            await check_watch_over_kills(pentad, service)
        assert await service.stop() == 0
    finally:
        await service.close()


async def put_at_last(pentad: Pentad, key: str, data: str, reducer: str = "") -> None:
    """Writes once, however often it has to try: the request's id is always the same."""
    request_id = new_id()
    while True:
        try:
            await pentad.context.put(key, data, reducer=reducer, request_id=request_id)
            return
        except Unavailable:
            await asyncio.sleep(0.1)


async def check_watch_over_kills(pentad: Pentad, service: ServiceProcess) -> None:
    """Four writers add 30 each to one counter and to keys of their own."""
    seen: list[pb.Entry] = []
    changes = aiter(pentad.context.watch("w/"))
    await take(changes, 1)

    async def watch() -> None:
        async for item in changes:
            seen.append(item.entry)

    async def write(writer: int) -> None:
        for index in range(30):
            await put_at_last(pentad, "w/sum", "1", reducer="increment")
            await put_at_last(pentad, f"w/{writer}", str(index))
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    writing = asyncio.gather(*(write(writer) for writer in range(4)))
    for _ in range(2):
        await asyncio.sleep(0.3)
        await service.kill()
        await service.start()
    await writing
    assert await pentad.context.get_json("w/sum") == 120
    async with asyncio.timeout(10):
        while len(seen) < 240:  # noqa: ASYNC110 - the watch never ends
            await asyncio.sleep(0.02)
    watching.cancel()
    revisions = [entry.revision for entry in seen]
    assert revisions == sorted(set(revisions))
    sums = [int(entry.content.data) for entry in seen if entry.address.key == "w/sum"]
    assert sums == list(range(1, 121))
