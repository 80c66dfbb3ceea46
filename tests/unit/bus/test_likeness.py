"""Messages that are like one taken before are not decoded, and treated as if they had been."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad.bus.v1.bus_pb2 import DURABILITY_BEST_EFFORT, PRIORITY_HIGH, Message
from pentad_bus.broker import Broker
from pentad_bus.likeness import FEW, Likenesses, likeness
from pentad_bus.limits import Limits
from pentad_bus.message_types import MessageTypes
from pentad_bus.publisher import Publisher
from tests.unit.bus.world import World, to

SHAPES: list[Callable[[str, bytes], Message]] = [
    lambda id, data: to("b", id, type="note", payload={"content_type": "text/plain", "data": data}),
    lambda id, data: to("b", id, type="note", payload={"data": data}, headers={"k": "v"}, run_id="r"),
    lambda id, data: to("c", id, type="x", payload={"data": data}, priority=PRIORITY_HIGH, hops=3),
    lambda id, data: to("b", id, payload={"data": data}, durability=DURABILITY_BEST_EFFORT),
    lambda id, data: to("b", id, payload={"data": data}, sender="liar", traceparent=id),
    lambda id, data: to("b", id, payload={"data": data}, ttl=5),
    lambda id, data: to("nobody", id, payload={"data": data}),
]

damage = st.tuples(st.integers(0, 200), st.integers(0, 255))
publishes = st.tuples(
    st.integers(0, len(SHAPES) - 1),
    st.text("01\0é", min_size=1, max_size=2),
    st.binary(min_size=1, max_size=3),
    st.none() | st.none() | st.none() | damage,
)


def encoded(shape: int, id: str, data: bytes, broken: tuple[int, int] | None) -> bytes:
    """A message, perhaps with a byte that is another."""
    body = bytearray(SHAPES[shape](id, data).SerializeToString())
    if broken is not None:
        body[broken[0] % len(body)] = broken[1]
    return bytes(body)


class Eager(Likenesses):
    """Looks for a likeness in every message."""

    def missed(self, body: bytes) -> None:
        self.latest = likeness(body) or self.latest


class Never(Likenesses):
    """Finds none."""

    def missed(self, body: bytes) -> None:
        pass


def outcome(alike: Likenesses, frames: list[list[bytes]]) -> list[Any]:
    """All that a broker made of the frames."""
    world = World(max_queue_messages=7)
    sender, readers = world.connect("a"), [world.connect("b"), world.connect("c")]
    sender.alike = alike
    seq = 0
    for frame in frames:
        world.broker.publish_batch(sender, [(seq + n + 1, body, 0) for n, body in enumerate(frame)])
        seq += len(frame)
    stored = world.ledger.stored
    return [
        sender.confirmed,
        [(number, error.reason) for number, error in sender.rejections],
        [
            [(entry.seq, entry.body, entry.level, entry.once, entry.stored) for _, entry in reader.take()]
            for reader in readers
        ],
        [(inbox.name, inbox.messages, inbox.size) for inbox in world.broker.directory.inboxes()],
        (
            stored.messages,
            stored.entries,
            world.broker.counters.stored_bytes,
            world.broker.counters.duplicates,
        ),
    ]


@given(st.lists(st.lists(publishes, min_size=1, max_size=12), max_size=4))
def test_nothing_comes_of_it_but_speed(frames: list[list[tuple[int, str, bytes, Any]]]) -> None:
    """Whatever is published, damaged or refused: with likenesses all is as without."""
    bodies = [[encoded(*publish) for publish in frame] for frame in frames]
    alike, plain = outcome(Eager(), bodies), outcome(Never(), bodies)
    assert without_given_ids(alike) == without_given_ids(plain)


@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_a_byte_that_differs_is_noticed(shape: int) -> None:
    """Of two messages that are alike but for any one byte, each is treated as what it is."""
    first, second = encoded(shape, "id-1", b"one", None), encoded(shape, "id-2", b"two", None)
    others = [encoded(shape, f"id-{number}", b"abc", None) for number in range(3, 3 + FEW)]
    for place in range(len(second)):
        for other in (second[place] ^ 1, second[place] ^ 3, 0, 255):
            changed = bytes([*second[:place], other, *second[place + 1 :]])
            frames = [[first], [changed, *others], [second, *others]]
            alike, plain = outcome(Eager(), frames), outcome(Never(), frames)
            assert without_given_ids(alike) == without_given_ids(plain), (place, other)


def without_given_ids(found: list[Any]) -> list[Any]:
    """What the bus named itself has another name each time: those ids are left out."""
    *rest, (messages, *counts) = found
    came = [[(seq, level, *kind) for seq, _, level, *kind in taken] for taken in rest[2]]
    facts = [facts_of(body) for taken in rest[2] for _, body, *_ in taken]
    return [*rest[:2], came, facts, [row[0] for row in messages], *counts]


def facts_of(body: bytes) -> Message:
    """What was delivered, but for the id."""
    message = Message.FromString(body)
    message.id = ""
    return message


def note(number: int) -> bytes:
    return SHAPES[0](f"id-{number:05}", b"%05d" % number).SerializeToString()


def test_messages_that_are_alike_are_decoded_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some that are alike the rest of them goes without decoding, and arrives as it was."""
    looked: list[bytes] = []
    admit = Publisher.admit

    def counted(self: Publisher, *given: Any) -> Any:
        looked.append(given[2])
        return admit(self, *given)

    monkeypatch.setattr(Publisher, "admit", counted)
    world = World()
    sender, reader = world.connect("a"), world.connect("b", credit=1000)
    for first in range(0, 100, 10):
        world.broker.publish_batch(sender, [(n + 1, note(n), 0) for n in range(first, first + 10)])
    assert len(looked) == 8
    came = [Message.FromString(entry.body) for _, entry in reader.take()]
    assert [message.payload.data for message in came] == [b"%05d" % n for n in range(100)]
    assert [message.id for message in came] == [f"id-{n:05}" for n in range(100)]
    assert {message.sender for message in came} == {"a"}


def test_where_nothing_is_alike_it_is_looked_for_seldom() -> None:
    """Of a thousand different messages a dozen at most are held against others."""
    looked = []
    alike = Likenesses()
    for number in range(1000):
        before, alike.latest = alike.latest, None
        alike.missed(note(number))
        looked.append(alike.latest is not None)
        alike.latest = alike.latest or before
    assert 0 < sum(looked) < 12


def test_a_type_with_a_handler_is_always_handled() -> None:
    """Likeness does not lead past the handler of a message type."""
    seen: list[str] = []
    types = MessageTypes()
    types.register("note", lambda message: seen.append(message.id))
    world = World()
    world.broker = Broker(Limits(), world.ledger, world.clock, types=types)
    sender = world.connect("a")
    world.connect("b")
    sender.alike = Eager()
    for first in range(0, 20, 5):
        world.broker.publish_batch(sender, [(n + 1, note(n), 0) for n in range(first, first + 5)])
    assert len(seen) == 20


def test_another_field_is_no_likeness() -> None:
    """A message with two ids, or with an unknown field instead of data, is decoded as ever."""
    twice = note(1) + Message(id="another").SerializeToString()
    assert likeness(twice) is None
    assert likeness(to("b", "x").SerializeToString()) is None
    assert likeness(note(1)) is not None


def test_a_full_inbox_takes_what_fits() -> None:
    """Of messages that are alike the first are taken until the inbox is full, and each other is refused."""
    world = World(max_queue_messages=10)
    sender = world.connect("a")
    world.connect("b", credit=0)
    sender.alike = Eager()
    for first in (0, 8):
        world.broker.publish_batch(sender, [(n + 1, note(n), 0) for n in range(first, first + 8)])
    assert [(seq, error.reason) for seq, error in sender.rejections] == [
        (seq, "QUEUE_FULL") for seq in range(11, 17)
    ]
