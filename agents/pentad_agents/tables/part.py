"""Profiles a piece of a task without holding up anything else."""

from __future__ import annotations

import asyncio
from typing import Any

from pentad_agents.context import Context
from pentad_agents.tables.profile import profile_table
from pentad_agents.task import Part


async def profile_part(part: Part, ctx: Context) -> dict[str, Any]:
    """The profile of one table, computed in a thread that ends soon when the task is cancelled.

    Raises AgentError as `profile_table` does.
    """
    name = part.name or "the table"

    def progress(fraction: float) -> None:
        ctx.progress(fraction, f"reading {name}")

    with await part.open() as file:
        return await asyncio.to_thread(
            profile_table, file, part.name, part.content_type, progress, lambda: ctx.cancelled
        )
