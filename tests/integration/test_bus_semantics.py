"""What the bus promises beside delivery: dead letters, replay, queue policies, quotas, handlers of types."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from pentad.bus.v1 import bus_pb2 as pb
from pentad_client import Pentad
from pentad_client.bus import Delivery, QueuePolicy, message_filter, new_message
from pentad_client.errors import InvalidArgument, NotFound, PentadError, ResourceExhausted, Unimplemented
from tests.fixtures.buses import BusProcess, OpenBus, Tenancy

SECONDS = 30.0
EXAMPLE = Path(__file__).parents[2] / "examples" / "message-type"


def note(text: str, recipient: str = "reader", **fields: Any) -> pb.Message:
    return new_message("note", text, recipient=recipient, **fields)


async def opened(tenancy: Tenancy, *agents: str) -> Pentad:
    """A client of role client; the agents have inboxes, and are not connected."""
    client = await tenancy.client()
    for agent in agents:
        await (await client.bus.connect(agent)).close()
    return await tenancy.client("client")


async def take(connection: Any, count: int) -> list[Delivery]:
    async with asyncio.timeout(SECONDS):
        return [await anext(connection) for _ in range(count)]


def texts(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.payload.data.decode() for delivery in deliveries]


async def test_a_dead_letter_says_what_became_of_each_attempt(
    bus_process: BusProcess, tenancy: Tenancy
) -> None:
    """Who had it and what was said, also of attempts before a restart; it can be purged, once. On Redis, the
    end of a bus process that had it is an attempt too.
    """
    client, person = await tenancy.client(), await opened(tenancy, "reader")
    first = await client.bus.connect("reader", "first")
    await person.bus.publish(note("one"))
    await (await take(first, 1))[0].nack(delay=0, reason="busy")
    await take(first, 1)
    await asyncio.sleep(0.2)  # a nack is stored within 10 ms
    await asyncio.to_thread(bus_process.kill)
    await asyncio.to_thread(bus_process.start)
    [again] = await take(first, 1)
    await again.nack(reason="never", terminal=True)
    async with asyncio.timeout(SECONDS):
        while not (found := (await person.bus.list_dead_letters()).dead_letters):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    letter = await person.bus.get_dead_letter(found[0].dead_letter_id)
    attempts = [
        (one.instance, one.outcome, one.detail)
        for one in letter.history
        if one.detail != "the bus process that had it ended"
    ]
    assert attempts == [("reader/first", "NACKED", "busy"), ("reader/first", "REJECTED", "never")]
    assert [one.attempt for one in letter.history] == list(range(1, letter.attempts + 1))
    assert await person.bus.purge([letter.dead_letter_id]) == 1
    assert await person.bus.purge(all=True) == 0
    with pytest.raises(NotFound) as caught:
        await person.bus.get_dead_letter(letter.dead_letter_id)
    assert caught.value.reason == "DEAD_LETTER_NOT_FOUND"
    with pytest.raises(InvalidArgument):
        await person.bus.purge()


async def test_redrive_puts_back_what_fits(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """All of all inboxes; what has no room stays a dead letter."""
    await open_bus(bus_max_queue_messages=2)
    client, person = await tenancy.client(), await opened(tenancy, "reader", "other")
    reader, other = await client.bus.connect("reader"), await client.bus.connect("other")
    for line, name in ((reader, "reader"), (reader, "reader"), (reader, "reader"), (other, "other")):
        await person.bus.publish(note("x", name))
        await (await take(line, 1))[0].nack(terminal=True)
    await reader.drain()
    assert len((await person.bus.list_dead_letters()).dead_letters) == 4
    assert await person.bus.redrive(all=True) == 3
    with pytest.raises(ResourceExhausted):
        await person.bus.redrive(recipient="reader")
    assert len((await person.bus.list_dead_letters()).dead_letters) == 1


async def test_history_is_replayed_into_an_inbox(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """What the filter takes, oldest first, marked as replayed, in as many calls as one likes; copies are not
    replayed again.
    """
    await open_bus()
    client, person = await tenancy.client(), await opened(tenancy, "reader", "auditor")
    for number in range(7):
        await person.bus.publish(note(str(number), run_id="odd" if number % 2 else "even"))
    auditor = await client.bus.connect("auditor")
    part = await person.bus.replay("auditor", message_filter(run_id="even"), max_messages=3)
    rest = await person.bus.replay("auditor", message_filter(run_id="even"), after=part.next_cursor)
    assert (part.replayed, rest.replayed, rest.next_cursor) == (3, 1, "")
    seen = await take(auditor, 4)
    assert texts(seen) == ["0", "2", "4", "6"]
    assert all(delivery.message.headers["pentad-replayed"] for delivery in seen)
    assert (await person.bus.replay("auditor")).replayed == 7
    assert texts(await take(auditor, 7)) == [str(n) for n in range(7)]
    with pytest.raises(NotFound):
        await person.bus.replay("nobody")


async def test_marks_of_the_platform_cannot_be_forged(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """A header that begins with `pentad-` is refused from users, by name and with what to do, on a connection
    and alone; a service may set its own, but not the bus's.
    """
    await open_bus()
    person, client = await opened(tenancy, "reader"), await tenancy.client()
    service = await (await tenancy.client("service")).bus.connect("pentad.orchestrator")
    agent, reader = await client.bus.connect("writer"), await client.bus.connect("reader")
    for publish in (agent.publish, person.bus.publish):
        for name in ("pentad-replayed", "pentad-budget", "pentad-anything", "Pentad-Replayed"):
            with pytest.raises(InvalidArgument) as caught:
                await publish(note("x", headers={"fine": "1", name: "2026-01-01T00:00:00Z"}))
            assert (caught.value.reason, caught.value.metadata) == ("HEADER_RESERVED", {"header": name})
            assert name in str(caught.value) and f"'x-{name[7:]}'" in str(caught.value)
    with pytest.raises(InvalidArgument, match="pentad-replayed"):
        await service.publish(note("x", headers={"pentad-replayed": "now"}))
    await service.publish(note("task", headers={"pentad-budget": "tokens=1"}))
    await agent.publish(note("own", headers={"budget": "1", "x-pentad-a": "2"}))
    assert sorted(texts(await take(reader, 2))) == ["own", "task"]
    again = await person.bus.replay("reader")
    assert (again.replayed, [item.attempt for item in await take(reader, 2)]) == (2, [1, 1])
    assert (await person.bus.replay("reader")).replayed == 2


async def test_replay_stops_where_the_inbox_is_full(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """And goes on from there."""
    await open_bus()
    client, person = await tenancy.client(), await opened(tenancy, "reader")
    for number in range(5):
        await person.bus.publish(note(str(number)))
    narrow = await client.bus.connect("narrow", credit=0, queue=QueuePolicy(max_messages=3))
    part = await person.bus.replay("narrow")
    assert part.replayed == 3
    with pytest.raises(ResourceExhausted) as caught:
        await person.bus.replay("narrow", after=part.next_cursor)
    assert caught.value.reason == "QUEUE_FULL"
    narrow.set_credit(10)
    for delivery in await take(narrow, 3):
        await delivery.ack()
    await narrow.drain()
    assert (await person.bus.replay("narrow", after=part.next_cursor)).replayed == 2


async def test_a_queue_policy_survives_a_restart(bus_process: BusProcess, tenancy: Tenancy) -> None:
    """An inbox that drops its oldest does so while its agent is away, and says so."""
    client, person = await tenancy.client(), await tenancy.client("client")
    policy = QueuePolicy(max_messages=2, overflow="drop-oldest")
    await (await client.bus.connect("reader", queue=policy)).close()
    await asyncio.to_thread(bus_process.kill)
    await asyncio.to_thread(bus_process.start)
    for number in range(5):
        await person.bus.publish(note(str(number)))
    stats = (await person.bus.queue_stats("reader"))[0]
    assert (stats.queued, stats.dropped, stats.max_messages, stats.dead_letters) == (2, 3, 2, 3)
    assert stats.overflow == pb.QUEUE_OVERFLOW_DROP_OLDEST
    assert texts(await take(await client.bus.connect("reader"), 2)) == ["3", "4"]


async def test_a_tenant_that_sends_too_fast_is_told_when_to_go_on(
    open_bus: OpenBus, tenancy: Tenancy
) -> None:
    """RESOURCE_EXHAUSTED with a retry hint that holds."""
    await open_bus(bus_tenant_messages_per_second=5)
    person = await opened(tenancy, "reader")
    with pytest.raises(ResourceExhausted) as caught:
        for _ in range(100):
            await person.bus.publish(note("x"))
    assert caught.value.reason == "RATE_QUOTA_EXCEEDED"
    assert 0 < (caught.value.retry_after or 0) <= 0.2
    await asyncio.sleep(caught.value.retry_after or 0)
    await person.bus.publish(note("y"))


async def test_retention_by_size_and_by_age(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Only so many bytes of history stay; of what is too old, nothing, dead letters included."""
    bus = await open_bus(bus_history_max_bytes=20_000, bus_history_days=1e-5, bus_dead_letter_days=1e-5)
    client, person = await tenancy.client(), await opened(tenancy, "reader")
    reader = await client.bus.connect("reader")
    for number in range(40):
        await person.bus.publish(note("x" * 1000))
        await (await take(reader, 1))[0].nack(terminal=True) if number == 0 else None
        await (await take(reader, 1))[0].ack() if number else None
    await reader.drain()
    await bus.sweep()
    assert len((await person.bus.list_messages(page_size=100)).messages) <= 19
    await asyncio.sleep(1.0)
    await person.bus.publish(note("new"))
    await bus.sweep()
    assert len((await person.bus.list_messages()).messages) == 1
    assert not (await person.bus.list_dead_letters()).dead_letters


async def test_a_connection_has_handlers_by_type(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """What they return is the answer; what they raise gives the message back; other types are iterated."""
    await open_bus(bus_ack_wait_seconds=0.6, bus_retry_backoff_seconds=0.01)
    client = await tenancy.client()
    shop, asking = await client.bus.connect("shop"), await client.bus.connect("asking")
    attempts: list[int] = []

    @shop.on("order")
    async def order(delivery: Delivery) -> dict[str, int]:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            raise ValueError("not yet")
        await asyncio.sleep(1.5)  # longer than ack_wait
        return {"shipped": 1}

    with pytest.raises(ValueError, match="already"):
        shop.on("order")(order)
    answer = await asking.request(new_message("order", "x", recipient="shop"), timeout=SECONDS)
    assert (answer.payload.data, answer.hops, attempts) == (b'{"shipped":1}', 1, [1, 2])
    await asking.publish(note("other", "shop"))
    assert texts(await take(shop, 1)) == ["other"]
    assert not (await (await tenancy.client("client")).bus.list_dead_letters()).dead_letters


async def test_a_handler_that_acks_may_still_answer(
    open_bus: OpenBus, tenancy: Tenancy, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it returns after its own ack is sent as the answer; after its own answer it is an error that the
    log names.
    """
    await open_bus()
    client = await tenancy.client()
    shop, asking = await client.bus.connect("shop"), await client.bus.connect("asking")

    @shop.on("order")
    async def order(delivery: Delivery) -> dict[str, int]:
        await delivery.ack()
        return {"shipped": 1}

    @shop.on("question")
    async def question(delivery: Delivery) -> str:
        await delivery.reply("response", "first")
        return "second"

    answer = await asking.request(new_message("order", "x", recipient="shop"), timeout=SECONDS)
    assert (answer.type, answer.payload.data, answer.hops) == ("response", b'{"shipped":1}', 1)
    answer = await asking.request(new_message("question", "x", recipient="shop"), timeout=SECONDS)
    assert answer.payload.data == b"first"
    said = ""
    async with asyncio.timeout(SECONDS):
        while "the handler of 'question' returned a value that goes nowhere" not in said:
            await asyncio.sleep(0.01)
            said += capsys.readouterr().err
    person = await tenancy.client("client")
    assert len((await person.bus.list_messages()).messages) == 4


async def test_a_requester_learns_at_once_that_nobody_handles_its_type(
    open_bus: OpenBus, tenancy: Tenancy
) -> None:
    """By an error with the types there are; the message is a dead letter. What is no request, and what an
    iteration takes, is not refused.
    """
    await open_bus()
    client = await tenancy.client()
    shop, asking = await client.bus.connect("shop"), await client.bus.connect("asking")
    early = asyncio.create_task(asking.request(note("early", "shop"), timeout=SECONDS))
    await asyncio.sleep(0.05)
    shop.on("order")(_shipped)
    shop.on("note")(_shipped)
    assert (await early).payload.data == b"shipped"
    with pytest.raises(Unimplemented) as caught:
        await asking.request(new_message("ordre", "x", recipient="shop"), timeout=SECONDS)
    assert caught.value.reason == "MESSAGE_TYPE_UNKNOWN"
    assert caught.value.metadata == {"agent": "shop", "type": "ordre", "handled": "note, order"}
    assert "'ordre'" in str(caught.value) and "note, order" in str(caught.value)
    person = await tenancy.client("client")
    [letter] = await dead(person, 1)
    assert (letter.reason, letter.detail) == ("REJECTED", str(caught.value))
    await asking.publish(new_message("ordre", "no request", recipient="shop"))
    assert texts(await take(shop, 1)) == ["no request"]
    request = asyncio.create_task(asking.request(new_message("ordre", "y", recipient="shop"), SECONDS))
    [delivery] = await take(shop, 1)
    await delivery.reply("response", "by hand")
    assert (await request).payload.data == b"by hand"


async def test_a_requester_learns_of_the_last_failure(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """A handler that raises is tried again; when it is not any more, the request raises what it did."""
    await open_bus(bus_max_attempts=2, bus_retry_backoff_seconds=0.01)
    client = await tenancy.client()
    shop, asking = await client.bus.connect("shop"), await client.bus.connect("asking")
    attempts: list[int] = []

    @shop.on("order")
    async def order(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        raise NotFound("ITEM_UNKNOWN", "there is no such item", item=7)

    @shop.on("count")
    async def count(delivery: Delivery) -> None:
        raise ValueError("cannot count")

    with pytest.raises(NotFound) as caught:
        await asking.request(new_message("order", "x", recipient="shop"), timeout=SECONDS)
    assert (caught.value.reason, caught.value.metadata, attempts) == ("ITEM_UNKNOWN", {"item": "7"}, [1, 2])
    with pytest.raises(PentadError, match="ValueError: cannot count") as failed:
        await asking.request(new_message("count", "x", recipient="shop"), timeout=SECONDS)
    assert failed.value.reason == "HANDLER_FAILED"
    letters = await dead(await tenancy.client("client"), 2)
    assert {letter.reason for letter in letters} == {"MAX_ATTEMPTS"}


async def dead(person: Pentad, count: int) -> list[pb.DeadLetter]:
    """The dead letters, when there are so many."""
    async with asyncio.timeout(SECONDS):
        while len(found := (await person.bus.list_dead_letters()).dead_letters) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return list(found)


async def _shipped(delivery: Delivery) -> str:
    return "shipped"


async def test_an_installed_package_handles_a_type(sqlite_url: str, tmp_path: Path, tenancy: Tenancy) -> None:
    """The example's package, as an installer leaves it, with the broker as it is."""
    site = tmp_path / "site"
    command = [sys.executable, "-m", "uv", "pip", "install", "-q", "--offline", "--no-deps"]
    options = ["--no-build-isolation", "--python", sys.executable, "--target", str(site), str(EXAMPLE)]
    installing = await asyncio.create_subprocess_exec(*command, *options)
    assert await installing.wait() == 0
    bus = BusProcess(sqlite_url, tmp_path / "bus.log")
    bus.environment["PYTHONPATH"] = str(site)
    await asyncio.to_thread(bus.start)
    try:
        tenancy.address = bus.address
        client, person = await tenancy.client(), await opened(tenancy, "shop")
        with pytest.raises(InvalidArgument) as caught:
            await person.bus.publish(new_message("shop.order", {"item": "pen"}, recipient="shop"))
        assert caught.value.reason == "ORDER_INVALID"
        order = {"item": "pen", "quantity": 100}
        await person.bus.publish(new_message("shop.order", order, recipient="shop"))
        [delivery] = await take(await client.bus.connect("shop"), 1)
        assert delivery.message.headers["quantity"] == "100"
        assert delivery.message.priority == pb.PRIORITY_HIGH
    finally:
        await asyncio.to_thread(bus.kill)
