"""Texts and their vectors, in plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pentad_llm_gateway.completion import Completion, Message, Text, Usage


@dataclass(frozen=True, slots=True)
class Texts:
    """A request for vectors. `model` is what the caller named, "" for the default; `dimensions` is how long
    they shall be, None for the model's own."""

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)

    def completion(self) -> Completion:
        """The same words as a request for an answer: what counts tokens, limits and accounts them takes
        those."""
        messages = tuple(Message("user", (Text(text),)) for text in self.inputs)
        return Completion(self.model, messages, extras=self.extras, purpose="embedding")


@dataclass(frozen=True, slots=True)
class Vectors:
    """One vector for each text, in their order. `usage` is None where the provider does not tell."""

    values: Sequence[Sequence[float]]
    model: str
    usage: Usage | None = None
    provider_request_id: str = ""
