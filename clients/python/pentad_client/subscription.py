"""What an agent wants to hear of."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pentad.bus.v1 import bus_pb2 as pb

OVERFLOWS = {"reject": pb.QUEUE_OVERFLOW_REJECT, "drop-oldest": pb.QUEUE_OVERFLOW_DROP_OLDEST}
SCOPES = {"agent": pb.SUBSCRIPTION_SCOPE_AGENT, "instance": pb.SUBSCRIPTION_SCOPE_INSTANCE}

Scope = Literal["agent", "instance"]
Overflow = Literal["reject", "drop-oldest"]


class QueuePolicy(NamedTuple):
    """How much an agent's inbox holds (0: as the bus is set), and what happens to more than that."""

    max_messages: int = 0
    max_bytes: int = 0
    overflow: Overflow = "reject"

    def to_proto(self) -> pb.QueuePolicy:
        """As the contract has it."""
        return pb.QueuePolicy(
            max_messages=self.max_messages, max_bytes=self.max_bytes, overflow=OVERFLOWS[self.overflow]
        )


class Subscription(NamedTuple):
    """A topic pattern, a CEL filter ("" takes all), and who gets a copy: the agent, or this
    instance alone.
    """

    pattern: str
    filter: str = ""
    scope: Scope = "agent"

    def to_proto(self) -> pb.Subscribe:
        """As the contract has it."""
        return pb.Subscribe(pattern=self.pattern, filter=self.filter, scope=SCOPES[self.scope])
