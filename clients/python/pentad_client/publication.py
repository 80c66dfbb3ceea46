"""A message on its way to the bus."""

from __future__ import annotations

import asyncio

from pentad.bus.v1 import bus_pb2 as pb
from pentad_client.delivery import Delivery
from pentad_client.errors import PentadError


class Publication:
    """A message on its way, until the bus has stored or refused it."""

    __slots__ = ("body", "future", "refused", "seq", "settles")

    def __init__(self, message: pb.Message, settles: Delivery | None, future: asyncio.Future[None]) -> None:
        self.body = message.SerializeToString()
        self.settles = settles
        self.future = future
        self.seq = 0
        self.refused = False

    def confirm(self) -> None:
        """It is stored."""
        if not self.future.done():
            self.future.set_result(None)

    def refuse(self, error: PentadError) -> None:
        """It was not taken."""
        self.refused = True
        if not self.future.done():
            self.future.set_exception(error)
