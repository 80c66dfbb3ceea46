"""The broker's rules, with clocks and a ledger moved by hand."""

from __future__ import annotations

import pytest

from pentad.bus.v1.bus_pb2 import DURABILITY_BEST_EFFORT, PRIORITY_CRITICAL, PRIORITY_LOW, Message
from pentad_bus.broker import Wish
from pentad_bus.session import Nack
from pentad_common.errors import FailedPrecondition, InvalidArgument
from tests.unit.bus.world import FULL_DISK, World, ids, on, to, to_all


def test_a_message_is_delivered_when_it_is_stored() -> None:
    """Neither confirmed nor delivered before the commit that holds it."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.ledger.holding = True
    world.publish(a, to("b", "m1"))
    assert (a.confirmed, b.take()) == (0, [])
    world.ledger.store()
    assert a.confirmed == 1
    assert ids(b.take()) == ["m1"]


def test_the_server_says_who_sent_it_and_when() -> None:
    """Sender and time come from the connection, whatever the message claimed."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    forged = to("b", "m1", sender="boss", type="x")
    forged.create_time.seconds, forged.create_time.nanos = 5, 7
    world.publish(a, forged)
    [(_, entry)] = b.take()
    message = Message.FromString(entry.body)
    assert (message.sender, message.type) == ("a", "x")
    assert message.create_time.ToNanoseconds() == int(world.clock.now * 1e9) + 1


def test_a_message_without_an_id_gets_one() -> None:
    """The server's id is in the message that is delivered."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b"))
    [(_, entry)] = b.take()
    assert entry.id
    assert Message.FromString(entry.body).id == entry.id


def test_when_the_journal_fails_nothing_is_confirmed_or_delivered() -> None:
    """The publish is refused, its place in the inbox is free again, and the same id can be tried again."""
    world = World(max_queue_messages=1)
    a, b = world.connect("a"), world.connect("b")
    world.ledger.holding = True
    world.publish(a, to("b", "m1"))
    world.ledger.store(FULL_DISK)
    assert world.refusal(a) == "JOURNAL_UNAVAILABLE"
    assert b.take() == []
    world.ledger.holding = False
    world.publish(a, to("b", "m1"))
    assert a.rejections == []
    assert ids(b.take()) == ["m1"]


def test_a_repeated_id_is_stored_once() -> None:
    """Within the window, from any connection of the tenant; another tenant's ids are its own."""
    world = World()
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "m1"))
    world.publish(a, to("b", "m1"))
    world.publish(b, to("b", "m1"))
    assert ids(b.take()) == ["m1"]
    assert (a.confirmed, a.rejections) == (2, [])
    other = world.connect("b", tenant="u")
    world.publish(other, to("b", "m1"))
    assert ids(other.take()) == ["m1"]


def test_a_duplicate_is_confirmed_no_earlier_than_the_first() -> None:
    """While the first of an id is being stored, its repeat waits as well."""
    world = World()
    a, b, _ = world.connect("a"), world.connect("b"), world.connect("c")
    world.ledger.holding = True
    world.publish(a, to("c", "m1"))
    world.publish(b, to("c", "m1"))
    assert (a.confirmed, b.confirmed) == (0, 0)
    world.ledger.store()
    assert (a.confirmed, b.confirmed) == (1, 1)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (to("nobody"), "RECIPIENT_UNKNOWN"),
        (to("b/two"), "RECIPIENT_UNKNOWN"),
        (Message(), "DESTINATION_MISSING"),
        (on("a.*"), "TOPIC_INVALID"),
        (to("b", hops=33), "HOP_LIMIT_EXCEEDED"),
        (to("b", payload={"data": b"x" * 1100}), "MESSAGE_TOO_LARGE"),
        (to("b", ttl=-1), "INVALID_REQUEST"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused_says_why(message: Message, reason: str) -> None:
    """A refused publish does not stop the ones around it."""
    world = World(max_message_bytes=1024)
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "before"), message, to("b", "after"))
    assert a.confirmed == 3
    assert world.refusal(a) == reason
    assert ids(b.take()) == ["before", "after"]


def test_a_full_inbox_refuses_by_count_and_by_size() -> None:
    """What is not settled counts; when it is, there is room again."""
    world = World(max_queue_messages=2, max_queue_bytes=1000)
    a, b = world.connect("a"), world.connect("b")
    world.publish(a, to("b", "m1"), to("b", "m2"), to("b", "m3"))
    assert world.refusal(a) == "QUEUE_FULL"
    b.ack(tag for tag, _ in b.take())
    world.publish(a, to("b", "m4", payload={"data": b"x" * 990}))
    assert world.refusal(a) == "QUEUE_FULL"
    world.publish(a, to("b", "m5"))
    assert ids(b.take()) == ["m5"]


def test_instances_share_an_inbox_and_have_their_own() -> None:
    """What is addressed to the agent goes to one of them, what is addressed to an instance to that one."""
    world = World()
    a, one, two = world.connect("a"), world.connect("b", "one"), world.connect("b", "two")
    world.publish(a, *(to("b", f"m{n}") for n in range(4)), to("b/two", "mine"))
    first, second = ids(one.take()), ids(two.take()) + ids(two.take())
    assert sorted(first + second) == ["m0", "m1", "m2", "m3", "mine"]
    assert len(first) == 2
    assert "mine" in second


def test_the_instance_with_less_to_do_is_asked_first() -> None:
    """A single message wakes the one with fewer open deliveries."""
    world = World()
    a, one, two = world.connect("a"), world.connect("b", "one"), world.connect("b", "two")
    world.publish(a, to("b/one", "busy"))
    one.take()
    woken: list[str] = []
    one.wake, two.wake = lambda: woken.append("one"), lambda: woken.append("two")
    world.publish(a, to("b", "m1"))
    assert woken == ["two"]


def test_a_broadcast_reaches_every_agent_but_the_sender() -> None:
    """One copy an agent; none for Pentad's own services, for clients, or for other tenants."""
    world = World()
    a, b, c = world.connect("a"), world.connect("b"), world.connect("c")
    others = [world.connect("client.k"), world.connect("b", tenant="u"), world.connect("pentad.orchestrator")]
    world.publish(a, to_all("m1"))
    assert [ids(session.take()) for session in (a, b, c)] == [[], ["m1"], ["m1"]]
    assert [session.take() for session in others] == [[], [], []]


def test_topics_reach_agents_once_and_instances_for_themselves() -> None:
    """Two matching subscriptions of an agent bring one copy; a subscription of scope INSTANCE brings its own."""
    world = World()
    a = world.connect("a")
    one = world.connect("b", "one", Wish("orders.*"), Wish("orders.>"))
    two = world.connect("c", "two", Wish("orders.eu", shared=False))
    world.publish(a, on("orders.eu", "m1"), on("orders.us", "m2"), on("other", "m3"))
    assert ids(one.take()) == ["m1", "m2"]
    [(_, entry)] = two.take()
    assert (entry.id, entry.subscription, entry.stored) == ("m1", "orders.eu", False)


def test_an_agents_subscription_outlives_its_connections() -> None:
    """What matches while nobody is connected waits; an instance's own subscription ends with its connection."""
    world = World()
    a = world.connect("a")
    b = world.connect("b", "one", Wish("kept"), Wish("own", shared=False))
    world.broker.end(b, None, meant=True)
    world.publish(a, on("kept", "m1"), on("own", "m2"))
    assert ids(world.connect("b").take()) == ["m1"]


def test_filters_and_unsubscribing() -> None:
    """Only what passes the filter comes; after unsubscribing nothing does."""
    world = World()
    a, b = world.connect("a"), world.connect("b", "one", Wish("t", "priority >= HIGH"))
    world.publish(a, on("t", "m1"), on("t", "m2", priority=PRIORITY_CRITICAL))
    assert ids(b.take()) == ["m2"]
    world.broker.unsubscribe(b, Wish("t"))
    world.publish(a, on("t", "m3", priority=PRIORITY_CRITICAL))
    assert b.take() == []


def test_a_client_has_an_inbox_of_its_instance_alone() -> None:
    """It can be replied to, and cannot take what lasts longer than it does."""
    world = World()
    a, client = world.connect("a"), world.connect("client.k", "x")
    world.publish(a, to("client.k/x", "m1"), to("client.k", "m2"))
    assert ids(client.take()) == ["m1"]
    assert world.refusal(a) == "RECIPIENT_UNKNOWN"
    with pytest.raises(FailedPrecondition) as caught:
        world.connect("client.k", "x", Wish("t"))
    assert caught.value.reason == "SUBSCRIPTION_SCOPE"


def test_a_refused_hello_leaves_the_connection_before_it_alone() -> None:
    """A wrong pattern or instance is refused before anything is changed."""
    world = World()
    b = world.connect("b", "one")
    for instance, wish in (("one", Wish("a..b")), ("one", Wish("a", "nonsense(")), ("/", Wish("a"))):
        with pytest.raises(InvalidArgument):
            world.connect("b", instance, wish)
    assert b.ended is None


# ---------------------------------------------------------------------------------------------- deliveries


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
    """A delay is kept to; without one the wait doubles; a terminal one goes to the dead letters with its reason."""
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
    assert world.broker.tenant("t").inboxes["b"].messages == 0


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


# ---------------------------------------------------------------------------------------------- reply and ack


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


# ---------------------------------------------------------------------------------------------- time


def test_delay_holds_back_and_ttl_ends() -> None:
    """A delayed message comes when it is due; one that outlived its ttl is a dead letter, or is gone if best effort."""
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
    assert "b/one" in world.broker.tenant("t").inboxes
    world.advance(1)
    assert "b/one" not in world.broker.tenant("t").inboxes
    assert world.dead() == [("b/one", "EXPIRED")]
    world.publish(a, to("b/one", "m2"))
    assert world.refusal(a) == "RECIPIENT_UNKNOWN"


def test_an_instance_that_says_goodbye_leaves_nothing_behind() -> None:
    """Its empty inbox is removed, from the journal as well; the agent's stays."""
    world = World()
    b = world.connect("b", "one")
    world.broker.end(b, None, meant=True)
    assert list(world.broker.tenant("t").inboxes) == ["b"]
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
