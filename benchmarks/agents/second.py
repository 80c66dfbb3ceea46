"""An agent that does nothing, for benchmarks."""

from __future__ import annotations

from pentad_agents import BaseAgent, Context, Task


class SecondAgent(BaseAgent):
    """Answers at once."""

    name = "second"
    CAPABILITIES = ("nothing",)

    async def execute(self, task: Task, ctx: Context) -> str:
        """Answers."""
        return "done"
