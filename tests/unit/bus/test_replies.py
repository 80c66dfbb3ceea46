"""Answers to requests, on the client's side."""

from __future__ import annotations

import pytest

from pentad.bus.v1.bus_pb2 import Message
from pentad_client.errors import Unavailable
from pentad_client.replies import Replies


async def test_an_answer_goes_to_who_asked_and_nowhere_else() -> None:
    """The first of a correlation id is the answer; a second one and a late one are swallowed,
    others are not.
    """
    replies = Replies()
    answer = Message(correlation_id="c1", type="first")
    assert not replies.take(answer)
    waiting = replies.expect("c1")
    assert replies.take(answer)
    assert replies.take(Message(correlation_id="c1", type="second"))
    assert (await waiting).type == "first"
    replies.stop("c1")
    assert replies.take(Message(correlation_id="c1", type="late"))
    assert not replies.take(Message(correlation_id="c2"))


async def test_what_ends_the_connection_ends_the_waiting() -> None:
    """A request does not wait for an answer that cannot come."""
    replies = Replies()
    waiting = replies.expect("c1")
    replies.fail(Unavailable("CONNECTION_CLOSED", "closed"))
    with pytest.raises(Unavailable):
        await waiting


async def test_only_so_many_are_remembered() -> None:
    """Memory does not grow with the number of requests."""
    replies = Replies()
    for number in range(5000):
        replies.expect(str(number))
        replies.stop(str(number))
    assert not replies.take(Message(correlation_id="0"))
    assert replies.take(Message(correlation_id="4999"))
