"""Leases: how instances come, stay, fall silent and go."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pentad_common.call import CallContext
from pentad_common.errors import InvalidArgument, NotFound, PermissionDenied, ResourceExhausted
from pentad_registry.model import Load, Status
from tests.unit.registry.world import ADMIN, World


async def test_silence_makes_suspect_then_gone() -> None:
    """Half a lease without a heartbeat makes an instance SUSPECT, a whole one takes it off the list."""
    world = World()
    lease = await world.register("writer", "a")
    await world.pass_time(4.9)
    assert lease.status(world.time) is Status.ACTIVE
    await world.pass_time(0.2)
    assert lease.status(world.time) is Status.SUSPECT
    await world.pass_time(5)
    assert (await world.parts.directory.agent("acme", "writer")).instances == ()


async def test_heartbeat_renews() -> None:
    """A heartbeat in time keeps the lease and ends a suspicion."""
    world = World()
    lease = await world.register("writer", "a")
    for _ in range(5):
        await world.pass_time(6)
        renewed = await world.beat(lease)
        assert renewed is not None
        assert renewed.status(world.time) is Status.ACTIVE


async def test_heartbeat_of_unknown_instance_is_told_to_register() -> None:
    """A heartbeat after the lease ran out, or to a registry that forgot, is answered with nothing known."""
    world = World()
    lease = await world.register("writer", "a")
    assert await World().beat(lease) is None
    world.time += 10
    assert await world.beat(lease) is None


async def test_epoch_counts_and_fences() -> None:
    """Each registration counts one up, also after the instance was gone; heartbeats of older epochs are
    refused.
    """
    world = World()
    first = await world.register("writer", "a")
    second = await world.register("writer", "a")
    assert (first.epoch, second.epoch) == (1, 2)
    assert await world.beat(first) is None
    assert await world.beat(second) is not None
    await world.registry.deregister(ADMIN, "writer", "a")
    assert (await world.register("writer", "a")).epoch == 3
    assert await world.beat(second) is None


async def test_repeated_request_has_no_further_effect() -> None:
    """Registering twice with one request id gives the same instance and epoch, also when the registry
    names it.
    """
    world = World()
    first = await world.register("writer", request_id="r1")
    again = await world.register("writer", request_id="r1")
    other = await world.register("writer", request_id="r2")
    assert (again.instance, again.epoch) == (first.instance, first.epoch)
    assert other.instance != first.instance
    twins = await asyncio.gather(*(world.register("writer", request_id="r3") for _ in range(5)))
    assert {(item.instance, item.epoch) for item in twins} == {(twins[0].instance, 1)}


async def test_full_instance_is_busy() -> None:
    """An active instance with as much in flight as it can take is BUSY until it has room."""
    world = World()
    lease = await world.register("writer", "a", capacity=2)
    busy = await world.beat(lease, load=Load(2, 2))
    assert busy is not None and busy.status(world.time) is Status.BUSY
    free = await world.beat(lease, load=Load(1, 2))
    assert free is not None and free.status(world.time) is Status.ACTIVE


async def test_status_stays_until_another_is_reported() -> None:
    """A heartbeat without a status leaves the one that was reported."""
    world = World()
    lease = await world.register("writer", "a", reported=Status.STARTING)
    same = await world.beat(lease)
    assert same is not None and same.status(world.time) is Status.STARTING
    ready = await world.beat(lease, reported=Status.ACTIVE)
    assert ready is not None and ready.status(world.time) is Status.ACTIVE


@pytest.mark.parametrize("status", [Status.SUSPECT, Status.GONE])
async def test_only_the_registry_says_suspect_and_gone(status: Status) -> None:
    """An instance cannot report what is the registry's to find out."""
    with pytest.raises(InvalidArgument, match="cannot report") as caught:
        await World().register("writer", "a", reported=status)
    assert caught.value.reason == "STATUS_INVALID"


async def test_grants() -> None:
    """A key registers, keeps alive and deregisters only agents that it may act as; `pentad.*` is for
    services.
    """
    world = World()
    agent = CallContext(tenant_id="acme", key_id="k", role="agent", grants=("writer",))
    lease = await world.register("critic", "a")
    with pytest.raises(PermissionDenied, match="may not act"):
        await world.registry.deregister(agent, "critic", lease.instance)
    with pytest.raises(PermissionDenied):
        await world.register("pentad.orchestrator", "a")


async def test_deregister_and_forget() -> None:
    """An instance leaves at once; with `forget` the agent goes with its last one. Doing it twice is no
    error.
    """
    world = World()
    await world.register("writer", "a")
    await world.register("writer", "b")
    await world.registry.deregister(ADMIN, "writer", "a", forget=True)
    assert [item.instance for item in (await world.parts.directory.agent("acme", "writer")).instances] == [
        "b"
    ]
    await world.registry.deregister(ADMIN, "writer", "b")
    assert (await world.parts.directory.agent("acme", "writer")).instances == ()
    await world.registry.deregister(ADMIN, "writer", "b", forget=True)
    with pytest.raises(NotFound) as caught:
        await world.parts.directory.agent("acme", "writer")
    assert caught.value.reason == "AGENT_NOT_FOUND"


async def test_newest_card_of_live_instances() -> None:
    """An agent is what the newest version among its live instances says; with nobody there, the newest
    known.
    """
    world = World()
    await world.register("writer", "a", version="1")
    await world.register("writer", "b", version="2")
    await world.register("writer", "c", version="1")
    assert (await world.parts.directory.agent("acme", "writer")).card.version == "2"
    await world.registry.deregister(ADMIN, "writer", "b")
    assert (await world.parts.directory.agent("acme", "writer")).card.version == "1"
    await world.pass_time(10)
    assert (await world.parts.directory.agent("acme", "writer")).card.version == "2"


async def test_tenants_do_not_see_each_other() -> None:
    """Agents of the same name in two tenants have nothing to do with each other."""
    world = World()
    await world.register("writer", "a")
    other = replace(ADMIN, tenant_id="other")
    assert await world.parts.directory.agents("other") == []
    await world.registry.deregister(other, "writer", "a", forget=True)
    assert (await world.parts.directory.agent("acme", "writer")).instances


async def test_bound_on_instances() -> None:
    """A tenant cannot fill the registry's memory; renewing what is there is always possible."""
    world = World(most_instances=2)
    await world.register("writer", "a")
    await world.register("writer", "b")
    with pytest.raises(ResourceExhausted):
        await world.register("writer", "c")
    await world.register("writer", "b")


@pytest.mark.parametrize("name", ["a/b", "", " x", "é", "a" * 65])
async def test_instance_names(name: str) -> None:
    """An instance has a name that can stand after the `/` of a bus address; an empty one is filled in."""
    world = World()
    if name:
        with pytest.raises(InvalidArgument):
            await world.register("writer", name)
    else:
        assert (await world.register("writer", name)).instance
