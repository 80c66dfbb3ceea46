"""Frames of a stream, fewer of them when they come faster than they can be sent.

What comes while the last frame is under way goes out as the next one: no timer, and no delay at light load.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from pentad_llm_gateway.completion import ReasoningDelta, TextDelta, ToolCallDelta
from pentad_llm_gateway.replies import Frame

_MOST_WAITING = 64 * 1024
"""Characters. A caller that does not read makes the provider wait, as it would without this."""


def joined(first: Frame, second: Frame) -> Frame | None:
    """Both deltas as one; None if they have to stay two."""
    match first, second:
        case TextDelta(), TextDelta():
            return TextDelta(first.text + second.text)
        case ToolCallDelta(), ToolCallDelta(id="", name="") if first.index == second.index:
            return replace(first, arguments=first.arguments + second.arguments)
        case ReasoningDelta(redacted=""), ReasoningDelta(redacted="") if _one_thought(first, second):
            return replace(second, text=first.text + second.text)
        case _:
            return None


def _one_thought(first: ReasoningDelta, second: ReasoningDelta) -> bool:
    """Whether they belong together: a signature ends a thought."""
    return first.index == second.index and not first.signature


async def coalesced(frames: AsyncGenerator[Frame, None]) -> AsyncGenerator[Frame, None]:
    """The same frames, deltas joined. Closes `frames` when it is closed; raises what they raise, after what
    came before."""
    waiting = _Waiting()
    gathering = asyncio.create_task(waiting.gather(frames))
    gathering.add_done_callback(waiting.end)
    try:
        while await waiting.any():
            yield waiting.next()
        await gathering
    finally:
        gathering.cancel()
        await asyncio.wait({gathering})
        if not gathering.cancelled():
            gathering.exception()  # has been raised, or has nobody left to see it


class _Waiting:
    """Frames that are not sent yet."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._characters = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False

    async def gather(self, frames: AsyncGenerator[Frame, None]) -> None:
        """Takes in frames until there are no more."""
        async with aclosing(frames):
            async for frame in frames:
                self._add(frame)
                if self._characters > _MOST_WAITING:
                    self._room.clear()
                    await self._room.wait()

    def _add(self, frame: Frame) -> None:
        match frame:
            case TextDelta(text) | ToolCallDelta(arguments=text) | ReasoningDelta(text=text):
                self._characters += len(text)
        both = joined(self._frames[-1], frame) if self._frames else None
        if both is None:
            self._frames.append(frame)
        else:
            self._frames[-1] = both
        self._changed.set()

    def end(self, _task: object) -> None:
        """There will be no more."""
        self._ended = True
        self._changed.set()

    async def any(self) -> bool:
        """Waits for a frame; False once all have been sent."""
        while not self._frames and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        return bool(self._frames)

    def next(self) -> Frame:
        """The oldest."""
        frame = self._frames.popleft()
        if not self._frames:
            self._characters = 0
            self._room.set()
        return frame
