"""The two clients: Pentad's own, and OpenAI's SDK, which everything else speaks with."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

from benchmarks.gateway.job import Job

WORDS = "Say what comes to your mind about the weather, in as many words as you may. " * 3


class Client(ABC):
    """Asks one gateway."""

    @abstractmethod
    async def ask(self, job: Job, number: int) -> str:
        """The whole answer."""

    @abstractmethod
    def stream(self, job: Job, number: int) -> AsyncIterator[str]:
        """The answer as it is made."""

    @abstractmethod
    async def close(self) -> None:
        """Hangs up."""


def prompt(job: Job, number: int) -> str:
    """Never the same twice, unless the cache is what is measured."""
    return WORDS if job.cache else f"{number} {WORDS}"


class GrpcClient(Client):
    """pentad_client."""

    def __init__(self, job: Job) -> None:
        from pentad_client import ClientConfig, Pentad
        from pentad_client.llm import LlmClient

        self._pentad = Pentad(ClientConfig(api_key=job.key, llm_address=job.address))
        if job.cache and "cache" not in inspect.signature(LlmClient.invoke).parameters:
            raise SystemExit("pentad_client cannot ask for the cache")

    async def ask(self, job: Job, number: int) -> str:
        options: dict[str, Any] = {"cache": _cache_policy()} if job.cache else {}
        answer = await self._pentad.llm.invoke(
            prompt(job, number), model=job.model, max_output_tokens=job.tokens, **options
        )
        return answer.text

    async def stream(self, job: Job, number: int) -> AsyncIterator[str]:
        async with self._pentad.llm.stream(
            prompt(job, number), model=job.model, max_output_tokens=job.tokens
        ) as events:
            async for event in events:
                if text := getattr(event, "text", ""):
                    yield text

    async def close(self) -> None:
        await self._pentad.close()


def _cache_policy() -> Any:
    from pentad.llm.v1 import llm_pb2

    policy = llm_pb2.CachePolicy()
    policy.ttl.FromTimedelta(timedelta(minutes=10))
    return policy


class OpenAiClient(Client):
    """OpenAI's SDK with its own settings, but for retries: a failure shall be seen."""

    def __init__(self, job: Job) -> None:
        from openai import AsyncOpenAI

        self._client = AsyncOpenAI(base_url=job.address, api_key=job.key, max_retries=0)

    def _arguments(self, job: Job, number: int) -> dict[str, Any]:
        return {
            "model": job.model,
            "max_tokens": job.tokens,
            "messages": [{"role": "user", "content": prompt(job, number)}],
            **CACHE_WORDS[job.cache],
        }

    async def ask(self, job: Job, number: int) -> str:
        answer = await self._client.chat.completions.create(**self._arguments(job, number))
        return answer.choices[0].message.content or ""

    async def stream(self, job: Job, number: int) -> AsyncIterator[str]:
        chunks = await self._client.chat.completions.create(
            **self._arguments(job, number), stream=True, stream_options={"include_usage": True}
        )
        async for chunk in cast(AsyncIterator[Any], chunks):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    async def close(self) -> None:
        await self._client.close()


CACHE_WORDS: dict[str, dict[str, Any]] = {
    "": {},
    "litellm": {"extra_body": {"cache": {"use-cache": True, "ttl": 600}}},
    "pentad-http": {"extra_headers": {"cache-control": "max-age=600"}},
}
"""How each asks for its cache in an HTTP request."""

CLIENTS: dict[str, type[Client]] = {"grpc": GrpcClient, "openai": OpenAiClient}
