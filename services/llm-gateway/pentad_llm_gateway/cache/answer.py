"""An answer that is kept, and how it becomes a stream again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from pentad_llm_gateway.completion import (
    Delta,
    FinishReason,
    Message,
    Part,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)

_PARTS: dict[str, type[Part]] = {"text": Text, "tool_call": ToolCall, "reasoning": Reasoning}
_NAMES = {kind: name for name, kind in _PARTS.items()}
_PIECE = 1024
"""Characters of a delta."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a model said, and who it was."""

    message: Message
    finish_reason: FinishReason
    provider: str
    model: str

    @property
    def complete(self) -> bool:
        """Whether it is all that the model had to say: not cut by a bound, nor held back, nor nothing."""
        return self.finish_reason in ("stop", "tool_calls") and bool(self.message.parts)

    def encode(self) -> bytes:
        """As bytes."""
        parts = [[_NAMES[type(part)], asdict(part)] for part in self.message.parts]
        kept = {"parts": parts, "finish": self.finish_reason, "provider": self.provider, "model": self.model}
        return json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")

    @classmethod
    def decode(cls, data: bytes) -> KeptAnswer | None:
        """The answer in bytes; None if they are of another version."""
        try:
            kept = json.loads(data.decode("utf-8", "surrogatepass"))
            parts = tuple(_PARTS[kind](**values) for kind, values in kept["parts"])
            return cls(Message("assistant", parts), kept["finish"], kept["provider"], kept["model"])
        except (ValueError, KeyError, TypeError):
            return None


def deltas(message: Message) -> Iterator[Delta]:
    """A message as a stream of deltas."""
    calls = thoughts = 0
    for part in message.parts:
        match part:
            case Text(text):
                yield from (TextDelta(text[at : at + _PIECE]) for at in range(0, len(text), _PIECE))
            case ToolCall(call_id, name, arguments):
                yield ToolCallDelta(calls, call_id, name, arguments)
                calls += 1
            case Reasoning(text, signature, redacted):
                yield ReasoningDelta(thoughts, text, signature, redacted)
                thoughts += 1
            case _:
                pass  # models say nothing else


def assembled(stream: Iterable[Delta]) -> Message:
    """A stream of deltas as a message: its parts in the order in which they began."""
    parts: dict[Any, Part] = {}
    texts = 0
    last: Any = None
    for delta in stream:
        match delta:
            case TextDelta(text):
                if not isinstance(last, int):
                    texts += 1
                place: Any = texts
                known = parts.get(place)
                parts[place] = Text(known.text + text if isinstance(known, Text) else text)
            case ToolCallDelta(index, call_id, name, arguments):
                place = ("call", index)
                parts[place] = _called(parts.get(place), call_id, name, arguments)
            case ReasoningDelta(index):
                place = ("thought", index)
                parts[place] = _thought(parts.get(place), delta)
        last = place
    return Message("assistant", tuple(parts.values()))


def _called(known: Part | None, call_id: str, name: str, arguments: str) -> ToolCall:
    if not isinstance(known, ToolCall):
        return ToolCall(call_id, name, arguments)
    return ToolCall(known.id or call_id, known.name or name, known.arguments + arguments)


def _thought(known: Part | None, delta: ReasoningDelta) -> Reasoning:
    if not isinstance(known, Reasoning):
        return Reasoning(delta.text, delta.signature, delta.redacted)
    return replace(
        known,
        text=known.text + delta.text,
        signature=known.signature or delta.signature,
        redacted=known.redacted or delta.redacted,
    )
