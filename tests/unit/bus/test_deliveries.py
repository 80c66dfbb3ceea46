"""Deliveries: credit, acks, time-outs, replies, with clocks and a ledger moved by hand."""

from __future__ import annotations

import pytest

from pentad.bus.v1.bus_pb2 import DURABILITY_BEST_EFFORT, Message
from pentad_bus.session import Nack
from tests.unit.bus.world import FULL_DISK, World, ids, to


def test_credit_bounds_what_is_open() -> None:
    """Messages and bytes; one message is always let through."""
    world = World()
    a, b = world.connect("a"), world.connect("b", credit=3)
    world.publish(a, *(to("b", f"m{n}") for n in range(10)))
    taken = b.take()
    assert len(taken) == 3
    assert b.take() == []
    b.ack([taken[0][0]])
    assert ids(b.take()) == ["m3"]
    b.grant(100, 1)
    assert b.take() == []
    b.ack(list(b.open))
    assert ids(b.take()) == ["m4"]


def test_an_ack_settles_once() -> None:
    """The journal is told to forget it; a second ack, or one of a tag never given, is stale."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "m1"))
    [(tag, _)] = b.take()
    b.ack([tag, tag, 99])
    assert world.settled() == 1
    assert [(tag, error.reason) for tag, error in b.stale] == [
        (tag, "DELIVERY_EXPIRED"),
        (99, "DELIVERY_UNKNOWN"),
    ]


def test_a_delivery_that_runs_out_goes_to_another() -> None:
    """After ack_wait it is delivered again with attempt 2; the late ack is stale and settles nothing."""
    world = World(ack_wait=30)
    a, one = world.connect("a"), world.connect("b", "one")
    world.publish(a, to("b", "m1"))
    [(tag, _)] = one.take()
    two = world.connect("b", "two")
    world.advance(29)
    assert two.take() == []
    world.advance(1)
    [(other, entry)] = two.take()
    assert (entry.id, entry.attempts) == ("m1", 2)
    one.ack([tag])
    assert [error.reason for _, error in one.stale] == ["DELIVERY_EXPIRED"]
    assert world.settled() == 0
    two.ack([other])
    assert world.settled() == 1


def test_one_who_let_a_delivery_run_out_is_asked_last() -> None:
    """Until something is heard of it, another instance that is free gets what comes."""
    world = World(ack_wait=30)
    a, one, two = world.connect("a"), world.connect("b", "one"), world.connect("b", "two")
    world.publish(a, to("b/one", "m1"))
    one.take()
    world.advance(30)
    world.publish(a, to("b", "m2"))
    assert "m2" not in ids(one.take())
    assert ids(two.take()) == ["m2"]


def test_progress_starts_the_wait_anew() -> None:
    """A delivery that is being worked on does not run out; the others do."""
    world = World(ack_wait=30)
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "m1"), to("b", "m2"))
    (first, _), (second, _) = b.take()
    world.advance(20)
    b.progress(first)
    world.advance(20)
    assert list(b.open) == [first]
    b.progress(second)
    assert [tag for tag, _ in b.stale] == [second]


def test_nack_with_delay_backoff_and_for_good() -> None:
    """A delay is kept to; without one the wait doubles; a terminal one goes to the dead letters with its
    reason.
    """
    world = World(retry_backoff=1)
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "m1"))

    def give_back(delay: float | None, terminal: bool = False) -> None:
        [(tag, _)] = b.take()
        b.nack(Nack(tag, delay, "no", terminal))
        assert b.take() == []

    give_back(10)
    world.advance(9.9)
    assert b.take() == []
    world.advance(0.1)
    give_back(None)
    world.advance(2)
    give_back(None)
    world.advance(3.9)
    assert b.take() == []
    world.advance(0.1)
    give_back(None, terminal=True)
    assert world.dead() == [("b", "REJECTED")]
    assert world.ledger.later.dead[0].detail == "no"


def test_after_the_last_attempt_it_is_a_dead_letter() -> None:
    """max_attempts deliveries, then MAX_ATTEMPTS, and the inbox is empty."""
    world = World(max_attempts=3)
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "m1"))
    for attempt in (1, 2, 3):
        [(tag, entry)] = b.take()
        assert entry.attempts == attempt
        b.nack(Nack(tag, 0.0, f"failed {attempt}", False))
    assert b.take() == []
    assert world.dead() == [("b", "MAX_ATTEMPTS")]
    assert world.broker.directory.tenant("t").inboxes["b"].messages == 0


def test_a_lost_connection_gives_all_back_at_once_in_order() -> None:
    """The next connection gets it again, before what came later, one attempt on."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "m1"), to("b", "m2"))
    b.take()
    world.publish(a, to("b", "m3"))
    world.broker.end(b, None)
    taken = world.connect("b", "two").take()
    assert [(entry.id, entry.attempts) for _, entry in taken] == [("m1", 2), ("m2", 2), ("m3", 1)]


def test_a_goodbye_costs_no_attempt() -> None:
    """Who leaves in order hands on what it has not done."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "m1"))
    b.take()
    world.broker.end(b, None, meant=True)
    [(_, entry)] = world.connect("b").take()
    assert entry.attempts == 1


def test_the_same_instance_takes_over() -> None:
    """The earlier connection ends with INSTANCE_TAKEN_OVER; what was open to it comes to the new one."""
    world = World()
    a, old = world.connect("a"), world.connect("b", "one")
    world.publish(a, to("b", "m1"))
    old.take()
    new = world.connect("b", "one")
    assert old.ended is not None
    assert old.ended.reason == "INSTANCE_TAKEN_OVER"
    assert ids(new.take()) == ["m1"]


def test_best_effort_is_not_stored_and_comes_at_most_once() -> None:
    """No row anywhere; lost with the connection that had it, and counted."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "m1", durability=DURABILITY_BEST_EFFORT))
    assert a.confirmed == 1
    assert ids(b.take()) == ["m1"]
    world.broker.end(b, None)
    assert world.connect("b").take() == []
    assert not world.ledger.stored.messages
    assert not world.ledger.stored.entries
    assert world.broker.counters.dropped == 1


def test_best_effort_does_not_overtake_what_is_being_stored() -> None:
    """Order is kept per sender, recipient and priority, whatever the durability."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.ledger.holding = True
    world.publish(a, to("b", "m1"))
    world.publish(a, to("b", "m2", durability=DURABILITY_BEST_EFFORT))
    assert b.take() == []
    world.ledger.store()
    assert ids(b.take()) == ["m1", "m2"]


def test_a_reply_and_its_ack_are_one_commit() -> None:
    """Both are stored together, and until then the delivery is neither open nor given back."""
    world = World(ack_wait=30)
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "task"))
    [(tag, task)] = b.take()
    world.ledger.holding = True
    world.publish(b, to("a", "answer"), settles=tag)
    [commit] = world.ledger.queue
    assert [row[1] for row in commit.changes.messages] == ["answer"]
    assert commit.changes.settled == [(task.seq, task.inbox.id)]
    world.advance(60)
    world.broker.end(b, None)
    world.ledger.store()
    assert ids(a.take()) == ["answer"]
    assert world.connect("b").take() == []


@pytest.mark.parametrize("connected", [True, False])
def test_when_a_reply_cannot_be_stored_the_delivery_is_open_again(connected: bool) -> None:
    """The replier may try again; if it is gone, another gets the message."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "task"))
    [(tag, _)] = b.take()
    world.ledger.holding = True
    world.publish(b, to("a", "answer"), settles=tag)
    if not connected:
        world.broker.end(b, None)
    world.ledger.store(FULL_DISK)
    world.ledger.holding = False
    if connected:
        assert world.refusal(b) == "JOURNAL_UNAVAILABLE"
        b.ack([tag])
        assert b.stale == []
    else:
        assert ids(world.connect("b").take()) == ["task"]


def test_a_refused_reply_leaves_the_delivery_open() -> None:
    """An unknown recipient, for one: the task can still be answered otherwise."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "task"))
    [(tag, _)] = b.take()
    world.publish(b, to("nobody", "answer"), settles=tag)
    assert world.refusal(b) == "RECIPIENT_UNKNOWN"
    assert list(b.open) == [tag]


def test_a_late_reply_is_refused_but_a_repeated_one_is_not() -> None:
    """A stale tag refuses the message; if the same message was stored before, it is confirmed."""
    world = World(ack_wait=30)
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "task"))
    [(tag, _)] = b.take()
    world.publish(b, to("a", "answer"), settles=tag)
    world.publish(b, to("a", "answer"), settles=tag)
    assert b.rejections == []
    world.publish(b, to("a", "another"), settles=tag)
    assert world.refusal(b) == "DELIVERY_EXPIRED"
    assert ids(a.take()) == ["answer"]


def test_a_repeated_reply_settles_the_delivery_that_came_again() -> None:
    """Whoever answers with an id of its own, and answers again, is done with the task."""
    world = World(ack_wait=30)
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "task"))
    [(first, _)] = b.take()
    world.advance(31)
    [(second, _)] = b.take()
    world.publish(b, to("a", "answer"))
    world.publish(b, to("a", "answer"), settles=second)
    assert b.rejections == []
    assert not b.open
    assert ids(a.take()) == ["answer"]
    b.ack([second])
    assert [tag for tag, _ in b.stale] == [second]
    assert first != second


def test_replies_count_hops() -> None:
    """A chain of answers ends at the limit, even if nobody counts but the bus."""
    world = World(max_hops=3)
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b"))
    here, there = b, a
    for _ in range(3):
        [(tag, _)] = here.take()
        world.publish(here, to(there.agent), settles=tag)
        here, there = there, here
    [(tag, entry)] = here.take()
    assert Message.FromString(entry.body).hops == 3
    world.publish(here, to(there.agent), settles=tag)
    assert world.refusal(here) == "HOP_LIMIT_EXCEEDED"
