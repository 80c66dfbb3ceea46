"""A provider that has its answers in a file: for demonstrations and tests that need the same words each time.

CANNED_ANSWERS names a JSON file, `{"question": "answer", …}`; `*` answers what no other does.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from pentad_common.errors import NotFound
from pentad_llm_gateway.catalog import ModelEntry, Price
from pentad_llm_gateway.completion import (
    Answer,
    Completion,
    Event,
    Finished,
    Message,
    Opened,
    Text,
    TextDelta,
    Usage,
    estimate_input,
    estimate_tokens,
)
from pentad_llm_gateway.embedding import Texts, Vectors
from pentad_llm_gateway.providers.base import Provider

FILE = "CANNED_ANSWERS"
# What it can do and costs; what is said of the model in the gateway's own catalog would be in `self.entry`.
FREE = Price(input=0, output=0)
ENTRY = ModelEntry(context_window=4096, tools=False, images=False, embeddings=True, price=FREE)


class CannedProvider(Provider):
    """Asked for as `canned`, or `canned/answers`."""

    any_model = False
    """It can be asked for the models in `models()` alone."""
    default_model = "answers"

    def unavailable(self) -> str:
        """Why it cannot be asked, with what to do about it: callers are told so, and no other error."""
        return "" if os.environ.get(FILE) else f"{FILE} is not set for the gateway"

    def models(self) -> Mapping[str, ModelEntry]:
        """Limits, abilities and prices: the gateway checks requests against them, and accounts by them."""
        return {self.default_model: ENTRY}

    async def invoke(self, model: str, completion: Completion) -> Answer:
        """The whole answer. Cancelled when the caller leaves or its time is up."""
        text = await self._find(completion)
        message = Message("assistant", (Text(text),))
        return Answer(message, "stop", model, self._usage(completion, text))

    async def stream(self, model: str, completion: Completion) -> AsyncGenerator[Event, None]:
        """The answer as it is made, then Finished. Closed when the caller leaves or its time is up.

        What fails before the first delta may be tried again elsewhere; after it, nothing is.
        """
        text = await self._find(completion)
        yield Opened(model)
        for word in text.split(" "):
            yield TextDelta(f"{word} ")
        yield Finished("stop", self._usage(completion, text))

    async def embed(self, model: str, texts: Texts) -> Vectors:
        """Vectors that mean nothing, but are always the same. Leave this out where there are none."""
        digests = [hashlib.sha256(text.encode()).digest()[:8] for text in texts.inputs]
        return Vectors([[byte / 255 for byte in digest] for digest in digests], model)

    async def _find(self, completion: Completion) -> str:
        """The answer in the file. Errors are PentadErrors with a reason of the gateway's taxonomy; one with
        `retry_after` is tried again."""
        # Nothing may block the gateway's event loop: reading a file does.
        answers = json.loads(await asyncio.to_thread(Path(os.environ[FILE]).read_text))
        text = answers.get(completion.messages[-1].text, answers.get("*"))
        if text is None:
            raise NotFound("MODEL_NOT_FOUND", "there is no answer to that in the file", provider=self.name)
        return str(text)

    def _usage(self, completion: Completion, text: str) -> Usage:
        return Usage(estimate_input(completion), estimate_tokens(text), estimated=True)
