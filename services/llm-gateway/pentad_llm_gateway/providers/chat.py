"""A provider that speaks OpenAI's chat protocol, through OpenAI's SDK."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Literal, cast

from pentad_llm_gateway.completion import Answer, Completion, Event, TokenCount, estimate_input
from pentad_llm_gateway.embedding import Texts, Vectors
from pentad_llm_gateway.errors import cut_short
from pentad_llm_gateway.pace import TimeLimits
from pentad_llm_gateway.providers import sse
from pentad_llm_gateway.providers.base import Provider
from pentad_llm_gateway.providers.chat_format import (
    CHAT_HINTS,
    ChunkReader,
    read_answer,
    read_vectors,
    request_body,
)
from pentad_llm_gateway.providers.fields import Fields, fields
from pentad_llm_gateway.providers.sdk_errors import translated
from pentad_llm_gateway.tokenizer import count_words, has_tokenizer, is_plain

if TYPE_CHECKING:
    from httpx2 import Response, Timeout
    from openai import AsyncOpenAI

_AFTER_OURS = 1.0
_PATH = "/chat/completions"
_STREAM = {"stream": True, "stream_options": {"include_usage": True}}


class ChatProvider(Provider):
    """Subclasses say where the server is, by `client()`.

    The SDK is used by its `post`: it has the addresses, the key, the errors and the frames of streams. Its
    models of requests and answers are left out: they are a third of what a call with them costs, and more of
    a stream.
    """

    limit_field = "max_tokens"
    strict_schemas = False
    takes_thoughts = False
    """Whether what its model thought goes back to it with a tool's result."""
    takes_hints = CHAT_HINTS
    vector_format: Literal["float", "base64"] = "float"

    @abstractmethod
    async def client(self) -> AsyncOpenAI:
        """The SDK's client; its own retries are off."""

    async def invoke(self, model: str, completion: Completion) -> Answer:
        """See Provider."""
        from httpx2 import Response

        with translated(self.name):
            client = await self.client()
            response = await client.post(
                _PATH, cast_to=Response, **posted(self._arguments(model, completion))
            )
            return read_answer(fields(response.json()), response.headers.get("x-request-id", ""))

    async def stream(self, model: str, completion: Completion) -> AsyncGenerator[Event, None]:
        """See Provider."""
        from openai import AsyncStream

        with translated(self.name):
            client = await self.client()
            arguments = posted(self._arguments(model, completion) | _STREAM)
            kind = AsyncStream[object]
            chunks = await client.post(_PATH, cast_to=object, stream=True, stream_cls=kind, **arguments)
        reader = ChunkReader(chunks.response.headers.get("x-request-id", ""))
        try:
            with translated(self.name):
                async for together in sse.events(chunks.response.aiter_bytes()):
                    for data in together:
                        for event in reader.read(_chunk(data, chunks.response)):
                            yield event
        finally:
            await chunks.close()
        finished = reader.finished()
        if finished is None:
            raise cut_short(self.name)
        yield finished

    async def count_tokens(self, model: str, completion: Completion) -> TokenCount:
        """See Provider: counted here for a model whose tokenizer is public, and asked for elsewhere; what
        neither can tell is estimated."""
        encoding = self.model(model).tokenizer
        offline = has_tokenizer(encoding)
        if offline and is_plain(completion):
            return TokenCount(await count_words(encoding, completion), estimated=False)
        asked = await self._asked_count(model, completion)
        if asked is not None:
            return TokenCount(asked, estimated=False)
        if not offline:
            return await super().count_tokens(model, completion)
        words = estimate_input(completion, words=False) + await count_words(encoding, completion)
        return TokenCount(words, estimated=True)

    async def _asked_count(self, model: str, completion: Completion) -> int | None:
        """What the server's own counting says; None where it has none."""
        return None

    def batch_body(self, model: str, completion: Completion) -> dict[str, Any]:
        """A request as it is written into a file of requests."""
        return {**self._body(model, completion), **completion.hints, **completion.extras}

    async def embed(self, model: str, texts: Texts) -> Vectors:
        """See Provider."""
        arguments: dict[str, Any] = {"model": model, "input": [*texts.inputs]}
        arguments |= {"encoding_format": self.vector_format}
        if texts.dimensions is not None:
            arguments["dimensions"] = texts.dimensions
        if texts.extras:
            arguments["extra_body"] = dict(texts.extras)
        with translated(self.name):
            client = await self.client()
            raw = await client.embeddings.with_raw_response.create(**arguments)
            return read_vectors(raw.parse(), raw.headers.get("x-request-id", ""), len(texts.inputs))

    def _arguments(self, model: str, completion: Completion) -> dict[str, Any]:
        body = self._body(model, completion) | own_timeout(self, model)
        extras = {**completion.hints, **completion.extras}
        return body | ({"extra_body": extras} if extras else {})

    def _body(self, model: str, completion: Completion) -> dict[str, Any]:
        return request_body(
            model,
            completion,
            limit_field=self.limit_field,
            strict=self.strict_schemas,
            thoughts=self.takes_thoughts,
        )


def _chunk(data: bytes, response: Response) -> Fields:
    """A stream's event. Raises the SDK's error for one that tells an error."""
    chunk = fields(json.loads(data))
    if error := chunk.error:
        from openai import APIError

        message = error.message if isinstance(error, Fields) else error
        raise APIError(str(message or ""), request=response.request, body=error)
    return cast(Fields, chunk)


def posted(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the SDK's `create` as those of its `post`."""
    body = dict(arguments)
    body |= body.pop("extra_body", {})
    options = {"timeout": body.pop("timeout")} if "timeout" in body else {}
    return {"body": body, "options": options}


class LazyClient:
    """An SDK's client, made when first needed: its import takes most of a second, so it happens in a
    thread."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._client: Any = None
        self._lock = asyncio.Lock()

    async def get(self) -> Any:
        """The client."""
        if self._client is None:
            async with self._lock:
                if self._client is None:
                    self._client = await asyncio.to_thread(self._make)
        return self._client

    async def close(self) -> None:
        """Closes its connections, if it was made."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def http_timeout(limits: TimeLimits) -> Timeout:
    """The SDKs' own time limits, a little beyond the gateway's, whose errors say more; but for connecting."""
    from httpx2 import Timeout

    return Timeout(limits.total + _AFTER_OURS, connect=limits.connect, pool=limits.connect)


def own_timeout(provider: Provider, model: str) -> dict[str, Any]:
    """The argument of a request to a model that has time limits of its own."""
    entry = provider.model(model).time_limits
    if entry.connect is None and entry.total is None:
        return {}
    return {"timeout": http_timeout(provider.time_limits(model))}


def make_client(limits: TimeLimits, base_url: str, api_key: str, *, ambient: bool) -> AsyncOpenAI:
    """OpenAI's client without retries of its own.

    `ambient`: whether OpenAI's other variables (organisation, headers) and proxies of the environment count.
    """
    from openai import AsyncOpenAI

    from pentad_llm_gateway.providers.transport import http_client

    timeout = http_timeout(limits)
    client = AsyncOpenAI(
        base_url=base_url,
        api_key=api_key,
        max_retries=0,
        timeout=timeout,
        http_client=http_client(timeout, trust_env=ambient),
    )
    if not ambient:
        client.organization = client.project = None
        without_ambient_headers(client)
    return client


def without_ambient_headers(client: Any) -> None:
    """Takes away the headers that an SDK read from the environment: they are for its own provider. A copy of
    the client would read them again, and there is no option for it."""
    client._custom_headers = {}
