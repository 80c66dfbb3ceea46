"""Agents that fail, and outputs that are not text."""

from __future__ import annotations

import os

from pentad_agents import AgentError, BaseAgent, Context, Output, Task


class Refuser(BaseAgent):
    """Never does anything."""

    CAPABILITIES = ("refuse",)

    async def execute(self, task: Task, ctx: Context) -> str:
        """Refuses."""
        raise AgentError("NOT_TODAY", "this agent never does anything")


class Flaky(BaseAgent):
    """Fails at first."""

    CAPABILITIES = ("flake",)

    async def execute(self, task: Task, ctx: Context) -> str:
        """Succeeds at the second attempt."""
        if task.attempt == 1:
            raise RuntimeError("the first time never works")
        return f"done at attempt {task.attempt}"


class Bulky(BaseAgent):
    """Says a lot."""

    CAPABILITIES = ("bulk",)

    async def execute(self, task: Task, ctx: Context) -> Output:
        """A megabyte of text, or, on request, of bytes."""
        if "binary" in task.parameters:
            return Output(os.urandom(1000), "noise.bin")
        return Output("0123456789abcdef" * 65536, "long.txt")
