"""Who waits for an answer."""

from __future__ import annotations

import asyncio

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from pentad.bus.v1 import bus_pb2 as pb
from pentad.common.v1 import common_pb2
from pentad_client.errors import Code, PentadError, from_proto
from pentad_client.message import MessageType

_MOST_REMEMBERED = 4096


class Replies:
    """Answers by correlation id. One that comes twice, or too late, is known and wanted by nobody."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[pb.Message]] = {}
        self._over: dict[str, None] = {}

    def expect(self, correlation_id: str) -> asyncio.Future[pb.Message]:
        """The answer to come."""
        reply: asyncio.Future[pb.Message] = asyncio.get_running_loop().create_future()
        self._waiting[correlation_id] = reply
        return reply

    def stop(self, correlation_id: str) -> None:
        """It came, or is not waited for any longer."""
        self._waiting.pop(correlation_id, None)
        self._over[correlation_id] = None
        if len(self._over) > _MOST_REMEMBERED:
            del self._over[next(iter(self._over))]

    @property
    def wanted(self) -> bool:
        """Whether an answer may come."""
        return bool(self._waiting or self._over)

    def take(self, message: pb.Message) -> bool:
        """Whether the message is an answer to what was asked here; if so, it is dealt with."""
        reply = self._waiting.get(message.correlation_id)
        if reply is not None and not reply.done():
            reply.set_result(message)
            return True
        return reply is not None or message.correlation_id in self._over

    def fail(self, error: PentadError) -> None:
        """No answer will come any more."""
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(error)


def answered(message: pb.Message) -> pb.Message:
    """The answer itself. Raises the PentadError in a message of type `pentad.error`."""
    if message.type != MessageType.ERROR:
        return message
    error = common_pb2.Error()
    try:
        if message.payload.content_type.startswith("application/json"):
            json_format.Parse(message.payload.data, error, ignore_unknown_fields=True)
        else:
            error.ParseFromString(message.payload.data)
        told = from_proto(error)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError, ValueError):
        told = PentadError(Code.UNKNOWN, "ERROR_MALFORMED", f"{message.sender!r} answered with an error")
    raise told
