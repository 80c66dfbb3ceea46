"""The bus on Redis beside the simple model: its processes die, are taken for dead, or lose answers."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Lost

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.counters import Counters
from pentad_bus.entry import Entry
from pentad_bus.inbox import Inbox
from pentad_bus.redis.broker import RedisBroker
from pentad_bus.redis.chunks import Chunk, RemoteEntry, entries
from pentad_bus.redis.link import Link, LinkOptions
from pentad_bus.redis.script import OUTAGES, tenant_prefix
from pentad_bus.session import Session
from pentad_common.ids import new_id
from tests.unit.bus.test_model import AGENTS, LIMITS, BusModel
from tests.unit.bus.world import HandClock, to

NARROW_MESSAGES = 4


class Wire:
    """A client of Redis whose next call fails before it is made, loses its answer, or is made twice."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self.fails = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def execute_command(self, *arguments: Any) -> Any:
        """As the client's."""
        fails, self.fails = self.fails, ""
        if fails == "before":
            raise Lost("not sent")
        answer = await self._client.execute_command(*arguments)  # type: ignore[no-untyped-call]
        if fails == "after":
            raise Lost("answer lost")
        if fails == "twice":
            return await self._client.execute_command(*arguments)  # type: ignore[no-untyped-call]
        return answer


class HandLink(Link):
    """A link that speaks when it is told to."""

    _calm = True
    """So that one whose lease is over is taken for dead, also right after an outage."""

    def start(self) -> None:
        """Not by itself."""

    def ack(self, entry: RemoteEntry) -> None:
        """Not by the clock either."""
        self._settled.settle(entry)

    async def talk(self) -> None:
        """Says and asks all that there is, as its loop would."""
        self._tell_handed()
        self.fetching.want_all()
        for _ in range(4):
            self._late = True
            try:
                async with self._lock:
                    await self._catch_up()
                    while await self._exchange():
                        pass
                    if not self.attached:  # fenced
                        continue
                return
            except OUTAGES as error:
                self._fail(error)
                self.fetching.want_all()
        raise AssertionError("it does not come to an end")


class Process:
    """A bus process, without its servers and its archive."""

    def __init__(self, client: Redis, tenant: str, clock: HandClock) -> None:
        self.wire = Wire(client)
        self.broker = RedisBroker(LIMITS, Counters(), self._open)
        self.broker.clock.steady = clock.steady
        self.link = cast(HandLink, self.broker.link(tenant))

    def _open(self, tenant: str) -> Link:
        options = LinkOptions(new_id(), LIMITS, 60.0, Counters(), True)
        return HandLink(cast(Redis, self.wire), tenant, options)


class RedisModel(BusModel):
    """As on paper, but a message that is refused because an answer was lost may come all the same."""

    url = ""
    second = 10.0  # so that what passes by itself makes no difference
    lossy_is_stored = True

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.tenant = new_id()
        self.prefix = tenant_prefix(self.tenant)
        self.client = Redis.from_url(self.url)
        self.processes: list[Process] = []

    def teardown(self) -> None:
        """Nothing stays in Redis."""
        self._run(self._clean())
        self.loop.close()

    async def _clean(self) -> None:
        keys = [key async for key in self.client.scan_iter(f"{self.prefix}*", count=1000)]
        if keys:
            await self.client.unlink(*keys)
        await self.client.aclose()

    def _run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    @initialize(count=st.integers(1, 2), stock=st.lists(st.integers(1, 4), max_size=20))
    def begin(self, count: int, stock: list[int]) -> None:
        """Instances `one` are on the first process, `two` on the last; something waits, of all priorities."""
        self.in_order = count == 1
        for _ in range(count):
            self._run(self._new_process())
        self.sessions: dict[tuple[str, str], Session] = {}
        self._enter()
        for priority in stock:
            self.publish(agent="keen", priority=priority, lossy=False, ttl=0, delay=0, fails=False)

    async def _new_process(self) -> None:
        self.processes.append(Process(self.client, self.tenant, self.clock))

    def _enter(self) -> None:
        if ("writer", "one") not in self.sessions:
            self.writer = self._connect("writer", "one")
        for agent in AGENTS:
            if (agent, "one") not in self.sessions:
                self._connect(agent, "one")
        self._talk()

    def _process(self, instance: str) -> Process:
        return self.processes[0 if instance == "one" else -1]

    def _broker_of(self, instance: str) -> Any:
        return self._process(instance).broker

    def _take(self, session: Session) -> list[tuple[int, Entry]]:
        taken: list[tuple[int, Entry]] = self._in_loop(session.take)
        return taken

    def _talk(self) -> None:
        async def talk() -> None:
            for process in [*self.processes, *self.processes]:  # what the last gives back the first may fetch
                await process.link.talk()

        self._run(talk())
        for key, session in list(self.sessions.items()):
            if session.ended is not None:
                del self.sessions[key]
                self._forget(session)

    # ------------------------------------------------------------------------------------------ what happens

    def _connect(self, agent: str, instance: str) -> Session:
        session = self._in_loop(super()._connect, agent, instance)
        self._talk()
        return cast(Session, session)

    def _in_loop(self, function: Any, *arguments: Any) -> Any:
        async def call() -> Any:
            return function(*arguments)

        return self._run(call())

    def _publish(self, session: Session, body: bytes, tag: int = 0, *, fails: bool = False) -> None:
        if fails:
            self._process(session.instance).wire.fails = ("before", "after", "twice")[self.sent % 3]
        super()._publish(session, body, tag)
        self._talk()

    def _is_full(self, agent: str) -> bool:
        held, delayed = self._run(self.client.hmget(f"{self.prefix}i:{agent}", "n", "dl"))
        if agent == "narrow":
            return int(delayed or 0) >= NARROW_MESSAGES
        return int(held or 0) >= LIMITS.max_queue_messages

    def _count_stored(self) -> int:
        return int(self._run(self.client.get(f"{self.prefix}seq")) or 0)

    def _tick(self, seconds: int) -> None:
        async def tick() -> None:
            for key in (f"{self.prefix}due", f"{self.prefix}exp"):
                members: Any = await self.client.zrange(key, 0, -1)
                for member in members:
                    await self.client.zincrby(key, -1000 * seconds * self.second, member)
            for process in self.processes:
                process.broker.tick()
                await process.link.talk()
                with suppress(*OUTAGES):
                    await process.link.tick()

        self._run(tick())
        self._talk()

    def _flush(self) -> None:
        self._talk()

    def _crash(self, flushed: bool) -> None:
        """Of the last process: what it did not say never happened; its connections come back."""
        doomed = self.processes[-1]
        if not flushed:
            for session, tag, _ in self.open[:2]:
                if session in doomed.broker.directory.sessions():
                    session.ack([tag])
        self._run(self.client.zadd(f"{self.prefix}procs", {doomed.link.process: 0}))
        for key, session in list(self.sessions.items()):
            if session in doomed.broker.directory.sessions():
                del self.sessions[key]
                self._forget(session)
        self.processes.pop()
        self._run(self._new_process())
        self._talk()
        self._enter()

    @precondition(lambda self: len(self.processes) == 2)
    @rule(which=st.integers(0, 1), acks=st.integers(0, 2))
    def freeze(self, which: int, acks: int) -> None:
        """A process is silent for too long and the other takes what it had; what it says then is refused."""
        frozen, other = self.processes[which], self.processes[1 - which]
        for session, tag, _ in self.open[:acks]:
            if session in frozen.broker.directory.sessions():
                session.ack([tag])
        self._run(self.client.zadd(f"{self.prefix}procs", {frozen.link.process: 0}))
        other.wire.fails = ""
        self._run(other.link.tick())  # if it was taken for dead itself, it finds out
        self._run(other.link.talk())
        self._run(other.link.tick())
        for session, tag, _ in self.open[acks : acks + 2]:
            if session in frozen.broker.directory.sessions() and tag in session.open:
                answer = to("keen", f"late{self.sent}-{tag}").SerializeToString()
                frozen.broker.publish_batch(session, [(session.confirmed + 1, answer, tag)])
        self._talk()
        self._enter()

    @rule(which=st.integers(0, 1), when=st.sampled_from(["before", "after", "twice"]))
    def interrupt(self, which: int, when: str) -> None:
        """An exchange of a process fails, or its answer is lost: what it says counts once."""
        self.processes[which % len(self.processes)].wire.fails = when

    # -------------------------------------------------------------------------------------- what always holds

    def _held(self) -> list[Entry]:
        self._talk()
        found: list[Entry] = []
        used, *boxes = self._run(self._stored())
        for agent, box in zip(AGENTS, boxes, strict=True):
            held, waiting = _read(box)
            messages, size, in_flight, delayed = (int(count or 0) for count in box[0])
            assert (messages, size) == (len(held), sum(len(entry.body) for entry in held))
            assert in_flight == self._here(agent)
            assert waiting == messages - in_flight - delayed
            found += held
        assert int(used or 0) == sum(len(entry.body) for entry in found)
        return found

    async def _stored(self) -> list[Any]:
        """What Redis has: bytes that all inboxes hold; of each inbox counts, parts, and four keys a level."""
        async with self.client.pipeline(transaction=False) as pipe:
            pipe.get(f"{self.prefix}use")
            for agent in AGENTS:
                pipe.hmget(f"{self.prefix}i:{agent}", "n", "b", "f", "dl")
                pipe.hgetall(f"{self.prefix}p:{agent}")
                for level in range(4):
                    stream = f"{self.prefix}q:{level}:{agent}"
                    pipe.hgetall(f"{self.prefix}x:{level}:{agent}")
                    pipe.zrange(f"{self.prefix}r:{level}:{agent}", 0, -1)
                    pipe.xrange(stream)
                    pipe.xpending_range(stream, "bus", "-", "+", 1000)
            used, *rest = await pipe.execute(raise_on_error=False)
        half = len(rest) // 2
        return [used, rest[:half], rest[half:]]

    def _here(self, agent: str) -> int:
        """What processes have of an inbox, open or not yet taken."""
        count = 0
        for process in self.processes:
            inbox = process.link.tenant.inboxes.get(agent)
            held = inbox.ready.peek() if inbox is not None else []
            for session in process.broker.directory.sessions():
                held += [entry for entry in session.open.values() if entry.inbox is inbox]
            count += sum(not entry.once for entry in held)
        return count

    def _dead(self) -> set[str]:
        log = self._run(self.client.xrange(f"{self.prefix}log"))
        letters = [item for _, item in log if b"d" in item]
        assert all(json.loads(item[b"d"])[4] >= 0 for item in letters)
        return {Message.FromString(item[b"b"]).id for item in letters}

    def _check_narrow(self) -> None:
        """With one that is open for each of its instances and those that are held back."""


def _read(box: list[Any]) -> tuple[list[RemoteEntry], int]:
    """The messages that an inbox holds, and how many of them can be fetched."""
    _, parts, *levels = box
    found: list[RemoteEntry] = []
    waiting = 0
    for aside, back, stream, pending in zip(*[iter(levels)] * 4, strict=True):
        taken = {one["message_id"] for one in pending} if isinstance(pending, list) else set()
        chunks = [(id, *item.split(b"\n", 2)[::2], id in back) for id, item in aside.items()]
        for id, item in stream:
            kind, data = next((key, value) for key, value in item.items() if key != b"s")
            chunks.append((id, kind, data, id not in taken))
        for id, kind, data, free in chunks:
            part = parts.pop(id, b"").decode().replace("2", "0")
            chunk = Chunk(Inbox(1, "t", "", LIMITS), 0, id.decode(), False, "", part)
            of_it = list(entries(chunk, kind.decode(), data))
            found += of_it
            waiting += len(of_it) if free else 0
    assert parts == {}, "of chunks that are gone"
    return found, waiting


def test_the_bus_on_redis_does_as_the_model(redis_url: str) -> None:
    """Publishing, taking, settling, time, connections that come and go, crashes, fences and lost answers."""
    RedisModel.url = redis_url
    chosen = settings(
        max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(RedisModel, settings=chosen)
