"""Handlers of message types: code of the user's that the bus runs on a message before it stores it.

A handler belongs to one type. It may refuse a message, by raising a PentadError such as InvalidArgument, or
answer with another one, which is then routed, stored and delivered in its place. Installed packages name
theirs in the entry point group `pentad.bus.message_types`: the entry point's name is the type, its object the
handler. The bus needs no change for it.

Handlers run in the bus's event loop, once a message: they must not wait for anything, and be quick. The id is
kept, and sender and time are set by the bus, whatever a handler writes there.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from inspect import iscoroutinefunction

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.admission import check_message, read_message
from pentad_common.errors import Internal, PentadError, StartupError
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

GROUP = "pentad.bus.message_types"
RESERVED = "pentad."

Handler = Callable[[Message], Message | None]
"""Takes a message of its type; answers with what to store in its place, or None for the one it was given,
with what it changed there. Raises PentadError to refuse it: its code, reason and text are what the sender
sees.
"""


class MessageTypes:
    """Handlers by type; a type without one is taken as it comes."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    @classmethod
    def installed(cls) -> MessageTypes:
        """Those of the packages that are installed. Raises StartupError if one cannot be used."""
        types = cls()
        for point in entry_points(group=GROUP):
            try:
                types.register(point.name, point.load())
            except Exception as error:
                raise StartupError(
                    f"the handler of message type {point.name!r} ({point.value}) cannot be used: {error}"
                ) from error
            log.info("message type handled", type=point.name, handler=point.value)
        return types

    def register(self, type: str, handler: Handler) -> None:
        """Adds a handler. Raises ValueError for a type that is reserved, taken or empty, or no function."""
        if not type or len(type) > 128 or type.startswith(RESERVED):
            raise ValueError(f"{type!r} cannot have a handler: 1 to 128 characters, and not `{RESERVED}*`")
        if type in self._handlers:
            raise ValueError(f"there is a handler of {type!r} already")
        if not callable(handler) or iscoroutinefunction(handler):
            raise ValueError(f"{handler!r} is no plain function; it cannot be `async`, the bus does not wait")
        self._handlers[type] = handler

    def __contains__(self, type: str) -> bool:
        return type in self._handlers

    def handle(self, message: Message, most_bytes: int) -> tuple[Message, bytes]:
        """The message to store, and its encoding. Raises PentadError if it is refused.

        HANDLER_FAILED if the handler raised anything else, or its answer breaks the contract.
        """
        message_id, type_ = message.id, message.type
        try:
            found = self._handlers[type_](message)
            message = message if found is None else found
            message.id = message_id
            body = message.SerializeToString()
            read_message(body, most_bytes)
            check_message(message, body, message.id)
        except PentadError:
            raise
        except (Exception, SystemExit):
            log.exception("the handler of a message type failed", type=type_)
            raise Internal("HANDLER_FAILED", f"the bus's handler of type {type_!r} failed") from None
        return message, body
