"""Counting tokens without asking anybody, for models whose tokenizer is public.

OpenAI's encodings come in the package bpe-openai: GitHub's tokenizer in Rust, with the encodings in it. It
takes some 100 MB once it is used, so it is loaded then, and in a thread; so is the counting, which lets go of
the interpreter. The package's own Python, which reads the encodings once more, is left aside.
"""

from __future__ import annotations

import asyncio
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from pentad_llm_gateway.completion import Completion, Text

_PACKAGE = "bpe_openai"
_A_MESSAGE = 3
_A_REPLY = 3
"""Tokens around each message, and before the answer: OpenAI Cookbook, "How to count tokens with tiktoken"."""


def has_tokenizer(encoding: str) -> bool:
    """Whether texts can be counted in an encoding, such as `o200k_base`; "" is none."""
    return bool(encoding) and _library() is not None


def is_plain(completion: Completion) -> bool:
    """Whether a request is of words alone: how tools, schemas and pictures are counted is not public."""
    parts = (part for message in completion.messages for part in message.parts)
    return (
        not completion.tools
        and completion.response_format is None
        and all(isinstance(part, Text) for part in parts)
    )


async def count_words(encoding: str, completion: Completion) -> int:
    """Tokens of the words of a request, with what OpenAI's chat format puts around them."""
    return await asyncio.to_thread(_count, encoding, completion)


def _count(encoding: str, completion: Completion) -> int:
    count = _tokenizer(encoding).count
    said = sum(count(message.role) + count(message.text) + _A_MESSAGE for message in completion.messages)
    return int(said) + _A_REPLY


@cache
def _tokenizer(encoding: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"{_PACKAGE}._bindings", _library())
    assert spec is not None and spec.loader is not None
    bindings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bindings)
    return bindings.tokenizer_for_encoding(encoding)


@cache
def _library() -> Path | None:
    """The package's compiled part; None where it is not installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return next((path for place in places or () for path in Path(place).glob("_bindings*.so")), None)
