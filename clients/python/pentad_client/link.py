"""One Connect stream of a connection: what is sent on it, what came on it. Lost, it is replaced
by another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from pentad.bus.v1 import bus_pb2 as pb
from pentad.common.v1 import common_pb2
from pentad_client.channel import Stream
from pentad_client.delivery import Delivery
from pentad_client.errors import InvalidArgument, PentadError, Unavailable, from_proto
from pentad_client.frames import ConnectRequest
from pentad_client.signal import Signal

if TYPE_CHECKING:
    from pentad_client.connection import Connection
    from pentad_client.publication import Publication

MOST_MESSAGES = 256
MOST_BYTES = 256 * 1024
ACK_PATIENCE = 0.005
"""Seconds that acks wait for company: nobody waits for them, and a frame costs both ends more than a
message.
"""
MOST_UNDER_WAY = 2
"""Frames of publishes that the bus has not confirmed before what does not fill one waits for more: a bus
that is behind gets few large ones, and one that is not gets each message at once.
"""
MOST_PATIENT = 8
"""The same, of frames that the bus confirms when it has a few, for nobody waits."""
NO_DELIVERY = 2**63
"""A tag that is never given: a message that settles it is refused, unless it was stored before."""


class Link:
    """Belongs to one stream: its numbers and tags mean nothing on another."""

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self.welcome = pb.Welcome()
        self.open: dict[int, Delivery] = {}
        self.unconfirmed: deque[Publication] = deque()
        self.draining = False
        self.ended = False
        self.connection = connection
        self._stream = stream
        self._seq = 0
        self._under_way: deque[int] = deque()
        """The last seq of each frame of publishes that is not confirmed."""
        self._awaited = 0
        """The last seq of a frame whose confirmation somebody waits for."""
        self._largest = 2**63
        self._acks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._nacks: list[pb.Nack] = []
        self._progress: list[int] = []
        self._frames: deque[pb.ConnectRequest] = deque()
        self._awake = Signal()

    # --------------------------------------------------------------------------------------------- deliveries

    def is_open(self, tag: int) -> bool:
        """Whether a delivery can still be settled."""
        return tag in self.open and not self.ended

    def ack(self, tag: int) -> bool:
        """Acknowledges with the next frame; False if there is nothing to acknowledge any more."""
        if self.ended or self.open.pop(tag, None) is None:
            return False
        acks = self._acks
        acks.append(tag)
        if len(acks) >= self.connection.many_acks:
            self.wake()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ACK_PATIENCE, self._acks_are_late)
        return True

    def _acks_are_late(self) -> None:
        self._timer = None
        if self._acks:
            self.wake()

    def nack(self, tag: int, delay: float | None, reason: str, terminal: bool) -> bool:
        """Gives back with the next frame; False if there is nothing to give back any more."""
        if self.ended or self.open.pop(tag, None) is None:
            return False
        self.wake()
        nack = pb.Nack(tag=tag, reason=reason[:1024], terminal=terminal)
        if delay is not None:
            nack.delay.FromNanoseconds(round(delay * 1e9))
        self._nacks.append(nack)
        return True

    def progress(self, tag: int) -> bool:
        """Extends with the next frame; False if there is nothing to extend any more."""
        if not self.is_open(tag):
            return False
        self._progress.append(tag)
        self.wake()
        return True

    # --------------------------------------------------------------------------------------------- the stream

    def wake(self) -> None:
        """There is something to send."""
        self._awake.set()

    def send(self, frame: pb.ConnectRequest) -> None:
        """Queues a frame other than a batch."""
        self._frames.append(frame)
        self.wake()

    @property
    def settled(self) -> bool:
        """Whether nothing is left to say or to be confirmed."""
        return not (self._acks or self._nacks or self._progress or self._frames or self._under_way)

    async def greet(self, hello: pb.Hello) -> None:
        """Says hello, and waits for the welcome. Raises PentadError."""
        await self._stream.write(pb.ConnectRequest(hello=hello))
        frame = await self._stream.read()
        if frame is None or frame.WhichOneof("frame") != "welcome":
            raise Unavailable("CONNECTION_LOST", "the bus ended the stream before its welcome")
        self.welcome = _as_contract(frame).welcome
        self._largest = self.welcome.max_message_bytes or self._largest

    async def run(self) -> None:
        """Sends and receives until the stream ends. Raises PentadError if it ends with one."""
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
            for task in (reader, writer):
                if task.done():
                    task.result()
        finally:
            self.ended = True
            writer.cancel()
            reader.cancel()
            self._stream.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)

    def cancel(self) -> None:
        """Ends the stream, if it has not ended."""
        self._stream.cancel()

    async def _write(self) -> None:
        while True:
            if self._frames:
                frame = self._frames.popleft()
                await self._stream.write(frame)
                if frame.WhichOneof("frame") == "goodbye":
                    await self._stream.done_writing()
                    await asyncio.Event().wait()  # the reader sees the end
            elif (frame := self._next_batch()) is not None:
                await self._stream.write(frame)
            else:
                self.connection.moved()
                self._awake.clear()
                await self._awake.wait()

    def _next_batch(self) -> Any:
        frame = ConnectRequest()
        batch = frame.batch
        if not self._holds_back():
            self._fill(batch)
        if self._acks:
            batch.acks.extend(self._acks)
            self._acks.clear()
        if self._nacks:
            for nack in self._nacks:
                batch.nacks.add().MergeFromString(nack.SerializeToString())
            self._nacks.clear()
        if self._progress:
            batch.progress.extend(self._progress)
            self._progress.clear()
        if credit := self.connection.take_credit():
            batch.credit.MergeFromString(credit.SerializeToString())
        filled = batch.publishes or batch.acks or batch.nacks or batch.progress or batch.HasField("credit")
        return frame if filled else None

    def _holds_back(self) -> bool:
        under_way = self._under_way
        if len(under_way) < MOST_UNDER_WAY or self._acks:
            return False
        if under_way[0] > self._awaited and len(under_way) < MOST_PATIENT:
            return False
        return len(self.connection.waiting) < MOST_MESSAGES

    def _fill(self, batch: Any) -> None:
        before = self._seq
        awaited = self._fill_frame(batch)
        if self._seq != before:
            self._under_way.append(self._seq)
            if awaited:
                self._awaited = self._seq
            else:
                batch.confirm_later = True

    def _fill_frame(self, batch: Any) -> bool:
        """Whether somebody waits for one of them."""
        waiting, add = self.connection.waiting, batch.publishes.add
        largest, awaited, size, seq = self._largest, False, 0, self._seq
        for _ in range(min(len(waiting), MOST_MESSAGES)):
            publication = waiting[0]
            body = publication if isinstance(publication, bytes) else publication.body
            if self.draining and (isinstance(publication, bytes) or publication.settles is None):
                break  # the next link takes it
            length = len(body)
            if size and size + length > MOST_BYTES and length <= largest:
                break
            waiting.popleft()
            if length > largest:  # the transport would end the stream, again and again
                self._refuse(publication, _too_large(length, largest))
                continue
            size += length
            wire = add()
            seq += 1
            wire.seq = seq
            wire.message = body
            if not isinstance(publication, bytes):
                awaited = self._note(publication, wire) or awaited
        self._seq = seq
        return awaited

    def _note(self, publication: Publication, wire: Any) -> bool:
        """Keeps what has to be confirmed; whether somebody waits for it."""
        publication.seq = wire.seq
        self.unconfirmed.append(publication)
        delivery = publication.settles
        if delivery is not None:
            wire.settles = delivery.tag if delivery.link is self else NO_DELIVERY
        return publication.awaited

    def _refuse(self, publication: Publication | bytes, error: PentadError) -> None:
        if isinstance(publication, bytes):
            self.connection.refused(error)
        else:
            publication.refuse(error)

    async def _read(self) -> None:
        while (frame := await self._stream.read()) is not None:
            kind = frame.WhichOneof("frame")
            if kind == "batch":
                self._take(frame.batch)
            elif kind == "subscribe_result":
                self.connection.subscription_answered(_as_contract(frame).subscribe_result)
            elif kind == "drain":
                self.draining = True
                self.connection.server_drains(self)
            elif kind == "goodbye":
                return

    def _take(self, batch: Any) -> None:
        if batch.deliveries:
            connection = self.connection
            arrived = {
                (tag := wire.tag): Delivery(self, tag, wire.attempt, wire.message, wire.subscription)
                for wire in batch.deliveries
            }
            self.open |= arrived
            connection.arrived(arrived.values())
        rejected = {item.seq: item.error for item in batch.rejections}
        if rejected:
            for publication in self.unconfirmed:
                if publication.seq in rejected:
                    publication.refuse(_refusal(rejected.pop(publication.seq)))
            for error in rejected.values():
                self.connection.refused(_refusal(error))
        for item in batch.stale:
            self.connection.went_stale(item.tag, _refusal(item.error))
        if batch.confirmed_up_to:
            self._confirm(batch.confirmed_up_to)

    def _confirm(self, seq: int) -> None:
        under_way = self._under_way
        while under_way and under_way[0] <= seq:
            under_way.popleft()
        if self.connection.waiting:
            self.wake()
        unconfirmed = self.unconfirmed
        while unconfirmed and unconfirmed[0].seq <= seq:
            publication = unconfirmed.popleft()
            settled = publication.settles
            if settled is not None and settled.link is self and not publication.refused:
                self.open.pop(settled.tag, None)  # on another link, the tag is another delivery's
            publication.confirm()
        self.connection.moved()


def _as_contract(frame: Any) -> pb.ConnectResponse:
    return pb.ConnectResponse.FromString(frame.SerializeToString())


def _refusal(error: Any) -> PentadError:
    return from_proto(common_pb2.Error.FromString(error.SerializeToString()))


def _too_large(size: int, limit: int) -> InvalidArgument:
    return InvalidArgument(
        "MESSAGE_TOO_LARGE",
        f"the message has {size} bytes, and {limit} are the most; larger payloads go by "
        "reference, as an Artifact",
        size=size,
        limit=limit,
    )
