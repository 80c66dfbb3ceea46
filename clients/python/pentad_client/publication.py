"""A message on its way to the bus."""

from __future__ import annotations

import asyncio

from pentad.bus.v1 import bus_pb2 as pb
from pentad_client.delivery import Delivery
from pentad_client.errors import PentadError


class Publication:
    """A message on its way, until the bus has stored or refused it."""

    __slots__ = ("awaited", "body", "future", "refused", "seq", "settles")

    def __init__(
        self, message: pb.Message, settles: Delivery | None, future: asyncio.Future[None], awaited: bool
    ) -> None:
        self.body = message.SerializeToString()
        self.settles = settles
        self.future = future
        self.awaited = awaited
        """Whether somebody does nothing else until it is confirmed."""
        self.seq = 0
        self.refused = False

    @property
    def done(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.done()

    def confirm(self) -> None:
        """It is stored."""
        if not self.future.done():
            self.future.set_result(None)

    def refuse(self, error: PentadError) -> None:
        """It was not taken."""
        self.refused = True
        if not self.future.done():
            self.future.set_exception(error)


class Publications:
    """Messages that somebody waits for together, with one future for all."""

    def __init__(self) -> None:
        self.refused: list[tuple[int, PentadError]] = []
        """Which ones were, by place, and why."""
        self.left = 0
        """How many are neither stored nor refused."""
        self._count = 0
        self._finished: asyncio.Future[None] | None = None

    def add(self, message: pb.Message) -> Publication:
        """One more."""
        place = self._count
        self._count = place + 1
        self.left += 1
        return _OneOfMany(message, self, place)

    def finish(self) -> None:
        """Nothing is left for the moment."""
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    async def finished(self) -> None:
        """Waits until each is stored or refused."""
        if self.left:
            self._finished = asyncio.get_running_loop().create_future()
            await self._finished


class _OneOfMany(Publication):
    __slots__ = ("_all", "_place", "_settled")

    def __init__(self, message: pb.Message, together: Publications, place: int) -> None:
        self.body = message.SerializeToString()
        self.settles = None
        self.awaited = True
        self.refused = False
        self._all = together
        self._place = place
        self._settled = False

    @property
    def done(self) -> bool:
        return self._settled

    def confirm(self) -> None:
        if not self._settled:
            self._settled = True
            together = self._all
            together.left -= 1
            if not together.left:
                together.finish()

    def refuse(self, error: PentadError) -> None:
        self.refused = True
        if not self._settled:
            self._all.refused.append((self._place, error))
            self.confirm()
