"""AutoGen's runtime of agents over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from autogen_core import (
    MessageContext,
    RoutedAgent,
    TopicId,
    TypeSubscription,
    message_handler,
    try_get_known_serializers_for_type,
)
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from opentelemetry.trace import NoOpTracerProvider

from benchmarks.bus.job import EVERYONE, HEADER, PAYLOAD_BYTES, Job, sink
from benchmarks.bus.tally import Receive

_TEXT = "x" * (PAYLOAD_BYTES - 2 * HEADER.size)


@dataclass
class Text:
    """What is sent: dataclasses travel as JSON, so the payload is text."""

    content: str


async def prepare(job: Job) -> None:
    """Agents announce themselves."""


class _Client:
    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._number = number
        self._runtime = GrpcWorkerAgentRuntime(job.address, tracer_provider=NoOpTracerProvider())

    async def open(self) -> None:
        """Connects."""
        self._runtime.add_message_serializer(try_get_known_serializers_for_type(Text))
        await self._runtime.start()

    async def close(self) -> None:
        """Disconnects."""
        await self._runtime.stop()


class Producer(_Client):
    """Publishes to a topic; nothing tells when it has arrived."""

    async def send(self, batch: Sequence[tuple[int, bytes]]) -> None:
        """Publishes."""
        for target, payload in batch:
            topic = TopicId("all" if target == EVERYONE else sink(target), "default")
            text = Text(payload[: HEADER.size].hex() + _TEXT)
            await self._runtime.publish_message(text, topic)

    async def finish(self) -> None:
        """There is nothing to wait for."""


class _Sink(RoutedAgent):
    def __init__(self, receive: Receive) -> None:
        super().__init__("a consumer")
        self._receive = receive

    @message_handler
    async def handle(self, message: Text, ctx: MessageContext) -> None:
        self._receive(bytes.fromhex(message.content[: 2 * HEADER.size]))


class Consumer(_Client):
    """An agent with a subscription by its type."""

    def __init__(self, job: Job, number: int, receive: Receive) -> None:
        super().__init__(job, number)
        self._receive = receive

    async def open(self) -> None:
        """Connects, registers and subscribes."""
        await super().open()
        name = sink(self._number)
        await _Sink.register(self._runtime, name, lambda: _Sink(self._receive))
        topic = "all" if self._job.broadcast else name
        await self._runtime.add_subscription(TypeSubscription(topic_type=topic, agent_type=name))

    async def run(self) -> None:
        """The runtime calls the agent."""
        await asyncio.Event().wait()
