"""What time does to messages and inboxes, with clocks and a ledger moved by hand."""

from __future__ import annotations

from pentad.bus.v1.bus_pb2 import DURABILITY_BEST_EFFORT, PRIORITY_LOW
from pentad_bus.broker import Wish
from tests.unit.bus.world import World, ids, on, to


def test_delay_holds_back_and_ttl_ends() -> None:
    """A delayed message comes when it is due; one that outlived its ttl is a dead letter, or is gone if best
    effort.
    """
    world = World()
    a, b = world.connect("a"), world.connect("b", credit=1)
    world.publish(a, to("b", "later", delay=5), to("b", "short", ttl=3), to("b", "open", ttl=3))
    world.publish(a, to("b", "lossy", ttl=3, durability=DURABILITY_BEST_EFFORT))
    assert ids(b.take()) == ["short"]
    world.advance(4)
    assert world.dead() == [("b", "EXPIRED")]
    assert world.broker.counters.dropped == 1
    b.ack(list(b.open))
    assert b.take() == []
    world.advance(1)
    assert ids(b.take()) == ["later"]


def test_what_nobody_takes_ends_with_the_history() -> None:
    """A message that waited for as long as messages are kept is given up."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "m1"), to("b", "m2", priority=PRIORITY_LOW))
    world.advance(100)
    world.publish(a, to("b", "m3"))
    world.broker.expire_older(world.clock.now - 50)
    assert sorted(world.dead()) == [("b", "EXPIRED"), ("b", "EXPIRED")]
    assert ids(b.take()) == ["m3"]


def test_a_delay_keeps_nothing_for_longer_than_messages_are_kept() -> None:
    """A message that is due in a century is given up: else all that came after it stayed, too."""
    world = World()
    a = world.connect("a")
    world.publish(a, to("a", "far", delay=3e9), to("a", "near", delay=200))
    world.advance(100)
    [before] = world.broker.still_needed().tenants.values()
    world.broker.expire_older(world.clock.now - 50)
    assert world.dead() == [("a", "EXPIRED")]
    [after] = world.broker.still_needed().tenants.values()
    assert after > before
    world.advance(100)
    assert ids(a.take()) == ["near"]


def test_an_instances_inbox_waits_for_it_and_then_goes() -> None:
    """Within the linger time an instance finds what was sent to it; after that it is in the dead letters."""
    world = World(instance_linger=300)
    a, b = world.connect("a"), world.connect("b", "one")
    world.broker.end(b, None)
    world.publish(a, to("b/one", "m1"))
    world.advance(200)
    b = world.connect("b", "one")
    assert ids(b.take()) == ["m1"]
    world.broker.end(b, None)
    world.advance(299)
    assert "b/one" in world.broker.directory.tenant("t").inboxes
    world.advance(1)
    assert "b/one" not in world.broker.directory.tenant("t").inboxes
    assert world.dead() == [("b/one", "EXPIRED")]
    world.publish(a, to("b/one", "m2"))
    assert world.refusal(a) == "RECIPIENT_UNKNOWN"


def test_an_instance_that_says_goodbye_leaves_nothing_behind() -> None:
    """Its empty inbox is removed, from the journal as well; the agent's stays."""
    world = World()
    b = world.connect("b", "one")
    world.broker.end(b, None, meant=True)
    assert list(world.broker.directory.tenant("t").inboxes) == ["b"]
    assert len(world.ledger.later.removed) == 1


def test_a_full_subscriber_does_not_hold_up_the_others() -> None:
    """Its copy is a dead letter with QUEUE_OVERFLOW; the publisher and the others notice nothing."""
    world = World(max_queue_messages=1)
    a = world.connect("a")
    b, c = world.connect("b", "one", Wish("t")), world.connect("c", "one", Wish("t"))
    world.publish(a, to("b", "m1"), on("t", "m2"))
    assert a.rejections == []
    assert (ids(b.take()), ids(c.take())) == (["m1"], ["m2"])
    assert world.dead() == [("b", "QUEUE_OVERFLOW")]


def test_nothing_is_delivered_while_draining() -> None:
    """Acks and publishes still count."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "m1"))
    [(tag, _)] = b.take()
    world.broker.drain()
    world.publish(a, to("b", "m2"))
    b.ack([tag])
    assert b.take() == []
    assert (a.confirmed, world.settled()) == (2, 1)
