"""Selection: the least busy instance, and a place reserved on it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from pentad_common.errors import NotFound, Unavailable
from pentad_registry.model import Load, Selector, Status
from tests.unit.registry.world import ADMIN, World

WRITER = Selector(name="writer")


async def test_concurrent_callers_spread() -> None:
    """Ten callers at once on five instances get two places on each."""
    world = World()
    for index in range(5):
        await world.register("writer", f"i{index}", capacity=4)
    picked = await asyncio.gather(*(world.parts.places.select("acme", WRITER) for _ in range(10)))
    assert Counter(lease.instance for lease, _ in picked) == {f"i{index}": 2 for index in range(5)}


async def test_no_more_than_capacity() -> None:
    """A full agent is UNAVAILABLE with a hint to come back, until a place is given back or its time is
    over.
    """
    world = World()
    await world.register("writer", "a", capacity=2)
    await world.parts.places.select("acme", WRITER, 5)
    _, place = await world.parts.places.select("acme", WRITER, 5)
    with pytest.raises(Unavailable) as caught:
        await world.parts.places.select("acme", WRITER)
    assert caught.value.reason == "NO_INSTANCE_AVAILABLE"
    assert caught.value.retry_after
    await world.parts.places.release("acme", place.id)
    await world.parts.places.release("acme", place.id)
    await world.parts.places.select("acme", WRITER, 1)
    world.time += 4.5
    await world.parts.places.select("acme", WRITER)


async def test_same_request_same_reservation() -> None:
    """A repeat with the same request id gets the place it has; after its end a new one."""
    world = World()
    await world.register("writer", "a", capacity=9)
    first = await world.parts.places.select("acme", WRITER, 3, "r")
    again = await world.parts.places.select("acme", WRITER, 3, "r")
    assert first[1].id == again[1].id
    assert again[0].reserved(world.time) == 1
    world.time += 4
    assert (await world.parts.places.select("acme", WRITER, 3, "r"))[1].id != first[1].id


async def test_reservation_is_taken_up_by_the_work() -> None:
    """Work that was reserved for counts once: when it shows as in flight its reservation no longer counts."""
    world = World()
    lease = await world.register("writer", "a", capacity=2)
    await world.parts.places.select("acme", WRITER)
    begun = await world.beat(lease, load=Load(1, 2))
    assert begun is not None and begun.reserved(world.time) == 0
    await world.parts.places.select("acme", WRITER)
    with pytest.raises(Unavailable):
        await world.parts.places.select("acme", WRITER)


async def test_reservations_go_with_the_lease() -> None:
    """An instance that is gone takes its reservations along; one that registers again keeps them."""
    world = World()
    lease = await world.register("writer", "a", capacity=2)
    await world.parts.places.select("acme", WRITER, 600)
    again = await world.register("writer", "a", capacity=2)
    assert again.reserved(world.time) == 1
    await world.pass_time(10)
    fresh = await world.register("writer", "a", capacity=2)
    assert fresh.reserved(world.time) == 0
    assert lease.epoch < again.epoch < fresh.epoch


async def test_who_is_not_selected() -> None:
    """Instances that start or drain get no work; unknown agents are NOT_FOUND."""
    world = World()
    await world.register("writer", "a", reported=Status.STARTING)
    draining = await world.register("writer", "b")
    await world.registry.drain("acme", "writer", "b")
    with pytest.raises(Unavailable):
        await world.parts.places.select("acme", WRITER)
    await world.registry.deregister(ADMIN, "writer", draining.instance)
    with pytest.raises(NotFound) as caught:
        await world.parts.places.select("acme", Selector(name="nobody"))
    assert caught.value.reason == "NO_AGENT_MATCHES"


async def test_labels_and_versions_are_the_instances() -> None:
    """An instance fits by its own labels and by the version of the card that it runs."""
    world = World()
    await world.register("writer", "old", 9, version="1", labels={"zone": "x"})
    await world.register("writer", "new", 9, version="2", capabilities=("draw",), labels={"zone": "y"})
    draws = Selector(capabilities=frozenset({"draw"}))
    assert {(await world.parts.places.select("acme", draws))[0].instance for _ in range(4)} == {"new"}
    in_x = Selector(labels={"zone": "x"})
    assert (await world.parts.places.select("acme", in_x))[0].instance == "old"
    with pytest.raises(Unavailable):
        await world.parts.places.select("acme", Selector(labels={"zone": "z"}))


async def test_suspect_is_the_last_choice() -> None:
    """An instance whose heartbeat is late gets work only when nobody else has room."""
    world = World()
    await world.register("writer", "late", 9)
    await world.pass_time(6)
    await world.register("writer", "well", 1)
    assert (await world.parts.places.select("acme", WRITER))[0].instance == "well"
    assert (await world.parts.places.select("acme", WRITER))[0].instance == "late"
