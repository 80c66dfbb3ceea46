"""Typed asynchronous clients of Pentad: `async with Pentad(ClientConfig.from_env()) as pentad: …`.

Failed calls raise `PentadError`; streams reconnect by themselves. Each area's client is loaded when first
used.
"""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

import pentad_client.polling  # noqa: F401 - before gRPC
from pentad_client.config import ClientConfig
from pentad_client.envelope import Envelope, current_envelope, enveloped
from pentad_client.errors import PentadError

if TYPE_CHECKING:
    from pentad_client.bus import BusClient
    from pentad_client.channel import Channels
    from pentad_client.context import ContextClient
    from pentad_client.keys import KeysClient
    from pentad_client.llm import LlmClient
    from pentad_client.orchestrator import OrchestratorClient
    from pentad_client.registry import RegistryClient

__all__ = ["ClientConfig", "Envelope", "Pentad", "PentadError", "current_envelope", "enveloped"]


class Pentad:
    """All of Pentad's services, as one key sees them. Channels open when first used and close with the block.

    Each area's client is made with `(channels, config)`.
    """

    def __init__(self, config: ClientConfig | None = None) -> None:
        self.config = config or ClientConfig.from_env()

    async def __aenter__(self) -> Pentad:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes what was opened; connections to the bus say goodbye first."""
        if "bus" in self.__dict__:
            await self.bus.close()
        if "_channels" in self.__dict__:
            await self._channels.close()

    @cached_property
    def _channels(self) -> Channels:
        from pentad_client.channel import Channels

        return Channels(self.config)

    @cached_property
    def bus(self) -> BusClient:
        """Messages between agents."""
        from pentad_client.bus import BusClient

        return BusClient(self._channels, self.config)

    @cached_property
    def registry(self) -> RegistryClient:
        """Who is there and what they can do."""
        from pentad_client.registry import RegistryClient

        return RegistryClient(self._channels, self.config)

    @cached_property
    def context(self) -> ContextClient:
        """Shared state."""
        from pentad_client.context import ContextClient

        return ContextClient(self._channels, self.config)

    @cached_property
    def orchestrator(self) -> OrchestratorClient:
        """Runs and workflows."""
        from pentad_client.orchestrator import OrchestratorClient

        return OrchestratorClient(self._channels, self.config)

    @cached_property
    def llm(self) -> LlmClient:
        """Models."""
        from pentad_client.llm import LlmClient

        return LlmClient(self._channels, self.config)

    @cached_property
    def keys(self) -> KeysClient:
        """The tenant's API keys."""
        from pentad_client.keys import KeysClient

        return KeysClient(self._channels, self.config)
