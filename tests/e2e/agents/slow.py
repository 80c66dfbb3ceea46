"""Takes its time."""

from __future__ import annotations

import asyncio

from pentad_agents import BaseAgent, Context, Task


class Slow(BaseAgent):
    """Takes as many seconds as its parameter `seconds` says."""

    CAPABILITIES = ("wait",)

    async def execute(self, task: Task, ctx: Context) -> str:
        """Sleeps, with progress."""
        seconds = float(task.parameters.get("seconds", "2"))
        for tenth in range(10):
            ctx.progress(tenth / 10, f"part {tenth + 1} of 10")
            await asyncio.sleep(seconds / 10)
        return "slept"
