"""Watches: what is there, then every change, resumable from any item."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pentad_common.errors import InvalidArgument, OutOfRange
from pentad_registry.keepalive import Answer, KeepAlive
from pentad_registry.model import Change, ChangeKind
from pentad_registry.registry import Heartbeat
from pentad_registry.store import memory
from tests.unit.registry.world import ADMIN, World


async def take(items: AsyncIterator[Any], count: int) -> list[Any]:
    """The next items, each within a second."""
    return [await asyncio.wait_for(anext(items), 1) for _ in range(count)]


def shown(change: Change) -> tuple[str, str, list[str]]:
    """A change in short."""
    agent = change.agent
    name = agent.card.name if agent else ""
    states = [lease.status(change.time).value for lease in agent.instances] if agent else []
    return change.kind.value, name, states


async def test_present_then_changes() -> None:
    """A watch begins with all agents by name and SYNCED, then shows each change of an agent, instance
    or status.
    """
    world = World()
    await world.register("b", "1")
    await world.register("a", "1")
    watch = world.parts.watches.changes("acme")
    first = await take(watch, 3)
    assert [shown(change) for change, _ in first] == [
        ("updated", "a", ["active"]),
        ("updated", "b", ["active"]),
        ("synced", "", []),
    ]
    await world.pass_time(6)
    await world.pass_time(5)
    await world.registry.deregister(ADMIN, "a", "1", forget=True)
    rest = [shown(change) for change, _ in await take(watch, 5)]
    assert sorted(rest[:2]) == [("updated", "a", ["suspect"]), ("updated", "b", ["suspect"])]
    assert sorted(rest[2:4]) == [("updated", "a", []), ("updated", "b", [])]
    assert rest[4] == ("removed", "a", [])


async def test_load_alone_is_no_change() -> None:
    """Heartbeats that change no status are not shown."""
    world = World()
    lease = await world.register("a", "1", capacity=5)
    position = await world.live.position("acme")
    await world.beat(lease)
    assert await world.live.position("acme") == position


async def test_resume_anywhere() -> None:
    """Whatever item a watch is cut after, the rest from its cursor is the same."""
    world = World()
    for name in ("a", "b", "c"):
        await world.register(name, "1")
    watch = world.parts.watches.changes("acme")
    head = await take(watch, 4)
    for name in ("d", "e"):
        await world.register(name, "1")
    whole = head + await take(watch, 2)
    for index, (_, cursor) in enumerate(whole[:-1]):
        resumed = world.parts.watches.changes("acme", cursor)
        rest = await take(resumed, len(whole) - index - 1)
        live = [shown(change)[:2] for change, _ in rest if change.kind is not ChangeKind.SYNCED]
        expected = [
            shown(change)[:2] for change, _ in whole[index + 1 :] if change.kind is not ChangeKind.SYNCED
        ]
        assert live == expected if index >= 3 else set(live) >= set(expected)


async def test_cursor_of_another_registry_has_expired() -> None:
    """A restarted registry cannot resume, nor can one whose log has moved on; both say what can be had."""
    world, other = World(), World()
    await world.register("a", "1")
    await other.register("a", "1")
    _, cursor = (await take(world.parts.watches.changes("acme"), 2))[-1]
    with pytest.raises(OutOfRange) as caught:
        await take(other.parts.watches.changes("acme", cursor), 1)
    assert caught.value.reason == "CURSOR_EXPIRED"
    await take(other.parts.watches.changes("acme", caught.value.metadata["oldest"]), 1)


async def test_log_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher that falls behind further than the log is long gets CURSOR_EXPIRED instead of a gap."""
    monkeypatch.setattr(memory, "LOG_LENGTH", 3)
    world = World()
    watch = world.parts.watches.changes("acme")
    await take(watch, 1)
    for index in range(4):
        await world.register("a", str(index))
    with pytest.raises(OutOfRange):
        await take(watch, 1)


@pytest.mark.parametrize("cursor", ["x", "W10", "", "WyJhZ2VudHMiLDEsMl0"])
async def test_malformed_cursor(cursor: str) -> None:
    """What is no cursor is INVALID_ARGUMENT; an empty one begins anew."""
    watch = World().parts.watches.changes("acme", cursor)
    if cursor:
        with pytest.raises(InvalidArgument):
            await take(watch, 1)
    else:
        assert (await take(watch, 1))[0][0].kind is ChangeKind.SYNCED


async def test_drain_order_comes_out_of_turn() -> None:
    """A KeepAlive stream gets the order to drain at once, for its own instances only, and with each
    answer after.
    """
    world = World()
    mine, _ = await world.register("a", "1"), await world.register("a", "2")
    beats: asyncio.Queue[Heartbeat] = asyncio.Queue()

    async def sent() -> AsyncIterator[Heartbeat]:
        while True:
            yield await beats.get()

    answers = KeepAlive(world.registry, world.parts.watches, world.live, ADMIN).answers(sent())
    await beats.put(Heartbeat("a", "1", mine.epoch))
    [first] = await take(answers, 1)
    assert not first.lease.drain_ordered
    assert await world.registry.drain("acme", "a") == 2
    [order] = await take(answers, 1)
    assert (order.instance, order.lease.drain_ordered) == ("1", True)
    await beats.put(Heartbeat("a", "1", mine.epoch))
    [again] = await take(answers, 1)
    assert again.lease.drain_ordered
    await beats.put(Heartbeat("a", "1", mine.epoch + 1))
    assert await take(answers, 1) == [Answer("a", "1", None)]
