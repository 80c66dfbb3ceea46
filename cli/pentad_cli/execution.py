"""`pentad run` from its request to its outcome."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pentad.orchestrator.v1 import orchestrator_pb2 as proto
from pentad_cli.failure import CliError, Exit
from pentad_cli.files import InputFile
from pentad_cli.follow import follow
from pentad_cli.instance import Target
from pentad_cli.interrupt import Interrupt
from pentad_cli.roster import check_agents
from pentad_cli.run_progress import Progress, showing_progress
from pentad_cli.terminal import say
from pentad_cli.upload import to_parts

if TYPE_CHECKING:
    from pentad_client import Pentad

_CANCEL_SECONDS = 10.0


@dataclass(frozen=True)
class Execution:
    """A run to be started, and how it is to be shown."""

    request: proto.CreateRunRequest
    files: Sequence[InputFile]
    agents: Sequence[str]
    detach: bool = False
    quiet: bool = False


async def execute(pentad: Pentad, target: Target, execution: Execution) -> tuple[proto.Run, bool]:
    """Starts the run and follows it to its end, or, detached, only starts it.

    Also says whether it was interrupted, which cancels the run. Raises CliError INTERRUPTED if that was
    before there was a run.
    """
    with Interrupt() as interrupt:
        starting = asyncio.create_task(_start(pentad, execution))
        if await interrupt.came_before(starting):
            await _give_up(pentad, starting)
        run = starting.result()
        if execution.detach:
            return run, False
        async with showing_progress(run.run_id, execution.quiet) as progress:
            interrupted = await _follow_or_cancel(pentad, target, progress, interrupt)
        return await pentad.orchestrator.get_run(run.run_id), interrupted


async def _start(pentad: Pentad, execution: Execution) -> proto.Run:
    await check_agents(pentad, execution.agents)
    request = execution.request
    request.inputs.extend(await to_parts(pentad, execution.files, execution.quiet))
    request.request_id = uuid.uuid4().hex
    creating = asyncio.create_task(pentad.orchestrator.create_run(request))
    try:
        return await asyncio.shield(creating)
    except asyncio.CancelledError:  # whether there is a run is known when it answers
        run = await creating
        await pentad.orchestrator.cancel_run(run.run_id, "interrupted")
        raise


async def _give_up(pentad: Pentad, starting: asyncio.Task[proto.Run]) -> None:
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError, TimeoutError):
        await asyncio.wait_for(starting, _CANCEL_SECONDS)
    raise CliError("INTERRUPTED", "interrupted; no run goes on", code=Exit.INTERRUPTED)


async def _follow_or_cancel(pentad: Pentad, target: Target, progress: Progress, interrupt: Interrupt) -> bool:
    """Follows the run; whether an interruption cancelled it."""
    following = asyncio.create_task(follow(pentad, target, progress))
    if not await interrupt.came_before(following):
        following.result()
        return False
    run_id = progress.view.run_id
    say(f"interrupted: cancelling run {run_id}")
    await pentad.orchestrator.cancel_run(run_id, "interrupted at the command line")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(following, _CANCEL_SECONDS)
    say(f"run {run_id} is cancelled; take it up again with: pentad runs retry {run_id}")
    return True
