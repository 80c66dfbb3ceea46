"""Anthropic."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from pentad_llm_gateway.catalog import ProviderEntry
from pentad_llm_gateway.completion import Answer, Completion, Event, Finished, TokenCount
from pentad_llm_gateway.errors import cut_short
from pentad_llm_gateway.providers.anthropic_batches import AnthropicBatches
from pentad_llm_gateway.providers.anthropic_format import EventReader, read_answer, request_body
from pentad_llm_gateway.providers.base import Provider
from pentad_llm_gateway.providers.batch import BatchApi
from pentad_llm_gateway.providers.chat import (
    LazyClient,
    http_timeout,
    own_timeout,
    without_ambient_headers,
)
from pentad_llm_gateway.providers.sdk_errors import translated
from pentad_llm_gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

_MAX_TOKENS = 16_384
"""Of an answer whose request sets no bound: Anthropic wants one, and thinking counts."""

_NOT_IN_THE_SDK = ("temperature", "top_p")
"""Fields that only older models take; the SDK has no arguments for them any more."""

_NOT_COUNTED = ("max_tokens", "stop_sequences", "extra_body")


class AnthropicProvider(Provider):
    """Anthropic's models, by ANTHROPIC_API_KEY."""

    takes_seed = False
    takes_hints = frozenset({"parallel_tool_calls"})

    def __init__(self, name: str, settings: GatewaySettings, entry: ProviderEntry) -> None:
        super().__init__(name, settings, entry)
        self._client = LazyClient(self._make)

    def _key(self) -> str:
        if self.entry.api_key_env:
            return self.api_key()
        key = self.settings.anthropic_api_key
        return key.get_secret_value() if key else ""

    def _make(self) -> AsyncAnthropic:
        from anthropic import AsyncAnthropic

        from pentad_llm_gateway.providers.transport import http_client

        timeout = http_timeout(self.time_limits())
        ambient = not self.entry.base_url
        client = AsyncAnthropic(
            base_url=self.entry.base_url or self.settings.anthropic_base_url,
            api_key=self._key(),
            max_retries=0,
            timeout=timeout,
            http_client=http_client(timeout, trust_env=ambient),
            open_telemetry=False,
        )
        if not ambient:
            without_ambient_headers(client)
        return client

    def unavailable(self) -> str:
        """See Provider."""
        return self._no_key() or ("" if self._key() else "ANTHROPIC_API_KEY is not set for the gateway")

    async def invoke(self, model: str, completion: Completion) -> Answer:
        """See Provider."""
        with translated(self.name):
            client = await self._client.get()
            raw = await client.messages.with_raw_response.create(**self._arguments(model, completion))
            return read_answer(await raw.parse(), raw.headers.get("request-id", ""))

    async def stream(self, model: str, completion: Completion) -> AsyncGenerator[Event, None]:
        """See Provider."""
        with translated(self.name):
            client = await self._client.get()
            events = await client.messages.create(**self._arguments(model, completion), stream=True)
        reader = EventReader(events.response.headers.get("request-id", ""))
        finished = False
        try:
            with translated(self.name):
                async for item in events:
                    for event in reader.read(item):
                        finished = finished or isinstance(event, Finished)
                        yield event
        finally:
            await events.close()
        if not finished:
            raise cut_short(self.name)

    async def count_tokens(self, model: str, completion: Completion) -> TokenCount:
        """See Provider: counted by Anthropic."""
        body = self._arguments(model, completion)
        with translated(self.name):
            client = await self._client.get()
            counted = await client.messages.count_tokens(
                **{name: value for name, value in body.items() if name not in _NOT_COUNTED}
            )
        return TokenCount(counted.input_tokens, estimated=False)

    def most_output_tokens(self, model: str, completion: Completion) -> int:
        """See Provider."""
        most = self.model(model).max_output_tokens or _MAX_TOKENS
        return completion.sampling.max_output_tokens or min(most, _MAX_TOKENS)

    def _arguments(self, model: str, completion: Completion) -> dict[str, Any]:
        body = request_body(model, completion, self.most_output_tokens(model, completion))
        extra = {name: body.pop(name) for name in _NOT_IN_THE_SDK if name in body} | dict(completion.extras)
        return body | own_timeout(self, model) | ({"extra_body": extra} if extra else {})

    def batches(self) -> BatchApi:
        """See Provider."""
        return AnthropicBatches(self.name, self._client.get, self._batch_body)

    def _batch_body(self, model: str, completion: Completion) -> dict[str, Any]:
        body = request_body(model, completion, self.most_output_tokens(model, completion))
        return {**body, **completion.extras}

    async def close(self) -> None:
        """See Provider."""
        await self._client.close()
