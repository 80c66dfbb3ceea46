"""The most that a call can take, before it is made."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from dataclasses import asdict, replace
from typing import Any

from pentad_llm_gateway.catalog import ModelEntry, Price
from pentad_llm_gateway.completion import Completion, Image, Part, Text
from pentad_llm_gateway.target import Target

DEFAULT_OUTPUT_TOKENS = 4096
"""The bound on output where limits are and neither the request, nor a rule, nor the catalog has one; the
provider is told."""

_LEAST_OUTPUT = 64
"""Tokens. An answer that must be shorter is not asked for."""
_A_CALL = 128
"""Tokens that providers add to any request: the frame of the conversation, a system prompt of their own."""
_WITH_TOOLS = 1024
"""Tokens of the instructions that providers add to requests with tools; Anthropic tells of up to 530."""
_AN_ITEM = 32
"""Tokens around each message, part and tool."""
_AN_IMAGE = 50_000
"""The dearest known: gpt-4o-mini counts 2,833 and 5,667 a tile for a picture of 8 tiles."""


def bounded(completion: Completion, entry: ModelEntry, default: int | None = None) -> Completion:
    """The request with a bound on its output, so that there is a most: its own, `default`, the model's, or
    DEFAULT_OUTPUT_TOKENS."""
    if completion.sampling.max_output_tokens is not None or not _is_answered(completion):
        return completion
    known = entry.max_output_tokens
    if default is None and known:
        return completion  # the model itself stops there
    return with_output(
        completion, DEFAULT_OUTPUT_TOKENS if default is None else min(default, known or default)
    )


def with_output(completion: Completion, tokens: int) -> Completion:
    """The request with this bound on its output."""
    return replace(completion, sampling=replace(completion.sampling, max_output_tokens=tokens))


def most(target: Target, completion: Completion) -> tuple[int, int | None]:
    """Tokens, and millionths of a dollar (None where no price is known), that a request with a bound on its
    output (see `bounded`) can take: never less than it takes, often a few times more."""
    given, output = most_input(completion, target.entry), most_output(target, completion)
    return given + output, most_micros(target.entry, given, output)


def most_output(target: Target, completion: Completion) -> int:
    """The most tokens of an answer."""
    if not _is_answered(completion):
        return 0
    asked = completion.sampling.max_output_tokens
    return asked or target.provider.most_output_tokens(target.model, completion)


def output_that_fits(
    target: Target, completion: Completion, tokens: int | None, micros: int | None
) -> int | None:
    """The bound on output with which a request takes no more than `tokens` and `micros`, where they are not
    None; at most DEFAULT_OUTPUT_TOKENS. None if there is no sense in asking for so little, or if the caller
    has named a bound."""
    if completion.sampling.max_output_tokens is not None or not _is_answered(completion):
        return None
    entry, given = target.entry, most_input(completion, target.entry)
    fits = min(DEFAULT_OUTPUT_TOKENS, entry.max_output_tokens or DEFAULT_OUTPUT_TOKENS)
    if tokens is not None:
        fits = min(fits, tokens - given)
    if micros is not None and fits > 0:
        fits = (
            bisect_right(range(fits + 1), micros, key=lambda output: most_micros(entry, given, output) or 0)
            - 1
        )
    return fits if fits >= _LEAST_OUTPUT else None


def _is_answered(completion: Completion) -> bool:
    return completion.purpose == "answer"


def most_input(completion: Completion, entry: ModelEntry) -> int:
    """The most tokens that an input can have: no tokenizer makes more of them than there are bytes of UTF-8,
    and no model reads more than its context window."""
    items = sum(1 + len(message.parts) for message in completion.messages) + len(completion.tools)
    total = _A_CALL + items * _AN_ITEM
    total += sum(_part(part) for message in completion.messages for part in message.parts)
    if completion.tools:
        total += _WITH_TOOLS
        total += sum(_bytes(t.name) + _bytes(t.description) + _json(t.input_schema) for t in completion.tools)
    if completion.response_format:
        total += _AN_ITEM + _json(completion.response_format.schema or {})
    if completion.extras or completion.hints:
        total += _json(completion.extras) + _json(completion.hints)
    return min(total, entry.context_window) if entry.context_window else total


def _part(part: Part) -> int:
    match part:
        case Text(text):
            return _bytes(text)
        case Image():
            return _AN_IMAGE
        case _:
            return _json(asdict(part))


def _bytes(text: str) -> int:
    return len(text.encode())


def _json(value: Any) -> int:
    """Bytes of the value as JSON, indented as some providers show it to their models."""
    return _bytes(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else dict(value)


def most_micros(entry: ModelEntry, input_tokens: int, output_tokens: int) -> int | None:
    """The most that so many tokens cost, whichever of them are cached; None where no price is known."""
    if entry.price is None:
        return None
    prices = [entry.price]
    if entry.above and input_tokens > entry.above.input_tokens:
        prices.append(entry.above.price)
    return max(_dearest(price, input_tokens, output_tokens) for price in prices)


def _dearest(price: Price, input_tokens: int, output_tokens: int) -> int:
    dear = max(price.input, price.cached_input or 0.0, price.cache_write or 0.0)
    return math.ceil(input_tokens * dear + output_tokens * price.output)
