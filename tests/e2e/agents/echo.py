"""Says what it was given."""

from __future__ import annotations

from typing import Any

from pentad_agents import BaseAgent, Context, Task


class Echo(BaseAgent):
    """Says what it was given."""

    CAPABILITIES = ("echo",)

    async def execute(self, task: Task, ctx: Context) -> dict[str, Any]:
        """Everything a test may want to see of a task."""
        return {
            "instruction": task.instruction,
            "files": {part.name: [part.size, part.content_type] for part in task.inputs},
            "previous": [step.step for step in task.previous],
            "failed": [step.step for step in task.previous if step.failed],
            "parameters": dict(task.parameters),
        }
