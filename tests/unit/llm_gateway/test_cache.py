"""Keys of answers, their form in the cache, and calls that are shared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_common.call import CallContext
from pentad_common.errors import Cancelled, Unavailable
from pentad_llm_gateway.cache.answer import KeptAnswer, assembled, deltas
from pentad_llm_gateway.cache.base import CachePolicy
from pentad_llm_gateway.cache.flight import Flight
from pentad_llm_gateway.cache.key import cache_key
from pentad_llm_gateway.cache.memory import MemoryCache
from pentad_llm_gateway.cache.rules import CacheRules
from pentad_llm_gateway.call_record import Served
from pentad_llm_gateway.completion import (
    Completion,
    Delta,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    ResponseFormat,
    Sampling,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)
from pentad_llm_gateway.replies import Done, Frame

HI = (Message("user", (Text("hi"),)),)
MEANING = ("openai/x",)
SERVED = Served("id", "m", "m", "openai", 1, 0.1, None, "", ())
DONE = Done("stop", Usage(1, 2), 3, SERVED)


def key(completion: Completion, tenant: str = "t", meaning: tuple[str, ...] = MEANING) -> bytes:
    """The key of a request."""
    return cache_key(tenant, meaning, completion)


def test_order_of_fields() -> None:
    """The order of fields in schemas and extras is of no account to the key."""

    def asked(schema: dict[str, Any], extras: dict[str, Any]) -> Completion:
        return Completion("m", HI, tools=(Tool("t", "d", schema),), extras=extras)

    one = asked({"type": "object", "properties": {"a": {}, "b": {}}}, {"x": 1.0, "y": {"p": 1, "q": 2}})
    other = asked({"properties": {"b": {}, "a": {}}, "type": "object"}, {"y": {"q": 2, "p": 1}, "x": 1.0})
    assert key(one) == key(other)
    assert key(one, meaning=("a/x", "b/y")) == key(one, meaning=("b/y", "a/x"))


OTHERS = [
    Completion("n", HI),
    Completion("m", (*HI, *HI)),
    Completion("m", (Message("system", (Text("hi"),)),)),
    Completion("m", (Message("user", (Text("hi "),)),)),
    Completion("m", (Message("user", (Text("h"), Text("i"))),)),
    Completion("m", (Message("user", (Image("image/png", b"a"),)),)),
    Completion("m", (Message("user", (Image("image/png", b"b"),)),)),
    Completion("m", HI, tools=(Tool("t", "d", {}),)),
    Completion("m", HI, tool_choice=ToolChoice("none")),
    Completion("m", HI, response_format=ResponseFormat()),
    Completion("m", HI, response_format=ResponseFormat({"type": "object"})),
    Completion("m", HI, sampling=Sampling(temperature=0.0)),
    Completion("m", HI, sampling=Sampling(seed=0)),
    Completion("m", HI, sampling=Sampling(max_output_tokens=1)),
    Completion("m", HI, sampling=Sampling(stop=("a",))),
    Completion("m", HI, sampling=Sampling(reasoning_effort="low")),
    Completion("m", HI, extras={"user": "x"}),
]


def test_what_differs() -> None:
    """Requests that differ in anything have keys of their own; so have tenants, and names given anew."""
    plain = Completion("m", HI)
    keys = {key(other) for other in [plain, *OTHERS]}
    keys |= {key(plain, tenant="u"), key(plain, meaning=("openai/y",)), key(plain, meaning=(*MEANING, "a/b"))}
    assert len(keys) == len(OTHERS) + 4
    assert key(plain).startswith(b"{t}:cache:")
    assert b"hi" not in key(plain)


texts = st.builds(Text, st.text(min_size=1))
calls = st.builds(ToolCall, st.text(), st.text(), st.text())
thoughts = st.builds(Reasoning, st.text(), st.text(), st.text())


@given(st.lists(texts | calls | thoughts))
def test_answer_there_and_back(parts: list[Any]) -> None:
    """An answer comes out of the cache as it went in, and as a stream it is the same answer."""
    apart = [part for i, part in enumerate(parts) if not (i and type(part) is type(parts[i - 1]) is Text)]
    answer = KeptAnswer(Message("assistant", tuple(apart)), "stop", "openai", "m")
    assert KeptAnswer.decode(answer.encode()) == answer
    assert assembled(deltas(answer.message)) == answer.message


def test_assembled() -> None:
    """Deltas become the message that they are pieces of."""
    pieces: list[Delta] = [
        ReasoningDelta(0, "let "),
        ReasoningDelta(0, "me see"),
        ReasoningDelta(0, signature="s"),
        TextDelta("a"),
        TextDelta("b"),
        ToolCallDelta(0, "1", "f", '{"x"'),
        ToolCallDelta(1, "2", "g"),
        ToolCallDelta(0, arguments=": 1}"),
        TextDelta("c"),
    ]
    assert assembled(pieces).parts == (
        Reasoning("let me see", "s"),
        Text("ab"),
        ToolCall("1", "f", '{"x": 1}'),
        ToolCall("2", "g", ""),
        Text("c"),
    )


def test_long_answers_come_in_pieces() -> None:
    """A long answer is replayed in deltas of about a thousand characters."""
    pieces = list(deltas(Message("assistant", (Text("x" * 2500),))))
    assert [len(piece.text) for piece in pieces if isinstance(piece, TextDelta)] == [1024, 1024, 452]


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[]", b'{"parts": [["picture", {}]]}'])
def test_what_cannot_be_read(data: bytes) -> None:
    """What another version has kept is no answer."""
    assert KeptAnswer.decode(data) is None


@pytest.mark.parametrize(
    ("finish", "parts", "complete"),
    [
        ("stop", (Text("x"),), True),
        ("tool_calls", (ToolCall("1", "f", "{}"),), True),
        ("length", (Text("x"),), False),
        ("content_filter", (Text("x"),), False),
        ("", (Text("x"),), False),
        ("stop", (), False),
    ],
)
def test_complete(finish: Any, parts: Any, complete: bool) -> None:
    """Only what the model said to its end is kept."""
    assert KeptAnswer(Message("assistant", parts), finish, "p", "m").complete is complete


def test_when_the_cache_is_on() -> None:
    """The cache is on for calls that ask for it, for all, or for none."""
    asked = CachePolicy(ttl=5)
    assert [CacheRules().lifetime(policy) for policy in (CachePolicy(), asked)] == [None, 5]
    always = CacheRules(enabled="always", ttl=60)
    assert [always.lifetime(policy) for policy in (CachePolicy(), asked)] == [60, 5]
    assert CacheRules(enabled="never").lifetime(asked) is None


async def test_memory_is_bounded() -> None:
    """In memory the answers that were used last stay, up to the bound in bytes, however large they are."""
    cache = MemoryCache(lambda: 10_000)
    for number in range(100):
        await cache.put(b"%d" % number, b"x" * 1000, 60)
        assert cache.bytes <= 10_000
        await cache.get(b"0")
    assert await cache.get(b"0") and await cache.get(b"99")
    assert await cache.get(b"50") is None
    await cache.put(b"large", b"x" * 10_001, 60)
    assert await cache.get(b"large") is None and await cache.get(b"0")


async def said(
    *frames: Frame, pause: float = 0.0, error: Exception | None = None
) -> AsyncGenerator[Frame, None]:
    """A stream."""
    for frame in frames:
        await asyncio.sleep(pause)
        yield frame
    if error:
        raise error


def caller(seconds: float | None = None) -> CallContext:
    """Someone who waits so long."""
    return CallContext("t", "k", "client", deadline=None if seconds is None else time.time() + seconds)


async def watch(flight: Flight, who: CallContext, gone: list[Flight] | None = None) -> str:
    """What a caller of a flight sees."""
    text = ""
    async with flight.joined(who, (gone if gone is not None else []).append):
        async for delta in flight.seen():
            assert isinstance(delta, TextDelta)
            text += delta.text
    return text


async def test_late_joiner() -> None:
    """Who comes late gets what has come so far, and then the rest as it comes."""
    flight = Flight(caller())
    over: list[Flight] = []
    frames = said(TextDelta("a"), TextDelta("b"), TextDelta("c"), DONE, pause=0.01)
    flight.start(flight.pieces(frames), over.append)
    first = asyncio.create_task(watch(flight, caller()))
    while len(flight.deltas) < 2:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)
    assert await watch(flight, caller()) == "abc" == await first
    assert flight.end is DONE
    await asyncio.sleep(0)
    assert over == [flight]


async def test_leaving() -> None:
    """Who leaves does not end the call for others; the last one does."""
    flight = Flight(caller())
    gone: list[Flight] = []
    closed = asyncio.Event()

    async def frames() -> AsyncGenerator[Frame, None]:
        try:
            yield TextDelta("a")
            await asyncio.Event().wait()
        finally:
            closed.set()

    task = flight.start(flight.pieces(frames()), lambda _: None)
    first, second = (asyncio.create_task(watch(flight, caller(), gone)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0.01)
    assert not closed.is_set() and not gone
    second.cancel()
    await asyncio.wait_for(closed.wait(), 1)
    assert gone == [flight]
    await asyncio.wait({task})
    with pytest.raises(Cancelled):
        flight.raise_error()


async def test_errors_are_for_all() -> None:
    """An error of the call goes to all who wait for it, to each one of its own."""
    flight = Flight(caller())
    flight.start(flight.pieces(said(error=Unavailable("X", "away"), pause=0.01)), lambda _: None)
    found = await asyncio.gather(*(watch(flight, caller()) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in found] == [Unavailable] * 3
    assert len({id(error) for error in found}) == 3


async def test_patience() -> None:
    """A shared call has as much time as the most patient of its callers."""
    flight = Flight(caller(5))
    flight.start(flight.pieces(said(DONE, pause=0.05)), lambda _: None)
    async with flight.joined(caller(5), lambda _: None):
        assert 4 < (flight.caller.remaining() or 0) <= 5
        async with flight.joined(caller(50), lambda _: None):
            assert 49 < (flight.caller.remaining() or 0) <= 50
        async with flight.joined(caller(), lambda _: None):
            assert flight.caller.remaining() is None
        assert (flight.caller.remaining() or 0) <= 5
