"""Connect over real sockets: what clients see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from pentad.bus.v1 import bus_pb2 as pb
from pentad_client import ClientConfig, Pentad, enveloped
from pentad_client.bus import Connection, Delivery, Subscription, new_message
from pentad_client.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PentadError,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from pentad_client.frames import ConnectRequest
from tests.fixtures.buses import OpenBus, Tenancy, new_tenancy

SECONDS = 10.0


async def take(connection: Connection, count: int) -> list[Delivery]:
    """The next deliveries, in order."""
    async with asyncio.timeout(SECONDS):
        return [await anext(connection) for _ in range(count)]


async def until(condition: Callable[[], Any]) -> None:
    """Waits until it is true."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.01)


def lost_before_confirming(seq: int) -> None:
    """In place of a link's method."""
    raise Unavailable("CONNECTION_LOST", "just before a publish was confirmed")


def texts(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.payload.data.decode() for delivery in deliveries]


def note(text: str, recipient: str = "reader", **fields: Any) -> pb.Message:
    return new_message("note", text, recipient=recipient, **fields)


async def test_messages_go_from_one_agent_to_another(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """In order, with the sender's name from its key, and once acked they are gone."""
    await open_bus()
    client = await tenancy.client()
    reader = await client.bus.connect("reader")
    writer = await client.bus.connect("writer")
    await asyncio.gather(*(writer.publish(note(str(n))) for n in range(1000)))
    seen = []
    for _ in range(1000):
        [delivery] = await take(reader, 1)
        assert delivery.message.sender == "writer"
        assert await delivery.ack()
        assert not await delivery.ack()
        seen += texts([delivery])
    assert seen == [str(n) for n in range(1000)]
    await reader.drain()
    assert [stats.in_flight for stats in await client.bus.queue_stats("reader")] == [0, 0]


async def test_many_are_published_together(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Any number, in order; those that are refused are named by place, and the rest are stored."""
    await open_bus(bus_max_message_bytes=2048)
    client = await tenancy.client()
    reader, writer = await client.bus.connect("reader", credit=8192), await client.bus.connect("writer")
    messages = [note(str(n)) for n in range(9000)]
    messages[10], messages[8500] = note("x" * 3000), note("y", "nobody")
    refused = await writer.publish_many(messages)
    assert [(place, error.reason) for place, error in refused] == [
        (10, "MESSAGE_TOO_LARGE"),
        (8500, "RECIPIENT_UNKNOWN"),
    ]
    assert await writer.publish_many([]) == []
    seen = []
    for _ in range(8998):
        [delivery] = await take(reader, 1)
        await delivery.ack()
        seen += texts([delivery])
    assert seen == [str(n) for n in range(9000) if n not in (10, 8500)]
    await writer.close()
    with pytest.raises(Unavailable):
        await writer.publish_many([note("late")])


async def test_single_messages_flow_while_others_are_unconfirmed(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """What waits for the confirmation of frames under way goes with it, and none is left behind."""
    await open_bus()
    client = await tenancy.client()
    reader, writer = await client.bus.connect("reader", credit=1000), await client.bus.connect("writer")
    futures = []
    for number in range(500):
        futures.append(writer.publish_soon(note(str(number))))
        await asyncio.sleep(0)
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*futures)
    assert texts(await take(reader, 500)) == [str(number) for number in range(500)]


async def test_what_nobody_waits_for_is_confirmed_in_company(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Of frames that say so several are confirmed together; one that does not takes them all along."""
    await open_bus()
    client = await tenancy.client()
    await client.bus.connect("reader")
    stream = client.bus._open_stream()
    await stream.write(pb.ConnectRequest(hello=pb.Hello(agent="writer")))
    confirmed: list[int] = []
    for seq in range(1, 102):
        batch = pb.ClientBatch(
            publishes=[pb.Publish(seq=seq, message=note(str(seq)))], confirm_later=seq < 101
        )
        await stream.write(pb.ConnectRequest(batch=batch))
    async with asyncio.timeout(SECONDS):
        while not confirmed or confirmed[-1] < 101:
            frame = await stream.read()
            confirmed += [frame.batch.confirmed_up_to] if frame.WhichOneof("frame") == "batch" else []
        assert confirmed == sorted(set(confirmed))
        assert len(confirmed) < 80
        await stream.write(
            pb.ConnectRequest(
                batch=pb.ClientBatch(
                    publishes=[pb.Publish(seq=102, message=note("last"))], confirm_later=True
                )
            )
        )
        assert (await stream.read()).batch.confirmed_up_to == 102
    stream.cancel()


async def test_what_is_sent_is_forgotten(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """`send` keeps the order, tells nobody but `on_refused` what was not taken, and `flush` waits for all."""
    await open_bus()
    client = await tenancy.client()
    reader, writer = await client.bus.connect("reader", credit=1000), await client.bus.connect("writer")
    refused: list[str] = []
    writer.on_refused = lambda error: refused.append(error.reason)
    for number in range(600):
        await writer.send(note(str(number)))
        if not number % 100:
            writer.publish_soon(note(f"{number} durable"))
    await writer.send(note("nobody", "nobody"))
    await writer.send(note("x" * 2_000_000))
    async with asyncio.timeout(SECONDS):
        await writer.flush()
    assert sorted(refused) == ["MESSAGE_TOO_LARGE", "RECIPIENT_UNKNOWN"]
    deliveries = await take(reader, 606)
    sent = [item for item in deliveries if item.message.durability == pb.DURABILITY_BEST_EFFORT]
    assert texts(sent) == [str(number) for number in range(600)]
    stored = [item for item in deliveries if item.message.durability == pb.DURABILITY_DURABLE]
    assert texts(stored) == [f"{number} durable" for number in range(0, 600, 100)]
    await writer.close()
    with pytest.raises(Unavailable):
        await writer.send(note("late"))


async def test_what_was_sent_on_a_lost_link_is_not_sent_again(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """What was under way may be lost and never comes twice; what still waited goes with the next link."""
    await open_bus()
    client = await tenancy.client()
    reader, writer = await client.bus.connect("reader", credit=1000), await client.bus.connect("writer")
    link = writer._link
    assert link is not None
    link._confirm = lost_before_confirming  # type: ignore[method-assign]
    for number in range(10):
        await writer.send(note(str(number)))
    await until(lambda: writer._link is not link)
    for number in range(10, 20):
        await writer.send(note(str(number)))
    async with asyncio.timeout(SECONDS):
        await writer.flush()
    await writer.publish(note("end"))
    seen: list[str] = []
    while not seen or seen[-1] != "end":
        seen += texts(await take(reader, 1))
    assert seen == [*map(str, range(20)), "end"]


async def test_acks_that_waited_for_company_are_sent(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """An ack on its own reaches the bus a little later; closing the connection takes it along."""
    await open_bus()
    client = await tenancy.client()
    reader, writer = await client.bus.connect("reader"), await client.bus.connect("writer")
    await writer.publish_many([note("one"), note("two")])
    first, second = await take(reader, 2)
    await first.ack()

    async def held() -> int:
        return sum(stats.in_flight for stats in await client.bus.queue_stats("reader"))

    async with asyncio.timeout(SECONDS):
        while await held() != 1:  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.01)
    await second.ack()
    await reader.close()
    assert await held() == 0


async def test_a_request_is_answered_and_the_task_is_gone(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """`reply` answers to whoever asked, with the correlation id, and acks in the same step."""
    await open_bus()
    worker = await (await tenancy.client("agent", "worker")).bus.connect()
    person = await tenancy.client("client")
    asking = await person.bus.connect()
    question = asyncio.create_task(asking.request(note("2+2", "worker", run_id="run-1"), timeout=SECONDS))
    [task] = await take(worker, 1)
    assert task.message.reply_to == asking.address
    await task.reply("answer", {"sum": 4})
    answer = await question
    assert (answer.sender, answer.type, answer.run_id) == ("worker", "answer", "run-1")
    assert answer.payload.data == b'{"sum":4}'
    assert answer.hops == 1
    assert task.stale
    assert [stats.in_flight for stats in await person.bus.queue_stats("worker")] == [0, 0]


async def test_every_refusal_reaches_its_own_publish(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Publishes that are refused raise, the ones around them do not."""
    await open_bus(bus_max_message_bytes=2048)
    client = await tenancy.client()
    reader, writer = await client.bus.connect("reader"), await client.bus.connect("writer")
    results = await asyncio.gather(
        writer.publish(note("one")),
        writer.publish(note("x" * 3000)),
        writer.publish(note("y", "nobody")),
        writer.publish(note("two")),
        return_exceptions=True,
    )
    reasons = [result.reason if isinstance(result, PentadError) else None for result in results]
    assert reasons == [None, "MESSAGE_TOO_LARGE", "RECIPIENT_UNKNOWN", None]
    assert texts(await take(reader, 2)) == ["one", "two"]


async def test_nack_progress_and_redelivery(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """What is given back or runs out comes again with the next attempt; progress keeps it."""
    await open_bus(bus_ack_wait_seconds=1.0)
    client = await tenancy.client()
    reader, writer = await client.bus.connect("reader"), await client.bus.connect("writer")
    stale: list[str] = []
    reader.on_stale = lambda _tag, error: stale.append(error.reason)
    await writer.publish(note("work"))
    [first] = await take(reader, 1)
    await first.nack(delay=0, reason="busy")
    [second] = await take(reader, 1)
    assert (first.attempt, second.attempt) == (1, 2)
    for _ in range(6):
        await asyncio.sleep(0.3)
        assert second.progress()
    [third] = await take(reader, 1)
    assert third.attempt == 3
    await second.ack()
    await until(lambda: stale == ["DELIVERY_EXPIRED"])
    await third.ack()


async def test_a_late_reply_is_refused(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """The answer of one who took too long is not sent; the one who got the task next may answer."""
    await open_bus(bus_ack_wait_seconds=0.3)
    client = await tenancy.client()
    slow, writer = await client.bus.connect("worker", credit=1), await client.bus.connect("writer")
    await writer.publish(note("task", "worker"))
    [late] = await take(slow, 1)
    quick = await client.bus.connect("worker")
    [task] = await take(quick, 1)
    with pytest.raises(FailedPrecondition) as caught:
        await late.reply("answer", "late")
    assert caught.value.reason == "DELIVERY_EXPIRED"
    await task.reply("answer", "in time")
    assert texts(await take(writer, 1)) == ["in time"]


async def test_credit_bounds_what_is_open(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """No more than the credit is delivered before something is settled; 0 pauses."""
    await open_bus()
    client = await tenancy.client()
    person = await tenancy.client("client")
    reader, writer = await client.bus.connect("reader", credit=2), await client.bus.connect("writer")
    await asyncio.gather(*(writer.publish(note(str(n))) for n in range(5)))
    first = await take(reader, 2)

    async def held() -> tuple[int, int]:
        shared = (await person.bus.queue_stats("reader"))[0]
        return shared.in_flight, shared.queued

    assert await held() == (2, 3)
    reader.set_credit(0)
    for delivery in first:
        await delivery.ack()
    await reader.drain()
    assert await held() == (0, 3)
    reader.set_credit(10)
    assert texts(await take(reader, 3)) == ["2", "3", "4"]


async def test_broadcasts_topics_and_filters(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Subscriptions from the hello and later ones; broadcast to all others."""
    await open_bus()
    client = await tenancy.client()
    wanted = Subscription("orders.>", "priority >= HIGH")
    one = await client.bus.connect("one", subscriptions=[wanted, "plain"])
    two = await client.bus.connect("two")
    await two.subscribe("orders.*", 'headers["region"] == "eu"', scope="instance")
    eu = {"region": "eu"}
    await two.publish(new_message("order", "low", topic="orders.eu", headers=eu))
    await two.publish(new_message("order", "high", topic="orders.us", priority="high"))
    await two.publish(new_message("order", "both", topic="orders.eu", priority="critical", headers=eu))
    await one.publish(new_message("hello", "to all", broadcast=True))
    assert texts(await take(one, 2)) == ["high", "both"]
    seen = await take(two, 3)
    assert sorted(texts(seen)) == ["both", "low", "to all"]
    assert {delivery.subscription for delivery in seen} == {"orders.*", ""}
    await two.unsubscribe("orders.*", scope="instance")
    with pytest.raises(InvalidArgument) as caught:
        await two.subscribe("orders", "priority >")
    assert caught.value.reason == "FILTER_INVALID"


async def test_a_higher_priority_goes_first(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Of what waits, the urgent comes first."""
    await open_bus()
    client = await tenancy.client()
    reader, writer = await client.bus.connect("reader", credit=0), await client.bus.connect("writer")
    for priority in ("low", "normal", "high", "critical"):
        await writer.publish(note(priority, priority=priority))
    reader.set_credit(10)
    assert texts(await take(reader, 4)) == ["critical", "high", "normal", "low"]


async def test_a_key_is_good_for_its_names_alone(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Another name is refused, a single name need not be said, several must be, and a wrong key is no key."""
    await open_bus()
    single = await tenancy.client("agent", "writer")
    assert (await single.bus.connect()).agent == "writer"
    several = await tenancy.client("agent", "writer", "critic")
    with pytest.raises(InvalidArgument) as unsaid:
        await several.bus.connect()
    assert unsaid.value.reason == "AGENT_REQUIRED"
    for client, agent in ((single, "critic"), (several, "pentad.orchestrator")):
        with pytest.raises(PermissionDenied) as refused:
            await client.bus.connect(agent)
        assert refused.value.reason == "AGENT_NOT_GRANTED"
    with pytest.raises(PermissionDenied):
        await (await tenancy.client("client")).bus.connect("writer")
    async with Pentad(ClientConfig(api_key="pentad_x_y", bus_address=tenancy.address)) as stranger:
        with pytest.raises(Unauthenticated):
            await stranger.bus.connect("writer")


async def test_tenants_do_not_meet(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """The same agent name in two tenants is two inboxes; a service acts for one tenant at a time."""
    await open_bus()
    other = new_tenancy(tenancy.database)
    other.address = tenancy.address
    try:
        here = await (await tenancy.client()).bus.connect("reader")
        there = await (await other.client()).bus.connect("reader")
        await here.publish(note("mine"))
        with pytest.raises(NotFound):
            await there.publish(note("x", here.address))
        service = await tenancy.client("service")
        with enveloped(on_behalf_of=other.tenant_id):
            bridge = await service.bus.connect("pentad.orchestrator")
        await bridge.publish(note("from a service"))
        assert texts(await take(there, 1)) == ["from a service"]
        assert texts(await take(here, 1)) == ["mine"]
    finally:
        await other.close()


async def test_topics_of_the_services(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Only a service publishes on `pentad.…`: nobody else cancels a run by saying so. All may listen."""
    await open_bus()
    client = await tenancy.client()
    listener = await client.bus.connect("listener", subscriptions=["pentad.cancel.*"])
    for publish in (listener.publish, (await tenancy.client("client")).bus.publish):
        with pytest.raises(PermissionDenied) as caught:
            await publish(new_message("pentad.cancel", "stop", topic="pentad.cancel.x"))
        assert caught.value.reason == "TOPIC_RESERVED"
    service = await (await tenancy.client("service")).bus.connect("pentad.orchestrator")
    await service.publish(new_message("pentad.cancel", "stop", topic="pentad.cancel.x"))
    assert texts(await take(listener, 1)) == ["stop"]


async def test_the_same_instance_takes_over(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """The first connection ends with a reason and does not come back; the second has what was open."""
    await open_bus()
    client = await tenancy.client()
    first = await client.bus.connect("reader", instance="one")
    writer = await client.bus.connect("writer")
    await writer.publish(note("work"))
    [mine] = await take(first, 1)
    second = await client.bus.connect("reader", instance="one")
    assert texts(await take(second, 1)) == ["work"]
    with pytest.raises(Aborted) as caught:
        await take(first, 1)
    assert caught.value.reason == "INSTANCE_TAKEN_OVER"
    assert not await mine.ack()


async def test_a_goodbye_hands_over_without_an_attempt_and_a_loss_with_one(
    open_bus: OpenBus, tenancy: Tenancy
) -> None:
    """Both hand what is open to another instance at once."""
    await open_bus()
    client = await tenancy.client()
    writer = await client.bus.connect("writer")
    leaving = await client.bus.connect("reader", instance="leaving")
    await writer.publish(note("work"))
    await take(leaving, 1)
    await leaving.close()
    lost = await client.bus.connect("reader", instance="lost")
    [again] = await take(lost, 1)
    assert again.attempt == 1
    assert lost._task is not None
    lost._task.cancel()
    [third] = await take(await client.bus.connect("reader"), 1)
    assert third.attempt == 2


async def test_a_connection_ends_with_its_client(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """It says what is left and goodbye, and does not come back."""
    await open_bus()
    config = ClientConfig(api_key=await tenancy.key(), bus_address=tenancy.address)
    async with Pentad(config) as client:
        reader = await client.bus.connect("reader")
        await reader.publish(note("x"))
        [delivery] = await take(reader, 1)
        await delivery.ack()
    with pytest.raises(StopAsyncIteration):
        await anext(reader)
    with pytest.raises(Unavailable):
        await reader.publish(note("y"))
    [stats] = await (await tenancy.client("client")).bus.queue_stats("reader")
    assert (stats.queued, stats.in_flight, stats.consumers) == (0, 0, 0)


async def test_the_first_frame_is_a_hello(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Anything else ends the stream with a reason, as do a malformed frame and a batch that is too large."""
    await open_bus()
    client = await tenancy.client()

    async def answer(*frames: pb.ConnectRequest) -> str:
        stream = client.bus._open_stream()
        try:
            for frame in frames:
                await stream.write(frame)
            async with asyncio.timeout(SECONDS):
                while await stream.read() is not None:
                    pass
        except PentadError as error:
            return error.reason
        return "OK"

    hello = pb.ConnectRequest(hello=pb.Hello(agent="reader"))
    many = pb.ConnectRequest(batch=pb.ClientBatch(publishes=[pb.Publish(seq=n) for n in range(257)]))
    assert await answer(pb.ConnectRequest(batch=pb.ClientBatch())) == "HELLO_EXPECTED"
    assert await answer(hello, hello) == "FRAME_UNEXPECTED"
    assert await answer(hello, many) == "BATCH_TOO_LARGE"
    assert await answer(hello, pb.ConnectRequest(goodbye=pb.Goodbye(reason="x" * 300))) == "OK"
    negative = pb.ConnectRequest(batch=pb.ClientBatch(credit=pb.Credit(messages=-1)))
    assert await answer(hello, negative) == "INVALID_REQUEST"


async def test_a_malformed_message_is_refused_alone(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """A message whose bytes cannot be read is rejected; the one behind it and the connection are not."""
    await open_bus()
    good = note("good", "reader").SerializeToString()
    frame = ConnectRequest()
    frame.batch.publishes.add(seq=1, message=b"\xff\xff")
    frame.batch.publishes.add(seq=2, message=good)
    hello = pb.ConnectRequest(hello=pb.Hello(agent="reader", take_inbox=True, credit=pb.Credit(messages=9)))
    metadata = [("authorization", f"Bearer {await tenancy.key()}")]
    async with grpc.aio.insecure_channel(tenancy.address) as channel:
        call: Any = channel.stream_stream(
            "/pentad.bus.v1.BusService/Connect", bytes, pb.ConnectResponse.FromString
        )
        stream = call(metadata=metadata)
        await stream.write(hello.SerializeToString())
        assert (await stream.read()).WhichOneof("frame") == "welcome"
        await stream.write(frame.SerializeToString())
        answers: list[pb.ConnectResponse] = []
        while not any(answer.batch.deliveries for answer in answers):
            answers.append(await stream.read())
    [rejection] = [item for answer in answers for item in answer.batch.rejections]
    assert (rejection.seq, rejection.error.reason) == (1, "MESSAGE_MALFORMED")


async def test_an_answer_that_is_sent_again_settles_nothing_of_the_new_link(
    open_bus: OpenBus, tenancy: Tenancy
) -> None:
    """Its delivery's tag means another delivery there, which is still to be acked."""
    await open_bus()
    client = await tenancy.client()
    sender, worker = await client.bus.connect("sender"), await client.bus.connect("worker", credit=1)
    await sender.publish(note("one", "worker"))
    await sender.publish(note("two", "worker"))
    [first] = await take(worker, 1)
    first.link._confirm = lost_before_confirming  # type: ignore[method-assign]
    await first.reply("done", "1")
    [second] = await take(worker, 1)
    assert (texts([second]), second.tag) == (["two"], first.tag)
    assert await second.ack()


async def test_a_subscription_against_the_rules_is_refused_alone(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Whatever is wrong with it, the connection goes on."""
    await open_bus()
    client = await tenancy.client()
    reader = await client.bus.connect("reader")
    for pattern, condition in (("", ""), ("x" * 256, ""), ("a", "x" * 2049), ("a..b", ""), ("a", "type ==")):
        with pytest.raises(InvalidArgument):
            await reader.subscribe(pattern, condition)
    await reader.publish(note("still here", "reader"))
    assert texts(await take(reader, 1)) == ["still here"]


async def test_an_inbox_has_so_many_subscriptions_and_no_more(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Neither by one more, nor by a Hello; those that are there can be renewed and ended."""
    await open_bus()
    client = await tenancy.client()
    for hello in range(4):
        patterns = [f"news.{hello}.{number}" for number in range(256)]
        await (await client.bus.connect("reader", "one", patterns)).close()
    reader = await client.bus.connect("reader", "one", ["news.0.0"])
    for wanted in (reader.subscribe("more"), client.bus.connect("reader", "two", ["more"])):
        with pytest.raises(FailedPrecondition, match="1024 are the most"):
            await wanted
    await reader.unsubscribe("news.0.0")
    await reader.subscribe("more")
    await reader.publish(new_message("note", "x", topic="more"))
    assert texts(await take(reader, 1)) == ["x"]


async def test_many_refusals_of_long_names_fit_into_a_frame(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """A refusal does not repeat a name that is far too long: the frame would not go through the transport."""
    await open_bus()
    client = await tenancy.client()
    sender = await client.bus.connect("sender")
    long = [sender.publish(note("x", "y" * 65_000)) for _ in range(60)]
    refused = await asyncio.gather(*long, return_exceptions=True)
    assert {getattr(error, "reason", "") for error in refused} == {"INVALID_REQUEST"}
    assert sender.connected


async def test_any_number_of_subscriptions_outlives_a_lost_connection(
    open_bus: OpenBus, tenancy: Tenancy
) -> None:
    """More than a Hello may have are asked for after it."""
    await open_bus()
    client = await tenancy.client()
    reader = await client.bus.connect("reader", credit=400)
    for number in range(300):
        await reader.subscribe(f"news.{number}", scope="instance")
    link: Any = reader._link
    link._confirm = lost_before_confirming
    await reader.publish(new_message("note", "nobody has it", topic="other"))
    assert reader._link is not link
    await reader.subscribe("last")
    await reader.publish(new_message("note", "x", topic="news.299"))
    assert texts(await take(reader, 1)) == ["x"]
