"""Keeps what agents raise from reaching the event loop: asyncio lets SystemExit and KeyboardInterrupt end the
program."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Value = TypeVar("Value")


class AgentExit(Exception):
    """An agent tried to end the program."""


async def guarded(work: Awaitable[Value]) -> Value:
    """Awaits the work of an agent. What is neither an Exception nor a cancellation becomes AgentExit."""
    try:
        return await work
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:
        raise AgentExit(f"{type(error).__name__}: {error}") from error
