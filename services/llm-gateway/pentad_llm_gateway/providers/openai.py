"""OpenAI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.catalog import ProviderEntry
from pentad_llm_gateway.completion import Completion
from pentad_llm_gateway.providers.batch import BatchApi
from pentad_llm_gateway.providers.chat import ChatProvider, LazyClient, make_client
from pentad_llm_gateway.providers.chat_format import OPENAI_HINTS
from pentad_llm_gateway.providers.openai_batches import OpenAIBatches
from pentad_llm_gateway.providers.responses_format import count_body
from pentad_llm_gateway.providers.sdk_errors import translated
from pentad_llm_gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI


log = get_logger(__name__)

_COUNT_SECONDS = 10.0


class OpenAIProvider(ChatProvider):
    """OpenAI's own models, by OPENAI_API_KEY."""

    limit_field = "max_completion_tokens"
    strict_schemas = True
    takes_hints = OPENAI_HINTS
    vector_format = "base64"

    def __init__(self, name: str, settings: GatewaySettings, entry: ProviderEntry) -> None:
        super().__init__(name, settings, entry)
        self._client = LazyClient(self._make)

    def _key(self) -> str:
        if self.entry.api_key_env:
            return self.api_key()
        key = self.settings.openai_api_key
        return key.get_secret_value() if key else ""

    def _make(self) -> AsyncOpenAI:
        url = self.entry.base_url or self.settings.openai_base_url
        limits = self.time_limits()
        return make_client(limits, url, self._key(), ambient=not self.entry.base_url)

    def unavailable(self) -> str:
        """See Provider."""
        return self._no_key() or ("" if self._key() else "OPENAI_API_KEY is not set for the gateway")

    async def _asked_count(self, model: str, completion: Completion) -> int | None:
        """See ChatProvider: servers that speak OpenAI's protocol mostly lack this part of it, and nobody
        waits long for a count."""
        try:
            with translated(self.name):
                client = await self.client()
                counted = await client.responses.input_tokens.count(
                    **count_body(model, completion), timeout=_COUNT_SECONDS
                )
                return int(counted.input_tokens)
        except PentadError as error:
            log.info("tokens not counted by the provider", provider=self.name, reason=error.reason)
            return None

    def batches(self) -> BatchApi:
        """See Provider."""
        return OpenAIBatches(self.name, self.client, self.batch_body)

    async def client(self) -> AsyncOpenAI:
        """See ChatProvider."""
        client: AsyncOpenAI = await self._client.get()
        return client

    async def close(self) -> None:
        """See Provider."""
        await self._client.close()
