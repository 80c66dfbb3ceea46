"""A command's conversation with a Pentad."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from pentad_cli.instance import find_target

if TYPE_CHECKING:
    from pentad_client import Pentad

Result = TypeVar("Result")
Item = TypeVar("Item")


def with_pentad(action: Callable[[Pentad], Awaitable[Result]]) -> Result:
    """Runs `action(pentad)` with the Pentad that this command is for. Raises UsageProblem NOT_RUNNING."""
    import asyncio

    config = find_target().config()

    async def run() -> Result:
        from pentad_client import Pentad

        async with Pentad(config) as pentad:
            return await action(pentad)

    return asyncio.run(run())


async def take(items: AsyncIterator[Item], limit: int) -> list[Item]:
    """The first `limit` items; all of them when it is 0."""
    taken: list[Item] = []
    async for item in items:
        taken.append(item)
        if len(taken) == limit:
            break
    return taken
