"""Handlers of message types."""

from __future__ import annotations

import pytest

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.broker import Broker
from pentad_bus.limits import Limits
from pentad_bus.message_types import MessageTypes
from pentad_common.errors import InvalidArgument
from tests.unit.bus.world import World, to


def world_with(**handlers: object) -> World:
    """A broker with handlers by type."""
    types = MessageTypes()
    for type_, handler in handlers.items():
        types.register(type_, handler)  # type: ignore[arg-type]
    world = World()
    world.broker = Broker(Limits(), world.ledger, world.clock, types=types)
    return world


def test_a_handler_changes_what_is_stored() -> None:
    """Anything but the id and the sender; other types are not touched."""

    def louder(message: Message) -> Message:
        message.id, message.sender, message.recipient = "other", "forged", "b"
        message.payload.data = message.payload.data.upper()
        return message

    world = world_with(note=louder)
    a, b = world.connect("a"), world.connect("b")
    world.publish(
        a, to("a", "m1", type="note", payload={"data": b"x"}), to("b", "m2", payload={"data": b"y"})
    )
    found = [Message.FromString(entry.body) for _, entry in b.take()]
    assert [(one.id, one.sender, one.payload.data) for one in found] == [("m1", "a", b"X"), ("m2", "a", b"y")]


def test_a_handler_refuses_and_may_fail() -> None:
    """What it raises is what the sender sees; its faults are not the bus's."""

    def refuse(message: Message) -> None:
        raise InvalidArgument("ORDER_INVALID", "no")

    def fail(message: Message) -> None:
        raise KeyError("x")

    def leave(message: Message) -> None:
        raise SystemExit(3)

    def grow(message: Message) -> None:
        message.payload.data = b"x" * 2_000_000

    world = world_with(order=refuse, bug=fail, exit=leave, big=grow)
    a = world.connect("a")
    for type_, reason in (
        ("order", "ORDER_INVALID"),
        ("bug", "HANDLER_FAILED"),
        ("exit", "HANDLER_FAILED"),
        ("big", "MESSAGE_TOO_LARGE"),
    ):
        world.publish(a, to("a", type=type_))
        assert world.refusal(a) == reason
    assert a.take() == []


@pytest.mark.parametrize("type_", ["", "pentad.task", "x" * 129, "taken"])
def test_some_types_have_no_handlers(type_: str) -> None:
    """Reserved ones, those that cannot be, and those that have one."""
    types = MessageTypes()
    types.register("taken", lambda message: None)
    with pytest.raises(ValueError, match="handler"):
        types.register(type_, lambda message: None)


def test_handlers_do_not_wait() -> None:
    """An async function is refused when it is registered, not when a message comes."""

    async def later(message: Message) -> None:
        return None

    with pytest.raises(ValueError, match="cannot be `async`"):
        MessageTypes().register("order", later)  # type: ignore[arg-type]
