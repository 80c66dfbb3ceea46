"""Anthropic's message batches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from pentad_common.errors import Cancelled, PentadError
from pentad_llm_gateway.completion import Answer, Completion
from pentad_llm_gateway.errors import UpstreamError, classify, upstream_timeout
from pentad_llm_gateway.providers.anthropic_format import read_answer
from pentad_llm_gateway.providers.batch import BatchApi, BatchStatus
from pentad_llm_gateway.providers.sdk_errors import translated

_WINDOW_SECONDS = 86_400


class AnthropicBatches(BatchApi):
    """`body(model, completion)`: a request as Anthropic takes it."""

    def __init__(self, provider: str, client: Any, body: Callable[[str, Completion], dict[str, Any]]) -> None:
        self._provider = provider
        self._client = client
        self._body = body

    async def submit(self, batch_id: str, model: str, requests: Sequence[tuple[str, Completion]]) -> str:
        """See BatchApi."""
        asked = [
            {"custom_id": name, "params": self._body(model, completion)} for name, completion in requests
        ]
        with translated(self._provider):
            batch = await (await self._batches()).create(requests=asked)
        return str(batch.id)

    async def status(self, provider_batch_id: str) -> BatchStatus:
        """See BatchApi."""
        return BatchStatus((await self._retrieve(provider_batch_id)).processing_status == "ended")

    async def cancel(self, provider_batch_id: str) -> None:
        """See BatchApi."""
        if (await self._retrieve(provider_batch_id)).processing_status != "in_progress":
            return
        with translated(self._provider):
            await (await self._batches()).cancel(provider_batch_id)

    async def results(self, provider_batch_id: str) -> AsyncGenerator[tuple[str, Answer | PentadError], None]:
        """See BatchApi."""
        with translated(self._provider):
            entries = await (await self._batches()).results(provider_batch_id)
            try:
                async for entry in entries:
                    yield entry.custom_id, self._read(entry.result)
            finally:
                await entries.close()

    async def forget(self, provider_batch_id: str) -> None:
        """See BatchApi."""
        with translated(self._provider):
            await (await self._batches()).delete(provider_batch_id)

    async def _batches(self) -> Any:
        return (await self._client()).messages.batches

    async def _retrieve(self, provider_batch_id: str) -> Any:
        with translated(self._provider):
            return await (await self._batches()).retrieve(provider_batch_id)

    def _read(self, result: Any) -> Answer | PentadError:
        match result.type:
            case "succeeded":
                return read_answer(result.message, "")
            case "canceled":
                return Cancelled("CANCELLED", "the batch was cancelled before this was asked")
            case "expired":
                return upstream_timeout(self._provider, "the batch", _WINDOW_SECONDS, retryable=False)
            case _:
                error = result.error
                told = (error.error.type, error.error.message, error.request_id or "")
                return classify(UpstreamError(self._provider, None, (told[0],), told[1], told[2]))
