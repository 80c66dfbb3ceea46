"""What a shell offers for the names of agents and runs. Says nothing rather than fail or take long."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from pentad_client import Pentad

_SECONDS = 1.5
_MOST_RUNS = 30


def agent_names(context: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Live agents; after a comma, those that are not in the list yet."""
    before, comma, begun = incomplete.rpartition(",")
    taken = set(before.split(","))

    async def read(pentad: Pentad) -> list[tuple[str, str]]:
        cards = [agent.card async for agent in pentad.registry.list(live=True)]
        return [(card.name, card.description) for card in cards if card.name not in taken]

    return _items(context, read, begun, before + comma)


def run_ids(context: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest runs."""

    async def read(pentad: Pentad) -> list[tuple[str, str]]:
        from pentad_cli.session import take

        runs = await take(pentad.orchestrator.list_runs(), _MOST_RUNS)
        return [(run.run_id, run.instruction) for run in runs]

    return _items(context, read, incomplete, "")


def _items(context: click.Context, read: object, begun: str, prefix: str) -> list[CompletionItem]:
    import asyncio

    from click.shell_completion import CompletionItem

    from pentad_cli.session import with_pentad

    async def bounded(pentad: Pentad) -> list[tuple[str, str]]:
        async with asyncio.timeout(_SECONDS):
            return await read(pentad)  # type: ignore[operator, no-any-return]

    with contextlib.suppress(Exception), context.scope(cleanup=False):
        found = with_pentad(bounded)
        return [
            CompletionItem(prefix + name, help=text[:60]) for name, text in found if name.startswith(begun)
        ]
    return []
