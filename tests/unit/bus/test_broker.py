"""The broker's rules, with clocks and a ledger moved by hand."""

from __future__ import annotations

import pytest

from pentad.bus.v1.bus_pb2 import PRIORITY_CRITICAL, Message
from pentad_bus.broker import Caller, Wish
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


@pytest.mark.parametrize("tag", [b"\x52", b"\xd2\x00", b"\xd2\x80\x00", b"\xd2\x80\x80\x80\x00"])
def test_no_way_of_encoding_hides_a_header(tag: bytes) -> None:
    """A number may have more bytes than it needs: a header of the platform's is found all the same."""
    world = World()
    a = world.connect("a")
    entry = b"\x0a\x0fpentad-replayed\x12\x01x"
    body = to("a", "m1").SerializeToString() + tag + bytes([len(entry)]) + entry
    assert Message.FromString(body).headers == {"pentad-replayed": "x"}
    world.broker.publish_batch(a, [(1, body, 0)])
    [(_, error)] = a.rejections
    assert error.reason == "HEADER_RESERVED"


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
    world.publish(a, to("b", "m4", payload={"data": b"x" * 500}), to("b", payload={"data": b"x" * 500}))
    assert world.refusal(a) == "QUEUE_FULL"
    assert ids(b.take()) == ["m4"]


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
    """Two matching subscriptions of an agent bring one copy; a subscription of scope INSTANCE
    brings its own.
    """
    world = World()
    a = world.connect("a")
    one = world.connect("b", "one", Wish("orders.*"), Wish("orders.>"))
    two = world.connect("c", "two", Wish("orders.eu", shared=False))
    world.publish(a, on("orders.eu", "m1"), on("orders.us", "m2"), on("other", "m3"))
    assert ids(one.take()) == ["m1", "m2"]
    [(_, entry)] = two.take()
    assert (entry.id, entry.subscription, entry.stored) == ("m1", "orders.eu", False)


def test_an_agents_subscription_outlives_its_connections() -> None:
    """What matches while nobody is connected waits; an instance's own subscription ends with its
    connection.
    """
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


def test_an_inbox_has_so_many_subscriptions_and_no_more() -> None:
    """Neither by one more, nor by a Hello; those that are there can be renewed and ended."""
    world = World()
    caller = Caller("t", "b")
    for hello in range(4):
        world.connect("b", "one", *(Wish(f"t.{hello}.{number}") for number in range(256)))
    b = world.connect("b", "one", Wish("t.0.0"))
    with pytest.raises(FailedPrecondition, match="1024 are the most"):
        world.broker.subscribe(b, caller, Wish("more"))
    with pytest.raises(FailedPrecondition, match="1024 are the most"):
        world.connect("b", "two", Wish("more"))
    world.broker.unsubscribe(b, Wish("t.0.0"))
    world.broker.subscribe(b, caller, Wish("more"))
