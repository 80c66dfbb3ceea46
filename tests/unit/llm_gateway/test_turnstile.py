"""Places for callers: bounded, fair, never lost."""

from __future__ import annotations

import asyncio

import pytest

from pentad_common.errors import ResourceExhausted
from pentad_llm_gateway.turnstile import Turnstile


async def settle() -> None:
    """Lets everyone who can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


class Crowd:
    """Callers that take a place and keep it until told."""

    def __init__(self, turnstile: Turnstile) -> None:
        self.turnstile = turnstile
        self.inside: list[str] = []
        self.order: list[str] = []
        self.leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        """Callers named `tenant-number` come one after the other."""
        for name in names:
            self.leave[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._visit(name))
            await settle()

    async def go(self, name: str) -> None:
        """One of those inside leaves."""
        self.leave[name].set()
        await settle()

    async def _visit(self, name: str) -> None:
        async with self.turnstile.passed(name.partition("-")[0]):
            self.inside.append(name)
            self.order.append(name)
            await self.leave[name].wait()
        self.inside.remove(name)


@pytest.fixture
def crowd() -> Crowd:
    """A crowd before a turnstile two wide, where four may wait."""
    return Crowd(Turnstile("local", 2, 4))


async def test_as_many_as_there_are_places(crowd: Crowd) -> None:
    """Only so many are inside at once; who leaves makes room for the next."""
    await crowd.come("a-1", "a-2", "a-3")
    assert crowd.inside == ["a-1", "a-2"]
    await crowd.go("a-1")
    assert crowd.inside == ["a-2", "a-3"]


async def test_tenants_take_turns(crowd: Crowd) -> None:
    """A tenant that comes late waits for one of another's callers, not for all of them."""
    await crowd.come("a-1", "a-2", "a-3", "a-4", "b-1")
    for name in ("a-1", "a-2", "a-3"):
        await crowd.go(name)
    assert crowd.order == ["a-1", "a-2", "a-3", "b-1", "a-4"]


async def test_too_many_waiting(crowd: Crowd) -> None:
    """Who would be one too many in the queue is told to come later."""
    await crowd.come("a-1", "a-2", "a-3", "a-4", "a-5", "a-6")
    with pytest.raises(ResourceExhausted) as caught:
        async with crowd.turnstile.passed("b"):
            pass
    assert (caught.value.reason, caught.value.metadata["waiting"]) == ("RATE_LIMITED", "4")
    assert caught.value.retry_after is not None


@pytest.mark.parametrize("together", [False, True])
async def test_who_gives_up_takes_no_place(crowd: Crowd, together: bool) -> None:
    """A caller that gives up, even at the moment its turn comes, leaves its place to the next."""
    await crowd.come("a-1", "a-2", "a-3", "b-1")
    if together:
        crowd.leave["a-1"].set()
        await asyncio.sleep(0)
    crowd.tasks["a-3"].cancel()
    await settle()
    if not together:
        await crowd.go("a-1")
    assert crowd.inside == ["a-2", "b-1"]
    assert crowd.turnstile.waiting == 0
