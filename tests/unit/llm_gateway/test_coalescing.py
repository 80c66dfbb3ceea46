"""Frames that come faster than they are sent: fewer, and none lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_common.errors import Unavailable
from pentad_llm_gateway import coalescing
from pentad_llm_gateway.coalescing import coalesced, joined
from pentad_llm_gateway.completion import TextDelta, ToolCallDelta
from pentad_llm_gateway.replies import Frame

deltas = st.one_of(
    st.builds(TextDelta, st.text(max_size=3)),
    st.builds(
        ToolCallDelta, st.integers(0, 2), st.sampled_from(["", "id"]), st.just(""), st.text(max_size=3)
    ),
)


async def feed(frames: Sequence[Frame]) -> AsyncGenerator[Frame, None]:
    """All at once."""
    for frame in frames:
        yield frame


def flat(frames: Sequence[Frame]) -> tuple[str, list[tuple[int, str, str]]]:
    """What a caller makes of frames: the text, and each tool call with its arguments."""
    text, calls = "", list[tuple[int, str, str]]()
    for frame in frames:
        if isinstance(frame, TextDelta):
            text += frame.text
        elif isinstance(frame, ToolCallDelta):
            if frame.id or not calls or calls[-1][0] != frame.index:
                calls.append((frame.index, frame.id, ""))
            index, call_id, arguments = calls[-1]
            calls[-1] = (index, call_id, arguments + frame.arguments)
    return text, calls


@given(st.lists(deltas, max_size=20))
def test_joining_changes_nothing_for_who_puts_deltas_together(frames: list[Frame]) -> None:
    """Text and the arguments of tool calls are the same, whatever was joined."""
    result: list[Frame] = []
    for frame in frames:
        both = joined(result[-1], frame) if result else None
        result[-1:] = [both] if both is not None else [*result[-1:], frame]
    assert flat(result) == flat(frames)


async def test_what_came_meanwhile_is_one_frame() -> None:
    """A slow reader gets one frame of all that came while it was busy; a quick one gets each at once."""
    frames = [TextDelta(str(number)) for number in range(5)]
    assert [frame async for frame in coalesced(feed(frames))] == [TextDelta("01234")]

    async def slowly() -> AsyncGenerator[Frame, None]:
        for frame in frames:
            yield frame
            await asyncio.sleep(0.01)

    assert [frame async for frame in coalesced(slowly())] == frames


async def test_an_error_comes_after_what_was_said_before_it() -> None:
    """What came before a failure is not lost."""

    async def broken() -> AsyncGenerator[Frame, None]:
        yield TextDelta("a")
        raise Unavailable("PROVIDER_UNAVAILABLE", "gone")

    seen = []
    with pytest.raises(Unavailable, match="gone"):
        async for frame in coalesced(broken()):
            seen.append(frame)
    assert seen == [TextDelta("a")]


async def test_who_leaves_ends_the_stream_behind() -> None:
    """Closing it closes what it reads, and waits for that."""
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[Frame, None]:
        try:
            while True:
                yield TextDelta("a")
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
            closed.set()

    async with aclosing(coalesced(endless())) as frames:
        await anext(frames)
    assert closed.is_set()


async def test_a_reader_that_stands_still_holds_up_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is read ahead than a bound, and all of it comes in the end."""
    monkeypatch.setattr(coalescing, "_MOST_WAITING", 100)
    read = 0

    async def many() -> AsyncGenerator[Frame, None]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield TextDelta("0123456789")

    text = ""
    async with aclosing(coalesced(many())) as frames:
        async for frame in frames:
            assert isinstance(frame, TextDelta)
            text += frame.text
            await asyncio.sleep(0.001)
            assert read - len(text) // 10 <= 11
    assert len(text) == 1000
