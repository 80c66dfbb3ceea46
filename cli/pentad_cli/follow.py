"""Follows a run to its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pentad_cli.failure import CliError
from pentad_cli.instance import Target
from pentad_cli.run_progress import Progress

if TYPE_CHECKING:
    from pentad_client import Pentad

_LOOK_SECONDS = 1.0
_LOOKS = 3


async def follow(pentad: Pentad, target: Target, progress: Progress) -> None:
    """Shows the run's events until its last one; a service that is down for a while is waited for.

    Raises CliError PENTAD_STOPPED if the whole Pentad was stopped meanwhile.
    """
    events = asyncio.create_task(_events(pentad, progress))
    stopped = asyncio.create_task(_stopped(target))
    try:
        done, _ = await asyncio.wait([events, stopped], return_when=asyncio.FIRST_COMPLETED)
        if events in done:
            events.result()
            return
        raise CliError(
            "PENTAD_STOPPED",
            f"Pentad was stopped while run {progress.view.run_id} was under way",
            f"It goes on at the next `pentad up`; see `pentad runs watch {progress.view.run_id}` then.",
        )
    finally:
        events.cancel()
        stopped.cancel()


async def _events(pentad: Pentad, progress: Progress) -> None:
    async for event in pentad.orchestrator.watch_run(progress.view.run_id):
        progress.apply(event)


async def _stopped(target: Target) -> None:
    """Returns when the Pentad of this machine has been gone for a while; never for one elsewhere."""
    looks = 0
    while looks < _LOOKS:
        await asyncio.sleep(_LOOK_SECONDS)
        gone = target.state is not None and target.state.holder() is None
        looks = looks + 1 if gone else 0
