"""Orders of a shop: what is no order is refused, and the urgent ones go first."""

from __future__ import annotations

import json

from pentad.bus.v1.bus_pb2 import PRIORITY_HIGH, Message
from pentad_client.errors import InvalidArgument


def take_order(message: Message) -> Message | None:
    """Takes `{"item": …, "quantity": …}`. Raises InvalidArgument ORDER_INVALID, which the sender sees."""
    try:
        order = json.loads(message.payload.data)
        quantity = int(order["quantity"])
    except (ValueError, KeyError, TypeError):
        raise InvalidArgument("ORDER_INVALID", "an order is a JSON object with item and quantity") from None
    if quantity < 1:
        raise InvalidArgument("ORDER_INVALID", f"nobody orders {quantity}", quantity=quantity)
    message.headers["quantity"] = str(quantity)  # what subscriptions can filter by
    if quantity >= 100:
        message.priority = PRIORITY_HIGH
    return message
