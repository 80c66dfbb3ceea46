"""Events of a stream, however the network cuts them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pentad_llm_gateway.providers.sse import EventReader, events

STREAM = (
    b": a comment\n\n"
    b"data: one\n\n"
    b"event: message\r\nid: 7\r\ndata: two\r\n\r\n"
    b"data:three\n\n"
    b"data: four\ndata: five\n\n"
    b"retry: 5\n\n"
    b"data: \xc3\xa9\n\n"
)
SAID = [b"one", b"two", b"three", b"four\nfive", b"\xc3\xa9"]


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data in pieces."""
    edges = [0, *sorted(place % len(data) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


async def pieces(parts: Sequence[bytes]) -> AsyncIterator[bytes]:
    """As they come."""
    for part in parts:
        yield part


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_pieces_make_no_difference(places: list[int]) -> None:
    """Cut anywhere, within a character or a line's end too, the events are the same."""
    reader = EventReader()
    assert [data for piece in cut(STREAM, places) for data in reader.feed(piece)] == SAID


async def test_events_that_come_together_stay_together() -> None:
    """So that they can be sent on together; nothing is read after the end that the provider tells."""
    parts = [b"data: a\n\ndata: b\n\nda", b"ta: c\n\ndata: [DONE]\n\ndata: x\n\n", b"data: y\n\n"]
    assert [together async for together in events(pieces(parts))] == [[b"a", b"b"], [b"c"]]


async def test_a_last_event_without_an_empty_line_counts() -> None:
    """Some servers forget it."""
    assert [data async for group in events(pieces([b"data: a\n\ndata: b\n"])) for data in group] == [
        b"a",
        b"b",
    ]
