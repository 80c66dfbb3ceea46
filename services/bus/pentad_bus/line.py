"""One Connect stream: frames in, frames out. What queued up while a frame was being written is
the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pentad.bus.v1 import bus_pb2
from pentad_bus.admission import check_rules
from pentad_bus.broker import Caller, Wish
from pentad_bus.bus import Bus
from pentad_bus.limits import MOST_BATCH_MESSAGES
from pentad_bus.policy import Overflow, Policy
from pentad_bus.redis.bus import RedisBus
from pentad_bus.session import Nack, Session
from pentad_client.frames import ConnectResponse, Error
from pentad_client.signal import Signal
from pentad_common.errors import FailedPrecondition, InvalidArgument, PentadError, to_proto
from pentad_common.telemetry import bind, get_logger

log = get_logger(__name__)

_HELLO_SECONDS = 10.0
_PARTING_SECONDS = 2.0
_MOST_OUTSTANDING = 64
"""Frames whose commit is under way before no more are read: a client that never looks is held back by the
transport.
"""
_CONFIRM_PATIENCE = 0.005
"""Seconds until publishes are confirmed whose sender does not wait for it: a frame costs both ends more than
a message.
"""
_CONFIRM_FRAMES = 4
"""Or so many of their frames."""
_MOST_CREDIT = 65536
_MOST_TOLD = 1000
"""Rejections, and stale tags, in one frame."""
_MOST_UNTOLD = 10_000
"""Rejections and stale tags that wait to be told before no more frames are read."""
_DEFAULT_CREDIT = 64
_OVERFLOWS: dict[int, Overflow] = {
    bus_pb2.QUEUE_OVERFLOW_UNSPECIFIED: "",
    bus_pb2.QUEUE_OVERFLOW_REJECT: "reject",
    bus_pb2.QUEUE_OVERFLOW_DROP_OLDEST: "drop_oldest",
}

Write = Callable[[Any], Awaitable[None]]
Identify = Callable[[str], Caller]


class Line:
    """Serves one stream from its Hello to its end."""

    def __init__(self, bus: Bus | RedisBus, write: Write) -> None:
        self._bus = bus
        self._write = write
        self._awake = Signal()
        self._told = asyncio.Event()
        self._control: deque[Any] = deque()
        self._session: Session
        self._caller: Caller
        self._reported = 0
        self._awaited = 0
        """The last seq of a frame whose sender waits for its confirmation."""
        self._unreported = 0
        """Frames since the last report."""
        self._timer: asyncio.TimerHandle | None = None
        self._told_to_drain = False

    async def serve(self, requests: AsyncIterator[Any], identify: Identify) -> None:
        """Runs until either side ends it. `identify` turns the Hello's agent into who that is. Raises
        PentadError.
        """
        self._bus.check_open()
        hello = await self._hello(requests)
        self._caller = identify(hello.agent)
        bind(agent=self._caller.name)
        self._session = self._connect(hello)
        error: PentadError | None = None
        try:
            await self._bus.ledger.flushed()
            await self._write(self._welcome())
            await self._pump(requests)
        except PentadError as refused:
            error = refused
            raise
        finally:
            self._bus.broker.end(self._session, error, meant=self._session.meant)
            log.info(
                "disconnected",
                instance=self._session.instance,
                goodbye=self._session.meant,
                reason=error.reason if error else "",
            )

    async def _hello(self, requests: AsyncIterator[Any]) -> bus_pb2.Hello:
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                frame = await anext(requests, None)
        except TimeoutError:
            frame = None
        if frame is None or frame.WhichOneof("frame") != "hello":
            raise FailedPrecondition("HELLO_EXPECTED", "the first frame of Connect must be a Hello")
        return checked(frame).hello

    def _connect(self, hello: bus_pb2.Hello) -> Session:
        wishes = [wish(item) for item in hello.subscriptions]
        session = self._bus.broker.connect(
            self._caller, hello.instance, hello.take_inbox, wishes, self._awake.set, _policy(hello)
        )
        if hello.HasField("credit"):
            session.grant(hello.credit.messages, hello.credit.bytes)
        else:
            session.grant(_DEFAULT_CREDIT, 0)
        log.info("connected", instance=session.instance, subscriptions=len(wishes), inbox=hello.take_inbox)
        return session

    def _welcome(self) -> Any:
        limits = self._bus.broker.limits
        frame = ConnectResponse()
        frame.welcome.agent = self._session.agent
        frame.welcome.instance = self._session.instance
        frame.welcome.ack_wait.FromMilliseconds(round(limits.ack_wait * 1000))
        frame.welcome.max_message_bytes = limits.max_message_bytes
        frame.welcome.max_batch_messages = MOST_BATCH_MESSAGES
        frame.welcome.max_attempts = limits.max_attempts
        return frame

    async def _pump(self, requests: AsyncIterator[Any]) -> None:
        reader = asyncio.create_task(self._read(requests))
        writer = asyncio.create_task(self._send())
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not reader.cancelled():
                reader.result()
            if self._session.meant:
                await asyncio.wait({writer}, timeout=_PARTING_SECONDS)
            if writer.done() and not writer.cancelled():
                writer.result()
        finally:
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)

    # ---------------------------------------------------------------------------------------------- in

    async def _read(self, requests: AsyncIterator[Any]) -> None:
        session = self._session
        while True:
            frame = await anext(requests, None)
            if frame is None:
                return
            session.silent = False
            kind = frame.WhichOneof("frame")
            if kind == "batch":
                self._take_batch(frame.batch)
            elif kind == "goodbye":
                session.meant = session.draining = True
                self._told_to_drain = True
                self._awake.set()
                return
            elif kind in ("subscribe", "unsubscribe"):
                await self._subscription(kind, frame)
            else:
                raise InvalidArgument(
                    "FRAME_UNEXPECTED", f"a {kind or 'frame of an unknown kind'} cannot come now"
                )
            while session.outstanding >= _MOST_OUTSTANDING:
                await self._bus.ledger.flushed()
            while len(session.rejections) + len(session.stale) > _MOST_UNTOLD:
                self._told.clear()
                await self._told.wait()

    def _take_batch(self, batch: Any) -> None:
        session = self._session
        _check_size(batch)
        if batch.HasField("credit"):
            session.grant(*_credit(batch.credit))
        if batch.progress:
            for tag in batch.progress:
                session.progress(tag)
        if batch.publishes:
            items = [(item.seq, item.message, item.settles) for item in batch.publishes]
            self._unreported += 1
            if not batch.confirm_later:
                self._awaited = items[-1][0]
            self._bus.broker.publish_batch(session, items)
        if batch.acks:
            session.ack(batch.acks)
            self._bus.ledger.hurry()
        for nack in batch.nacks:
            session.nack(_nack(nack))
        if session.has_something:
            self._awake.set()

    async def _subscription(self, kind: str, frame: Any) -> None:
        asked = getattr(frame, kind)
        answer = ConnectResponse()
        result = answer.subscribe_result
        result.pattern, result.scope = asked.pattern, asked.scope
        try:
            wanted = getattr(checked(frame), kind)
            if kind == "subscribe":
                self._bus.broker.subscribe(self._session, self._caller, wish(wanted))
            else:
                self._bus.broker.unsubscribe(self._session, wish(wanted))
            await self._bus.ledger.flushed()
        except PentadError as error:
            result.error.CopyFrom(_error(error))
        self._control.append(answer)
        self._awake.set()

    # ---------------------------------------------------------------------------------------------- out

    async def _send(self) -> None:
        session = self._session
        awake = self._awake
        while True:
            frame = self._next_frame()
            if frame is not None:
                await self._write(frame)
                continue
            if session.ended is not None:
                raise session.ended
            if session.meant:
                await self._write(ConnectResponse(goodbye={"reason": "goodbye"}))
                return
            awake.clear()
            session.idle = True
            await awake.wait()
            session.idle = False

    def _next_frame(self) -> Any:
        session = self._session
        if self._control:
            return self._control.popleft()
        if session.draining and not self._told_to_drain:
            return self._drain()
        taken = session.take()
        news = self._confirmation_due() or session.rejections or session.stale
        if not taken and not news:
            return None
        frame = ConnectResponse()
        batch = frame.batch
        add = batch.deliveries.add
        for tag, entry in taken:
            wire = add()  # measured: fields one by one take two thirds of what keywords do
            wire.tag = tag
            wire.attempt = entry.attempts
            wire.message = entry.body
            if entry.subscription:
                wire.subscription = entry.subscription
        if news or session.confirmed != self._reported:
            self._report(batch)
        return frame

    def _confirmation_due(self) -> bool:
        if self._session.confirmed == self._reported:
            return False
        if self._reported < self._awaited or self._unreported >= _CONFIRM_FRAMES or self._session.draining:
            return True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_CONFIRM_PATIENCE, self._confirm)
        return False

    def _confirm(self) -> None:
        self._timer = None
        self._unreported = _CONFIRM_FRAMES
        self._awake.set()

    def _report(self, batch: Any) -> None:
        session = self._session
        for seq, error in session.rejections[:_MOST_TOLD]:
            batch.rejections.add(seq=seq, error=_error(error))
        for tag, error in session.stale[:_MOST_TOLD]:
            batch.stale.add(tag=tag, error=_error(error))
        del session.rejections[:_MOST_TOLD], session.stale[:_MOST_TOLD]
        # not before: what is confirmed and not yet refused would seem to be stored
        if not session.rejections:
            self._reported = batch.confirmed_up_to = session.confirmed
            self._unreported = 0
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        self._told.set()

    def _drain(self) -> Any:
        self._told_to_drain = True
        frame = ConnectResponse()
        deadline = self._bus.draining or self._bus.broker.clock.wall()
        frame.drain.deadline.FromNanoseconds(int(deadline * 1e9))
        return frame


def checked(frame: Any) -> bus_pb2.ConnectRequest:
    """The frame as the contract has it, held against its rules. Raises InvalidArgument INVALID_REQUEST."""
    found = bus_pb2.ConnectRequest.FromString(frame.SerializeToString())
    check_rules(found)
    return found


def wish(asked: bus_pb2.Subscribe | bus_pb2.Unsubscribe) -> Wish:
    """The subscription that is asked for, or asked to end."""
    shared = asked.scope != bus_pb2.SUBSCRIPTION_SCOPE_INSTANCE
    return Wish(asked.pattern, getattr(asked, "filter", ""), shared)


def _policy(hello: bus_pb2.Hello) -> Policy | None:
    if not hello.HasField("queue"):
        return None
    return Policy(hello.queue.max_messages, hello.queue.max_bytes, _OVERFLOWS[hello.queue.overflow])


def _check_size(batch: Any) -> None:
    count = len(batch.publishes)
    tags = len(batch.acks) + len(batch.nacks) + len(batch.progress)
    if count > MOST_BATCH_MESSAGES or tags > _MOST_CREDIT:
        raise InvalidArgument(
            "BATCH_TOO_LARGE",
            f"a batch has {count} publishes and {tags} acks, nacks and progress, and {MOST_BATCH_MESSAGES} "
            "and "
            f"{_MOST_CREDIT} are the most",
        )


def _credit(credit: Any) -> tuple[int, int]:
    if not 0 <= credit.messages <= _MOST_CREDIT or credit.bytes < 0:
        raise InvalidArgument(
            "INVALID_REQUEST",
            f"batch.credit: messages must be 0 to {_MOST_CREDIT}, bytes not negative",
            violations=[("batch.credit", f"messages 0 to {_MOST_CREDIT}, bytes not negative")],
        )
    return credit.messages, credit.bytes


def _nack(nack: Any) -> Nack:
    delay = max(0.0, nack.delay.seconds + nack.delay.nanos / 1e9) if nack.HasField("delay") else None
    return Nack(nack.tag, delay, nack.reason[:1024].replace("\0", ""), nack.terminal)


def _error(error: PentadError) -> Any:
    return Error.FromString(to_proto(error).SerializeToString())
