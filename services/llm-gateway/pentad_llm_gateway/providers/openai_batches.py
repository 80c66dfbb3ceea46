"""OpenAI's batch API: a file of requests in, a file of answers and one of errors out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pentad_common.errors import Cancelled, PentadError
from pentad_llm_gateway.completion import Answer, Completion
from pentad_llm_gateway.errors import UpstreamError, classify, upstream_timeout
from pentad_llm_gateway.providers.batch import BatchApi, BatchStatus
from pentad_llm_gateway.providers.chat_format import read_answer
from pentad_llm_gateway.providers.sdk_errors import translated

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_ENDPOINT = "/v1/chat/completions"
_WINDOW = "24h"
_WINDOW_SECONDS = 86_400
_ENDED = {"completed", "failed", "expired", "cancelled"}
_NAME = "pentad_batch_id"
_MOST_LISTED = 100

Body = Callable[[str, Completion], dict[str, Any]]


class OpenAIBatches(BatchApi):
    """`body(model, completion)`: a request as OpenAI takes it."""

    def __init__(self, provider: str, client: Any, body: Body) -> None:
        self._provider = provider
        self._client: Callable[[], Any] = client
        self._body = body

    async def submit(self, batch_id: str, model: str, requests: Sequence[tuple[str, Completion]]) -> str:
        """See BatchApi."""
        lines = (
            {"custom_id": name, "method": "POST", "url": _ENDPOINT, "body": self._body(model, completion)}
            for name, completion in requests
        )
        data = await asyncio.to_thread(lambda: b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        with translated(self._provider):
            client = await self._client()
            file = await client.files.create(file=(f"{batch_id}.jsonl", data), purpose="batch")
            batch = await client.batches.create(
                input_file_id=file.id,
                endpoint=_ENDPOINT,
                completion_window=_WINDOW,
                metadata={_NAME: batch_id},
            )
        return str(batch.id)

    async def find(self, batch_id: str) -> str:
        """See BatchApi: by the name that it was given."""
        seen = 0
        with translated(self._provider):
            client = await self._client()
            async for batch in client.batches.list(limit=_MOST_LISTED):
                if (batch.metadata or {}).get(_NAME) == batch_id:
                    return str(batch.id)
                seen += 1
                if seen >= _MOST_LISTED:
                    break
        return ""

    async def status(self, provider_batch_id: str) -> BatchStatus:
        """See BatchApi."""
        batch = await self._retrieve(provider_batch_id)
        if batch.status != "failed":
            return BatchStatus(batch.status in _ENDED)
        first = next(iter((batch.errors.data if batch.errors else None) or []), None)
        codes = (first.code,) if first and first.code else ()
        said = (first.message or "") if first else ""
        return BatchStatus(True, classify(UpstreamError(self._provider, 400, codes, said)))

    async def cancel(self, provider_batch_id: str) -> None:
        """See BatchApi."""
        if (await self._retrieve(provider_batch_id)).status in (*_ENDED, "cancelling"):
            return
        with translated(self._provider):
            await (await self._client()).batches.cancel(provider_batch_id)

    async def results(self, provider_batch_id: str) -> AsyncGenerator[tuple[str, Answer | PentadError], None]:
        """See BatchApi."""
        batch = await self._retrieve(provider_batch_id)
        for file_id in (batch.output_file_id, batch.error_file_id):
            if not file_id:
                continue
            with translated(self._provider):
                client: AsyncOpenAI = await self._client()
                async with client.files.with_streaming_response.content(file_id) as response:
                    async for line in response.iter_lines():
                        if line.strip():
                            yield self._read(json.loads(line))

    async def forget(self, provider_batch_id: str) -> None:
        """See BatchApi: its files."""
        batch = await self._retrieve(provider_batch_id)
        with translated(self._provider):
            client = await self._client()
            for file_id in (batch.input_file_id, batch.output_file_id, batch.error_file_id):
                if file_id:
                    await client.files.delete(file_id)

    async def _retrieve(self, provider_batch_id: str) -> Any:
        with translated(self._provider):
            return await (await self._client()).batches.retrieve(provider_batch_id)

    def _read(self, line: Mapping[str, Any]) -> tuple[str, Answer | PentadError]:
        from openai.types.chat import ChatCompletion

        name, response, error = str(line.get("custom_id")), line.get("response"), line.get("error")
        if not response:
            return name, self._error(None, error or {}, "")
        request_id = str(response.get("request_id") or "")
        body, status = response.get("body") or {}, int(response.get("status_code") or 0)
        if status >= 400:
            return name, self._error(status, body.get("error") or {}, request_id)
        with suppress(PentadError), translated(self._provider):
            return name, read_answer(ChatCompletion.construct(**body), request_id)
        return name, classify(UpstreamError(self._provider, None, ("answer_not_understood",)))

    def _error(self, status: int | None, error: Mapping[str, Any], request_id: str) -> PentadError:
        codes = tuple(str(error[name]) for name in ("code", "type") if error.get(name))
        if "batch_expired" in codes:
            return upstream_timeout(self._provider, "the batch", _WINDOW_SECONDS, retryable=False)
        if "batch_cancelled" in codes:
            return Cancelled("CANCELLED", "the batch was cancelled before this was asked")
        said = str(error.get("message") or "")
        return classify(UpstreamError(self._provider, status, codes, said, request_id))
