"""What an agent wants to hear of."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pentad.bus.v1 import bus_pb2 as pb

SCOPES = {"agent": pb.SUBSCRIPTION_SCOPE_AGENT, "instance": pb.SUBSCRIPTION_SCOPE_INSTANCE}

Scope = Literal["agent", "instance"]


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
