"""Any server that speaks OpenAI's protocol: vLLM, Ollama, LM Studio, llama.cpp, another gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pentad_llm_gateway.catalog import UNKNOWN_MODEL, ModelEntry, ProviderEntry
from pentad_llm_gateway.providers.chat import ChatProvider, LazyClient, make_client
from pentad_llm_gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI


class CompatibleProvider(ChatProvider):
    """The server at the catalog's `base_url`, or else at PENTAD_LLM_COMPATIBLE_BASE_URL."""

    takes_thoughts = True

    def __init__(self, name: str, settings: GatewaySettings, entry: ProviderEntry) -> None:
        super().__init__(name, settings, entry)
        self._client = LazyClient(self._make)

    @property
    def _ambient(self) -> bool:
        """Whether it is the one server that the settings name; others are the catalog's."""
        return not self.entry.base_url

    def _key(self) -> str:
        if self.entry.api_key_env or not self._ambient:
            return self.api_key()
        key = self.settings.llm_compatible_api_key
        return key.get_secret_value() if key else ""

    def _make(self) -> AsyncOpenAI:
        url = self.entry.base_url or self.settings.llm_compatible_base_url
        return make_client(self.time_limits(), url, self._key() or "none", ambient=False)

    def unavailable(self) -> str:
        """See Provider."""
        if self._ambient and not self.settings.llm_compatible_base_url:
            return "PENTAD_LLM_COMPATIBLE_BASE_URL is not set for the gateway"
        return self._no_key()

    def models(self) -> Mapping[str, ModelEntry]:
        """See Provider."""
        model = self.settings.llm_compatible_model if self._ambient else ""
        return {model: UNKNOWN_MODEL, **self.entry.models} if model else self.entry.models

    @property
    def default_model(self) -> str:
        """See Provider."""
        return (self.settings.llm_compatible_model if self._ambient else "") or self.entry.default

    async def client(self) -> AsyncOpenAI:
        """See ChatProvider."""
        client: AsyncOpenAI = await self._client.get()
        return client

    async def close(self) -> None:
        """See Provider."""
        await self._client.close()
