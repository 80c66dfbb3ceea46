"""BusService: proto ↔ domain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from pentad.bus.v1 import bus_pb2, bus_pb2_grpc
from pentad_bus.broker import Caller
from pentad_bus.bus import Bus
from pentad_bus.history import Chosen, History, QueueState, cursor
from pentad_bus.line import Line
from pentad_bus.redis.bus import RedisBus
from pentad_bus.redis.history import RedisHistory
from pentad_bus.store.journal import DeadRow, HistoryFilter, HistoryRow
from pentad_client.frames import ConnectRequest
from pentad_common.call import CallContext, current_call
from pentad_common.cursor import page_size
from pentad_common.errors import InvalidArgument

_MOST_QUEUES = 1000
_SERVICE = "pentad.bus.v1.BusService"


class BusServicer(bus_pb2_grpc.BusServiceServicer):
    """The bus, as the contract has it."""

    def __init__(self, bus: Bus | RedisBus) -> None:
        self._bus = bus
        self._history = History(bus) if isinstance(bus, Bus) else RedisHistory(bus)

    async def Connect(  # type: ignore[override] # writes by itself
        self, request_iterator: AsyncIterator[Any], context: Any
    ) -> None:
        """An agent's line."""
        call = current_call()
        await Line(self._bus, context.write).serve(aiter(request_iterator), lambda agent: caller(call, agent))

    async def Publish(self, request: bus_pb2.PublishRequest, context: Any) -> bus_pb2.PublishResponse:
        """One message."""
        origin = self._bus.broker.origin(caller(current_call(), ""))
        message_id, duplicate = await self._bus.publish(origin, request.message.SerializeToString())
        return bus_pb2.PublishResponse(message_id=message_id or request.message.id, duplicate=duplicate)

    async def ListMessages(
        self, request: bus_pb2.ListMessagesRequest, context: Any
    ) -> bus_pb2.ListMessagesResponse:
        """A page of the history."""
        rows, token = await self._history.messages(
            current_call().tenant_id,
            _filter(request.filter),
            page_size(request.page_size),
            request.page_token,
        )
        return bus_pb2.ListMessagesResponse(messages=[_record(row) for row in rows], next_page_token=token)

    async def TailMessages(
        self, request: bus_pb2.TailMessagesRequest, context: Any
    ) -> AsyncIterator[bus_pb2.TailMessagesResponse]:
        """The history as it grows."""
        tenant = current_call().tenant_id
        async for row in self._history.tail(
            tenant, _filter(request.filter), request.after, request.from_start
        ):
            yield bus_pb2.TailMessagesResponse(record=_record(row))

    async def ReplayMessages(
        self, request: bus_pb2.ReplayMessagesRequest, context: Any
    ) -> bus_pb2.ReplayMessagesResponse:
        """Old messages once more."""
        count, go_on = await self._history.replay(
            current_call().tenant_id,
            _filter(request.filter),
            request.recipient,
            page_size(request.max_messages, 10_000, 100_000),
            request.after,
        )
        return bus_pb2.ReplayMessagesResponse(replayed=count, next_cursor=go_on)

    async def GetDeadLetter(
        self, request: bus_pb2.GetDeadLetterRequest, context: Any
    ) -> bus_pb2.GetDeadLetterResponse:
        """One dead letter."""
        row = await self._history.dead_letter(current_call().tenant_id, request.dead_letter_id)
        return bus_pb2.GetDeadLetterResponse(dead_letter=_dead_letter(row))

    async def PurgeDeadLetters(
        self, request: bus_pb2.PurgeDeadLettersRequest, context: Any
    ) -> bus_pb2.PurgeDeadLettersResponse:
        """No more tries."""
        count = await self._history.purge(current_call().tenant_id, _chosen(request))
        return bus_pb2.PurgeDeadLettersResponse(purged=count)

    async def ListDeadLetters(
        self, request: bus_pb2.ListDeadLettersRequest, context: Any
    ) -> bus_pb2.ListDeadLettersResponse:
        """A page of dead letters."""
        rows, token = await self._history.dead_letters(
            current_call().tenant_id, request.recipient, page_size(request.page_size), request.page_token
        )
        return bus_pb2.ListDeadLettersResponse(
            dead_letters=[_dead_letter(row) for row in rows], next_page_token=token
        )

    async def RedriveDeadLetters(
        self, request: bus_pb2.RedriveDeadLettersRequest, context: Any
    ) -> bus_pb2.RedriveDeadLettersResponse:
        """Another try."""
        count = await self._history.redrive(current_call().tenant_id, _chosen(request))
        return bus_pb2.RedriveDeadLettersResponse(redriven=count)

    async def GetQueueStats(
        self, request: bus_pb2.GetQueueStatsRequest, context: Any
    ) -> bus_pb2.GetQueueStatsResponse:
        """How full inboxes are."""
        states, token = await self._history.queues(
            current_call().tenant_id,
            request.agent,
            page_size(request.page_size, _MOST_QUEUES),
            request.page_token,
        )
        return bus_pb2.GetQueueStatsResponse(
            queues=[_stats(state) for state in states], next_page_token=token
        )


def register(servicer: BusServicer, server: Any) -> None:
    """As the generated `add_BusServiceServicer_to_server`, but Connect's frames leave the
    messages as bytes.
    """
    taken = _Handlers()
    bus_pb2_grpc.add_BusServiceServicer_to_server(servicer, taken)  # type: ignore[arg-type]
    handlers = taken.found | {
        "Connect": grpc.stream_stream_rpc_method_handler(
            servicer.Connect,
            request_deserializer=ConnectRequest.FromString,
            response_serializer=lambda frame: frame.SerializeToString(),
        )
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    server.add_registered_method_handlers(_SERVICE, handlers)


class _Handlers:
    """Stands in for a server to learn the handlers of a servicer."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Not these: the registered ones say the names."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Keeps them."""
        self.found = handlers


def caller(call: CallContext, agent: str) -> Caller:
    """Who calls. Raises PermissionDenied AGENT_NOT_GRANTED, InvalidArgument AGENT_REQUIRED."""
    name = call.grant(agent) if agent else call.agent
    if name:
        return Caller(call.tenant_id, name)
    if call.role == "agent":
        raise InvalidArgument(
            "AGENT_REQUIRED",
            "this API key is good for several agents: say which in Hello.agent, or in the metadata "
            "`pentad-agent`",
            violations=[("hello.agent", "is required for this key")],
        )
    return Caller(call.tenant_id, f"client.{call.key_id}", is_agent=False)


def _filter(wanted: bus_pb2.MessageFilter) -> HistoryFilter:
    return HistoryFilter(
        run_id=wanted.run_id,
        agent=wanted.agent,
        type=wanted.type,
        correlation_id=wanted.correlation_id,
        start_time=_seconds(wanted.start_time) if wanted.HasField("start_time") else None,
        end_time=_seconds(wanted.end_time) if wanted.HasField("end_time") else None,
    )


def _chosen(request: bus_pb2.RedriveDeadLettersRequest | bus_pb2.PurgeDeadLettersRequest) -> Chosen:
    return Chosen(list(request.dead_letter_ids), request.recipient, request.all)


def _seconds(time: Timestamp) -> float:
    return time.seconds + time.nanos / 1e9


def _record(row: HistoryRow) -> bus_pb2.MessageRecord:
    return bus_pb2.MessageRecord(message=bus_pb2.Message.FromString(row.body), cursor=cursor(row.seq))


def _dead_letter(row: DeadRow) -> bus_pb2.DeadLetter:
    letter = bus_pb2.DeadLetter(
        dead_letter_id=row.id,
        message=bus_pb2.Message.FromString(row.body),
        recipient=row.recipient,
        reason=row.reason,
        detail=row.detail,
        attempts=row.attempts,
    )
    letter.dead_time.FromMicroseconds(round(row.dead_time * 1e6))
    for attempt, instance, ended, outcome, detail in row.history:
        failed = letter.history.add(attempt=attempt, instance=instance, outcome=outcome, detail=detail)
        failed.end_time.FromMicroseconds(round(ended * 1e6))
    return letter


def _stats(state: QueueState) -> bus_pb2.QueueStats:
    stats = bus_pb2.QueueStats(
        recipient=state.recipient,
        queued=state.queued,
        in_flight=state.in_flight,
        delayed=state.delayed,
        bytes=state.size,
        consumers=state.consumers,
        dead_letters=state.dead_letters,
        dropped=state.dropped,
        max_messages=state.max_messages,
        max_bytes=state.max_bytes,
        overflow=bus_pb2.QUEUE_OVERFLOW_DROP_OLDEST if state.drops_oldest else bus_pb2.QUEUE_OVERFLOW_REJECT,
    )
    stats.oldest_age.FromMilliseconds(round(state.oldest_age * 1000))
    return stats
