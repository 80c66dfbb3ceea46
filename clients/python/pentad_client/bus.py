"""The bus's client: connections, and the calls beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any
from weakref import WeakSet

from pentad.bus.v1 import bus_pb2 as pb
from pentad.bus.v1 import bus_pb2_grpc
from pentad_client.channel import Channels, Stream, Stub
from pentad_client.config import ClientConfig
from pentad_client.connection import Connection
from pentad_client.delivery import Delivery
from pentad_client.envelope import enveloped
from pentad_client.frames import ConnectResponse
from pentad_client.message import MessageType, complete, new_message
from pentad_client.resume import resumed
from pentad_client.subscription import QueuePolicy, Subscription

__all__ = [
    "BusClient",
    "Connection",
    "Delivery",
    "MessageType",
    "QueuePolicy",
    "Subscription",
    "message_filter",
    "new_message",
]


_CONNECT = "/pentad.bus.v1.BusService/Connect"


class _Stub(bus_pb2_grpc.BusServiceStub):
    """The generated stub, but the frames of Connect leave the messages as bytes."""

    def __init__(self, channel: Any) -> None:
        super().__init__(channel)
        self.Connect = channel.stream_stream(
            _CONNECT,
            request_serializer=lambda frame: frame.SerializeToString(),
            response_deserializer=ConnectResponse.FromString,
            _registered_method=True,
        )


class BusClient:
    """Messages between agents. Every method raises PentadError when the bus refuses."""

    def __init__(self, channels: Channels, config: ClientConfig) -> None:
        self._channels = channels
        self._address = config.bus_address
        self._connections: WeakSet[Connection] = WeakSet()

    @property
    def _stub(self) -> Stub:
        return self._channels.stub(self._address, _Stub, pb.DESCRIPTOR)

    async def connect(
        self,
        agent: str = "",
        instance: str | None = None,
        subscriptions: Iterable[Subscription | str] = (),
        credit: int = 64,
        take_inbox: bool = True,
        *,
        credit_bytes: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109 - callers think of it as part of the request
        keep_trying: bool = False,
        queue: QueuePolicy | None = None,
    ) -> Connection:
        """An open connection, as `agent` or, without one, as the holder of the key. Close it when done.

        `credit`: deliveries that may be open at a time. A subscription given as text takes all of that
        pattern for the agent. `timeout`: seconds to wait for the first welcome; None tries for ever.
        `keep_trying`: go on trying after errors that seem lasting, such as a key that is not valid, as well.
        `queue`: how much the inbox holds from now on.
        """
        wanted = [Subscription(item) if isinstance(item, str) else item for item in subscriptions]
        hello = pb.Hello(agent=agent, instance=instance or "", take_inbox=take_inbox)
        hello.credit.messages, hello.credit.bytes = credit, credit_bytes
        if queue is not None:
            hello.queue.CopyFrom(queue.to_proto())
        connection = Connection(self._open_stream, hello, wanted, keep_trying=keep_trying)
        self._connections.add(connection)
        # The connection outlives the call or task that opens it, and so must not end at its deadline.
        with enveloped(deadline=None, run_id=None, request_id=None, traceparent=None, budget=None, hops=0):
            return await connection.start(timeout)

    async def close(self) -> None:
        """Closes every connection that is open."""
        await asyncio.gather(*(connection.close() for connection in list(self._connections)))

    def _open_stream(self) -> Stream:
        stream: Stream = self._stub.Connect()
        return stream

    async def publish(
        self,
        message: pb.Message,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - callers think of it as part of the request
    ) -> pb.PublishResponse:
        """Publishes one message; returns when it is stored. For more than a few, `connect`."""
        request = pb.PublishRequest(message=complete(message))
        response: pb.PublishResponse = await self._stub.Publish(request, timeout=timeout)
        return response

    async def list_messages(
        self, filter: pb.MessageFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListMessagesResponse:
        """A page of the history, newest first. `message_filter` makes filters."""
        request = pb.ListMessagesRequest(filter=filter, page_size=page_size, page_token=page_token)
        response: pb.ListMessagesResponse = await self._stub.ListMessages(request)
        return response

    def tail(
        self, filter: pb.MessageFilter | None = None, *, after: str = "", from_start: bool = False
    ) -> AsyncIterator[pb.MessageRecord]:
        """Messages as they are stored, for ever, across lost connections: without gap or repeat once the
        first came.

        Raises OutOfRange CURSOR_EXPIRED, with `oldest_cursor` in its metadata, if what follows `after` is not
        kept.
        """

        def open_stream(cursor: str) -> Any:
            request = pb.TailMessagesRequest(filter=filter, after=cursor, from_start=from_start)
            return _Records(self._stub.TailMessages(request))

        return resumed(open_stream, after, pb.MessageRecord)

    async def list_dead_letters(
        self, recipient: str = "", *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListDeadLettersResponse:
        """A page of the messages that were given up on, newest first."""
        request = pb.ListDeadLettersRequest(recipient=recipient, page_size=page_size, page_token=page_token)
        response: pb.ListDeadLettersResponse = await self._stub.ListDeadLetters(request)
        return response

    async def replay(
        self,
        recipient: str,
        filter: pb.MessageFilter | None = None,
        *,
        max_messages: int = 0,
        after: str = "",
    ) -> pb.ReplayMessagesResponse:
        """Puts messages of the history once more into an inbox, oldest first: one call, at most
        `max_messages` (0: 10,000).

        Raises ResourceExhausted QUEUE_FULL when none fits; `next_cursor` in the answer says where to go on.
        """
        request = pb.ReplayMessagesRequest(
            recipient=recipient, filter=filter, max_messages=max_messages, after=after
        )
        response: pb.ReplayMessagesResponse = await self._stub.ReplayMessages(request)
        return response

    async def get_dead_letter(self, dead_letter_id: str) -> pb.DeadLetter:
        """One dead letter with the history of its attempts. Raises NotFound DEAD_LETTER_NOT_FOUND."""
        response: pb.GetDeadLetterResponse = await self._stub.GetDeadLetter(
            pb.GetDeadLetterRequest(dead_letter_id=dead_letter_id)
        )
        return response.dead_letter

    async def purge(
        self, dead_letter_ids: Sequence[str] = (), *, recipient: str = "", all: bool = False
    ) -> int:
        """Removes dead letters for good: these, all of `recipient`, or all. How many."""
        request = pb.PurgeDeadLettersRequest(dead_letter_ids=dead_letter_ids, recipient=recipient, all=all)
        response: pb.PurgeDeadLettersResponse = await self._stub.PurgeDeadLetters(request)
        return response.purged

    async def redrive(
        self, dead_letter_ids: Sequence[str] = (), *, recipient: str = "", all: bool = False
    ) -> int:
        """Puts dead letters back: these, all of `recipient`, or all. How many; what has no room stays."""
        request = pb.RedriveDeadLettersRequest(dead_letter_ids=dead_letter_ids, recipient=recipient, all=all)
        response: pb.RedriveDeadLettersResponse = await self._stub.RedriveDeadLetters(request)
        return response.redriven

    async def queue_stats(self, agent: str = "") -> list[pb.QueueStats]:
        """How full the inboxes of an agent and its instances are, or all: page after page, to the last."""
        found: list[pb.QueueStats] = []
        request = pb.GetQueueStatsRequest(agent=agent)
        while True:
            response: pb.GetQueueStatsResponse = await self._stub.GetQueueStats(request)
            found += response.queues
            request.page_token = response.next_page_token
            if not request.page_token:
                return found


class _Records:
    """A tail's stream as one of records."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[pb.MessageRecord]:
        return self

    async def __anext__(self) -> pb.MessageRecord:
        response: pb.TailMessagesResponse = await anext(self._stream)
        return response.record

    def cancel(self) -> None:
        self._stream.cancel()


def message_filter(
    *,
    run_id: str = "",
    agent: str = "",
    type: str = "",
    correlation_id: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
) -> pb.MessageFilter:
    """Which messages; what is not given matches all. Times are aware; `end` is not included."""
    wanted = pb.MessageFilter(run_id=run_id, agent=agent, type=type, correlation_id=correlation_id)
    if start is not None:
        wanted.start_time.FromDatetime(start)
    if end is not None:
        wanted.end_time.FromDatetime(end)
    return wanted
