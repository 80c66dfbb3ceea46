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
    """The server at PENTAD_LLM_COMPATIBLE_BASE_URL."""

    def __init__(self, name: str, settings: GatewaySettings, entry: ProviderEntry) -> None:
        super().__init__(name, settings, entry)
        self._client = LazyClient(self._make)

    def _make(self) -> AsyncOpenAI:
        key = self.settings.llm_compatible_api_key
        url = self.settings.llm_compatible_base_url
        return make_client(self.settings, url, key.get_secret_value() if key else "none", ambient=False)

    def unavailable(self) -> str:
        """See Provider."""
        if not self.settings.llm_compatible_base_url:
            return "PENTAD_LLM_COMPATIBLE_BASE_URL is not set for the gateway"
        return ""

    def models(self) -> Mapping[str, ModelEntry]:
        """See Provider."""
        model = self.settings.llm_compatible_model
        return {model: UNKNOWN_MODEL, **self.entry.models} if model else self.entry.models

    @property
    def default_model(self) -> str:
        """See Provider."""
        return self.settings.llm_compatible_model or self.entry.default

    async def client(self) -> AsyncOpenAI:
        """See ChatProvider."""
        client: AsyncOpenAI = await self._client.get()
        return client

    async def close(self) -> None:
        """See Provider."""
        await self._client.close()
