"""The registry as a service: over sockets, with real clients, killed and started again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from pentad.registry.v1 import registry_pb2 as pb
from pentad_client import ClientConfig, Pentad
from pentad_client.errors import InvalidArgument, NotFound, PermissionDenied, Unavailable
from pentad_client.registry import Registration, selector
from pentad_common.db import Database
from pentad_common.ids import new_id
from pentad_common.keys import KeyStore
from pentad_common.models import Tenant
from pentad_registry.__main__ import build_server
from pentad_registry.settings import RegistrySettings
from tests.fixtures.databases import MakeKey
from tests.fixtures.ports import unused_port
from tests.integration.processes import ServiceProcess

WRITER = pb.AgentCard(name="writer", version="1", capabilities=["write"])


@pytest.fixture
async def address(database: Database) -> AsyncIterator[str]:
    """The address of a registry whose leases last a second."""
    settings = RegistrySettings(
        database_url=database.url.render_as_string(False), log_format="json", lease_seconds=1
    )
    server, parts = build_server(settings, database)
    async with parts.running(), server.running() as bound:
        yield bound


@asynccontextmanager
async def client(address: str, key: str) -> AsyncIterator[Pentad]:
    """A client of the registry alone."""
    async with Pentad(ClientConfig(api_key=key, registry_address=address)) as pentad:
        yield pentad


@pytest.fixture
async def pentad(address: str, make_key: MakeKey) -> AsyncIterator[Pentad]:
    """A client with an admin key."""
    async with client(address, await make_key("admin")) as opened:
        yield opened


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    """Asks again and again until the answer is yes."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.02)


async def live_instances(pentad: Pentad, name: str) -> dict[str, pb.AgentInstance]:
    """An agent's instances, by name."""
    return {item.instance: item for item in (await pentad.registry.get(name)).instances}


async def test_registration_lasts_as_long_as_it_is_open(pentad: Pentad) -> None:
    """A registration outlives its lease many times by heartbeats, and ends at once when closed."""
    registration = await pentad.registry.register(WRITER, "a", capacity=3, labels={"zone": "x"})
    await asyncio.sleep(1.5)
    instance = (await live_instances(pentad, "writer"))["a"]
    assert instance.status == pb.INSTANCE_STATUS_ACTIVE
    assert dict(instance.labels) == {"zone": "x"}
    await registration.close()
    assert await live_instances(pentad, "writer") == {}
    assert [agent.card.name async for agent in pentad.registry.list()] == ["writer"]
    assert [agent async for agent in pentad.registry.list(live=True)] == []


async def test_load_reaches_the_registry(pentad: Pentad) -> None:
    """What an instance reports is seen at once by those who ask."""
    async with await pentad.registry.register(WRITER, "a", capacity=2) as registration:
        registration.report(in_flight=2, queue_age=1.5)

        async def busy() -> bool:
            return (await live_instances(pentad, "writer"))["a"].status == pb.INSTANCE_STATUS_BUSY

        await until(busy)
        load = (await live_instances(pentad, "writer"))["a"].load
        assert (load.in_flight, load.capacity, load.queue_age.ToMilliseconds()) == (2, 2, 1500)


async def test_silent_client_is_gone(address: str, pentad: Pentad, make_key: MakeKey) -> None:
    """An instance whose client vanished without a word is SUSPECT, then gone, and a watch tells it."""
    async with client(address, await make_key("agent", "writer")) as other:
        await other.registry.register(WRITER, "a")
    seen = []
    async with asyncio.timeout(5):
        async for change in pentad.registry.watch():
            seen.append([pb.InstanceStatus.Name(item.status)[16:] for item in change.agent.instances])
            if change.type == pb.WatchAgentsResponse.TYPE_UPDATED and not change.agent.instances:
                break
    assert seen == [["ACTIVE"], [], ["SUSPECT"], []]


async def test_ten_concurrent_callers_spread(pentad: Pentad) -> None:
    """Ten selections at once over five instances take two places on each."""
    async with AsyncExitStack() as stack:
        for index in range(5):
            registration = await pentad.registry.register(WRITER, f"i{index}", capacity=2)
            await stack.enter_async_context(registration)
        wanted = selector(capabilities=["write"])
        answers = await asyncio.gather(*(pentad.registry.select(wanted) for _ in range(10)))
        assert Counter(item.instance.instance for item in answers) == {f"i{index}": 2 for index in range(5)}
        with pytest.raises(Unavailable) as caught:
            await pentad.registry.select(wanted)
        assert caught.value.reason == "NO_INSTANCE_AVAILABLE"
        assert caught.value.retry_after
        await pentad.registry.release(answers[0].reservation_id)
        assert (await pentad.registry.select(wanted)).instance.instance == answers[0].instance.instance


async def test_drain_calls_back(pentad: Pentad) -> None:
    """An order to drain reaches the agent out of turn; it may close itself, and gets no new work
    meanwhile.
    """
    ordered = asyncio.Event()

    async def leave(registration: Registration) -> None:
        ordered.set()
        await registration.close()

    await pentad.registry.register(WRITER, "a", on_drain=leave)
    async with await pentad.registry.register(WRITER, "b") as staying:
        assert await pentad.registry.drain("writer", "a") == 1
        async with asyncio.timeout(0.5):
            await ordered.wait()

        async def left() -> bool:
            return set(await live_instances(pentad, "writer")) == {"b"}

        await until(left)
        assert await pentad.registry.drain("writer") == 1
        assert (await live_instances(pentad, "writer"))["b"].status == pb.INSTANCE_STATUS_DRAINING
        assert staying.instance == "b"
    with pytest.raises(NotFound):
        await pentad.registry.drain("nobody")


async def test_what_keys_may_do(address: str, pentad: Pentad, make_key: MakeKey) -> None:
    """An agent key registers only the agents it names; clients look but do not register; drain is for
    admins.
    """
    async with (
        client(address, await make_key("agent", "writer")) as agent,
        await agent.registry.register(WRITER, "a"),
    ):
        with pytest.raises(PermissionDenied) as caught:
            await agent.registry.register(pb.AgentCard(name="critic"))
        assert caught.value.reason == "AGENT_NOT_GRANTED"
        with pytest.raises(PermissionDenied):
            await agent.registry.drain("writer")
    async with client(address, await make_key("client")) as reader:
        assert (await reader.registry.get("writer")).card.capabilities == ["write"]
        with pytest.raises(PermissionDenied):
            await reader.registry.register(WRITER)
    with pytest.raises(PermissionDenied):
        await pentad.registry.register(pb.AgentCard(name="pentad.writer"))
    with pytest.raises(InvalidArgument) as invalid:
        await pentad.registry.register(pb.AgentCard(name="a", input_schema='{"type": 1}'))
    assert invalid.value.reason == "INVALID_SCHEMA"


async def test_tenants_are_apart(address: str, pentad: Pentad, database: Database) -> None:
    """Another tenant finds, selects, watches and lists nothing of this one's."""
    other_id = new_id()
    database.run_sync(lambda session: session.add(Tenant(id=other_id, name="o")), tenant=other_id)
    _, key = await KeyStore(database).create(other_id, name="o", role="admin")
    async with await pentad.registry.register(WRITER, "a"), client(address, key) as other:
        await pentad.registry.report_files(
            "host", [pb.AgentFile(path="a.py", status=pb.AgentFile.STATUS_LOADED)]
        )
        assert [agent async for agent in other.registry.list()] == []
        assert await other.registry.find(selector()) == ()
        assert await other.registry.list_files() == ()
        first = await anext(aiter(other.registry.watch()))
        assert first.type == pb.WatchAgentsResponse.TYPE_SYNCED
        with pytest.raises(NotFound):
            await other.registry.select(selector(name="writer"))
        await other.registry.deregister("writer", "a", forget=True)
        assert "a" in await live_instances(pentad, "writer")


async def test_files_are_forgotten_with_their_host(pentad: Pentad) -> None:
    """A report replaces the one before, is listed by host and path, and goes when the host falls silent."""
    broken = pb.AgentFile(
        path="b.py",
        status=pb.AgentFile.STATUS_FAILED,
        reason="SYNTAX_ERROR",
        message="line 3",
        detail="Trace",
    )
    loaded = pb.AgentFile(path="a.py", status=pb.AgentFile.STATUS_LOADED, agents=["writer"])
    assert 0 < await pentad.registry.report_files("h2", [broken]) < 1
    await pentad.registry.report_files("h1", [broken, loaded])
    found = await pentad.registry.list_files()
    assert [(item.host, item.path) for item in found] == [("h1", "a.py"), ("h1", "b.py"), ("h2", "b.py")]
    assert (found[1].reason, found[1].message, found[1].detail) == ("SYNTAX_ERROR", "line 3", "Trace")
    await pentad.registry.report_files("h1", [loaded])
    assert len(await pentad.registry.list_files()) == 2

    async def forgotten() -> bool:
        return await pentad.registry.list_files() == ()

    await until(forgotten, 3)


async def test_pages(pentad: Pentad) -> None:
    """Agents are listed by name over any number of pages."""
    names = [f"agent-{index:03}" for index in range(105)]
    for name in names:
        await pentad.registry.register(pb.AgentCard(name=name), "a")
    assert [agent.card.name async for agent in pentad.registry.list()] == names
    for name in names:
        await pentad.registry.deregister(name, "a")


async def test_killed_registry(sqlite_url: str, tmp_path: Path) -> None:
    """After kill -9 agents register again by themselves, watches go on, cards are still known."""
    database = Database(sqlite_url)
    database.run_sync(lambda session: session.add(Tenant(id="t", name="t")), tenant="t")
    _, key = await KeyStore(database).create("t", name="test", role="admin")
    database.close()
    service = ServiceProcess(
        "pentad_registry", unused_port(), sqlite_url, tmp_path / "log", lease_seconds="2"
    )
    try:
        await service.start()
        async with client(service.address, key) as pentad:
            await check_comeback(pentad, service)
        assert await service.stop() == 0
    finally:
        await service.close()


async def check_comeback(pentad: Pentad, service: ServiceProcess) -> None:
    """Kills the registry under two registrations and a watch."""
    seen: list[pb.WatchAgentsResponse] = []

    async def watch() -> None:
        async for change in pentad.registry.watch():
            seen.append(change)

    watching = asyncio.create_task(watch())
    gone = await pentad.registry.register(pb.AgentCard(name="gone"), "a")
    await gone.close()
    async with (
        await pentad.registry.register(WRITER, "a") as first,
        await pentad.registry.register(WRITER, "b"),
    ):
        first.report(in_flight=1, capacity=4)
        await service.kill()
        count = len(seen)
        await service.start()

        async def back() -> bool:
            found = await live_instances(pentad, "writer")
            return set(found) == {"a", "b"} and found["a"].load.in_flight == 1

        await until(back, 10)
        assert (await pentad.registry.get("gone")).card.name == "gone"

        async def resumed() -> bool:
            kinds = {item.type for item in seen[count:]}
            return pb.WatchAgentsResponse.TYPE_SYNCED in kinds

        await until(resumed)
        assert service.idle_megabytes() < 120
    watching.cancel()
