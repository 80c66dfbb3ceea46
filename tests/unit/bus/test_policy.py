"""How much inboxes hold, and how much tenants may send."""

from __future__ import annotations

from pentad.bus.v1.bus_pb2 import DURABILITY_BEST_EFFORT, PRIORITY_HIGH, PRIORITY_LOW
from pentad_bus.broker import Caller, Wish
from pentad_bus.policy import Policy, Rate
from pentad_common.errors import ResourceExhausted
from tests.unit.bus.world import World, ids, on, to


def narrow(world: World, policy: Policy) -> None:
    """An inbox `b` that nobody takes from, with that policy."""
    session = world.broker.connect(Caller("t", "b"), "one", True, (), lambda: None, policy)
    world.broker.end(session, None)


def test_a_full_inbox_refuses_and_says_when_to_come_again() -> None:
    """By messages and by bytes, within the bus's own bounds; a copy of a topic goes to the dead letters."""
    world = World(max_queue_messages=3)
    a, b = world.connect("a"), world.connect("b", "one", Wish("t.>"), credit=0)
    world.broker.directory.keep_to(b.inboxes[-1], Policy(max_messages=2))
    world.publish(a, to("b", "m1"), to("b", "m2"), to("b", "m3"))
    [(_, error)] = a.rejections
    assert isinstance(error, ResourceExhausted)
    assert (error.reason, error.retry_after) == ("QUEUE_FULL", 1.0)
    world.publish(a, on("t.x", "m4"))
    assert world.dead() == [("b", "QUEUE_OVERFLOW")]
    world.broker.directory.keep_to(b.inboxes[-1], Policy(max_messages=100))
    assert b.inboxes[-1].max_messages == 3


def test_what_an_inbox_can_never_hold_is_too_large() -> None:
    """To come again would not help: the refusal is one that lasts."""
    world = World()
    a, b = world.connect("a"), world.connect("b", credit=0)
    world.broker.directory.keep_to(b.inboxes[-1], Policy(max_bytes=200))
    world.publish(a, to("b", payload={"data": b"x" * 300}))
    assert world.refusal(a) == "MESSAGE_TOO_LARGE"
    world.publish(a, to("b", payload={"data": b"x" * 80}), to("b", payload={"data": b"x" * 80}))
    assert world.refusal(a) == "QUEUE_FULL"


def test_the_oldest_of_the_lowest_priority_makes_room() -> None:
    """It becomes a dead letter and is counted; best-effort ones are just lost; what is at work stays."""
    world = World()
    a, b = world.connect("a"), world.connect("b", credit=1)
    inbox = b.inboxes[-1]
    world.broker.directory.keep_to(inbox, Policy(4, 0, "drop_oldest"))
    world.publish(a, to("b", "work"))
    assert ids(b.take()) == ["work"]
    world.publish(
        a,
        to("b", "high", priority=PRIORITY_HIGH),
        to("b", "lossy", priority=PRIORITY_LOW, durability=DURABILITY_BEST_EFFORT),
        to("b", "one"),
        to("b", "two"),
        to("b", "three"),
    )
    assert not a.rejections
    assert world.dead() == [("b", "QUEUE_OVERFLOW")]
    assert (inbox.dropped, world.broker.counters.dropped, inbox.messages) == (2, 2, 4)
    b.grant(10, 0)
    assert ids(b.take()) == ["high", "two", "three"]


def test_a_large_batch_into_a_narrow_queue_leaves_the_newest() -> None:
    """Also when all of it is stored in one commit."""
    world = World(queue_overflow="drop_oldest", max_queue_messages=10)
    a, b = world.connect("a"), world.connect("b", credit=0)
    world.publish(a, *(to("b", f"m{n}") for n in range(100)))
    b.grant(100, 0)
    assert ids(b.take()) == [f"m{n}" for n in range(90, 100)]
    assert len(world.dead()) == 90


def test_delayed_messages_do_not_grow_without_bound() -> None:
    """They cannot be dropped to make room, so they are refused."""
    world = World(queue_overflow="drop_oldest", max_queue_messages=5)
    a = world.connect("a")
    world.connect("b", credit=0)
    world.publish(a, *(to("b", f"m{n}", delay=9) for n in range(5)))
    world.publish(a, to("b", "m5", delay=9))
    assert world.refusal(a) == "QUEUE_FULL"


def test_a_policy_is_stored_and_can_be_changed() -> None:
    """With the inbox; narrower at once, and unset leaves it."""
    world = World()
    a = world.connect("a")
    narrow(world, Policy(5, 0, "drop_oldest"))
    world.publish(a, *(to("b", f"m{n}") for n in range(9)))
    narrow(world, Policy(2, 0, "drop_oldest"))
    rows = [row for row in world.ledger.later.inboxes if row.name == "b"]
    assert rows[-1].policy == Policy(2, 0, "drop_oldest")
    assert ids(world.connect("b").take()) == ["m7", "m8"]


def test_a_tenant_has_a_rate() -> None:
    """A second's worth at once, then as fast as it is; the hint says when; others are not touched."""
    world = World(tenant_messages_per_second=2)
    a, other = world.connect("a"), world.connect("a", tenant="u")
    world.publish(a, to("a"), to("a"), to("a"))
    [(_, error)] = a.rejections
    assert (error.reason, error.retry_after) == ("RATE_QUOTA_EXCEEDED", 0.5)
    a.rejections.clear()
    world.publish(other, to("a"))
    world.advance(0.5)
    world.publish(a, to("a"), to("a"))
    assert len(a.rejections) == 1
    assert not other.rejections


def test_a_slow_rate_still_lets_one_through() -> None:
    """Less than one a second is no full stop."""
    rate = Rate(0.1, 0.0)
    assert rate.take(0.0) == 0
    assert rate.take(0.0) == 10
    assert rate.take(10.0) == 0


def test_a_tenant_has_room() -> None:
    """All its inboxes together, each copy counted; what is acked makes room."""
    world = World(tenant_queued_bytes=600)
    a, b = world.connect("a"), world.connect("b", "one", Wish("t.>"))
    world.connect("c", "one", Wish("t.>"))
    world.publish(a, on("t.x", payload={"data": b"x" * 300}))
    assert world.refusal(a) == "STORAGE_QUOTA_EXCEEDED"
    world.publish(a, on("t.x", payload={"data": b"x" * 200}))
    world.publish(a, to("b", payload={"data": b"x" * 100}))
    assert world.refusal(a) == "STORAGE_QUOTA_EXCEEDED"
    b.ack(tag for tag, _ in b.take())
    world.publish(a, to("b", payload={"data": b"x" * 100}))
    assert not a.rejections
