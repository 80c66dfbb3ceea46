"""What is asked of a model and what it answers, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["", "stop", "length", "tool_calls", "content_filter"]
ChoiceMode = Literal["auto", "none", "required", "named"]
Purpose = Literal["answer", "embedding"]


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: its bytes, or an address that the provider fetches it from."""

    content_type: str
    data: bytes = b""
    url: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to call a tool; `arguments` is JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered."""

    tool_call_id: str
    content: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought: in words, or encrypted by its provider as `redacted`. `signature` is the
    provider's seal, without which it takes its own thoughts for another's."""

    text: str = ""
    signature: str = ""
    redacted: str = ""


Part = Text | Image | ToolCall | ToolResult | Reasoning


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Its words alone."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may call."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    strict: bool | None = None
    """Whether the arguments must fit the schema, where a provider can see to it; None is its default."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether and which tool to call; `name` with mode `named`."""

    mode: ChoiceMode = "auto"
    name: str = ""


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The form of the answer: JSON that fits `schema`, or any JSON object if there is none."""

    schema: Mapping[str, Any] | None = None
    name: str = "answer"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the model picks its words. None is the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    reasoning_effort: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """A request to a model. `model` is what the caller named, "" for the default."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    response_format: ResponseFormat | None = None
    sampling: Sampling = Sampling()
    extras: Mapping[str, Any] = field(default_factory=dict)
    hints: Mapping[str, Any] = field(default_factory=dict)
    """Fields of OpenAI's interface that shape an answer only a little: a provider that does not take one is
    not sent it."""
    purpose: Purpose = "answer"
    """What its words are for: an answer, or a vector of each message."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `input_tokens` has the cached ones in it, `output_tokens` the reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    """Part of `input_tokens` that the provider put into its prompt cache, which some charge more for."""
    reasoning_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More words."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """More of a tool call; `id` and `name` come in its first delta."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of what the model thinks; `signature` and `redacted` come whole. One Reasoning has one `index`."""

    index: int
    text: str = ""
    signature: str = ""
    redacted: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """The provider works on the answer: what it told of itself so far. Empty, it is a sign of life."""

    model: str = ""
    provider_request_id: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is complete. `usage` is None where the provider does not tell."""

    finish_reason: FinishReason
    usage: Usage | None = None


Delta = TextDelta | ToolCallDelta | ReasoningDelta
"""What a caller sees of an answer as it is made."""

Event = Opened | Delta | Finished
"""A stream's events: any number of Opened and deltas, then Finished, and no more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `usage` is None where the provider does not tell."""

    message: Message
    finish_reason: FinishReason
    model: str
    usage: Usage | None = None
    provider_request_id: str = ""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of an input; `estimated` unless the model's own tokenizer counted them."""

    input_tokens: int
    estimated: bool


_CHARACTERS_A_TOKEN = 3.5
_TOKENS_A_MESSAGE = 4
_TOKENS_AN_IMAGE = 1_000


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: 3.5 bytes of UTF-8 each, a little more than most tokenizers need for
    English."""
    return -int(-len(text.encode()) // _CHARACTERS_A_TOKEN) if text else 0


def estimate_input(completion: Completion, *, words: bool = True) -> int:
    """About how many tokens a request's input has; pictures count as a thousand. `words`: whether what is
    said counts, beside pictures, tools and schemas."""
    import json

    around = _TOKENS_A_MESSAGE if words else 0
    total = 0
    for message in completion.messages:
        counted = (part for part in message.parts if words or not isinstance(part, Text))
        total += around + sum(map(_estimate_part, counted))
    for tool in completion.tools:
        total += estimate_tokens(tool.name + tool.description + json.dumps(dict(tool.input_schema)))
    if completion.response_format and completion.response_format.schema:
        total += estimate_tokens(json.dumps(dict(completion.response_format.schema)))
    return total


def _estimate_part(part: Part) -> int:
    match part:
        case Text(text):
            return estimate_tokens(text)
        case ToolCall(_, name, arguments):
            return estimate_tokens(name + arguments)
        case ToolResult(_, content, _):
            return estimate_tokens(content)
        case Image():
            return _TOKENS_AN_IMAGE
        case Reasoning(text, _, redacted):
            return estimate_tokens(text or redacted)


def without(sampling: Sampling, fields: tuple[str, ...]) -> Sampling:
    """The sampling with `fields` back at the model's own defaults."""
    blank = Sampling()
    return replace(sampling, **{name: getattr(blank, name) for name in fields})
