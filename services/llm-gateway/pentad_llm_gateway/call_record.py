"""One call to a model, as it goes: what it came to so far, and in the end what it cost."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pentad_common.call import CallContext
from pentad_common.clock import utcnow
from pentad_common.errors import PentadError
from pentad_common.ids import new_id
from pentad_llm_gateway.completion import (
    Answer,
    Completion,
    Event,
    Finished,
    FinishReason,
    Opened,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    estimate_input,
    estimate_tokens,
)
from pentad_llm_gateway.embedding import Vectors
from pentad_llm_gateway.fallback import FailedModel
from pentad_llm_gateway.target import Target

_GIVEN_UP = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "PROVIDER_TIMEOUT"})


@dataclass(frozen=True, slots=True)
class Served:
    """What was asked for and what served. Times are seconds."""

    call_id: str
    requested_model: str
    model: str
    provider: str
    attempts: int
    latency: float
    time_to_first_token: float | None
    provider_request_id: str
    ignored_fields: tuple[str, ...]
    cached: bool = False
    failed_models: tuple[FailedModel, ...] = ()


@dataclass(slots=True)
class CallRecord:
    """Filled in while the call goes on; kept in `llm_calls` when it ends."""

    caller: CallContext
    target: Target
    """Who is asked now, or was asked last."""
    requested: Completion = field(repr=False)
    streamed: bool
    ignored_fields: tuple[str, ...] = ()
    id: str = field(default_factory=new_id)
    create_time: datetime = field(default_factory=utcnow)
    started: float = field(default_factory=time.perf_counter)
    ended: float | None = None
    first_token: float | None = None
    attempts: int = 0
    """Requests that went to providers."""
    asked: bool = False
    """Whether a request went to the target."""
    failed_models: Sequence[FailedModel] = ()
    model: str = ""
    """Who served, in the provider's words; "" until it told."""
    provider_request_id: str = ""
    status: str = "OK"
    finish_reason: FinishReason = ""
    cached: bool = False
    """Whether the answer was there already, or was asked for by another call at the same time: this one took
    nothing."""
    provider: str = ""
    """Who served, if that is not the target."""
    told_by_another: bool = False
    """Whether another record has all that is to be told of it."""
    _usage: Usage | None = None
    _begun: Usage | None = None
    _output_estimate: float = 0.0
    _given_up: str = ""
    """The reason why the target could not answer."""
    _fitted: Completion | None = field(default=None, repr=False)
    chunk_seconds: array[float] = field(default_factory=lambda: array("d"), repr=False)
    """How long each chunk of a stream came after the one before."""
    _last_chunk: float = 0.0
    words: list[str] | None = field(default=None, repr=False)
    """What the model said, if the operator wants it in logs and spans; None if not, which is usual."""

    @property
    def operation(self) -> str:
        """What is done, in the words of OpenTelemetry's conventions."""
        return "embeddings" if getattr(self.requested, "purpose", "") == "embedding" else "chat"

    @property
    def completion(self) -> Completion:
        """The request as the target can take it."""
        return self._fitted or self.requested

    def turn_to(self, target: Target, completion: Completion, ignored_fields: tuple[str, ...]) -> None:
        """From now on `target` is asked, with the request made to fit it. What the one before it told does
        not count."""
        self.target, self._fitted, self.ignored_fields = target, completion, ignored_fields
        self.asked, self.model, self.provider_request_id, self._given_up = False, "", "", ""
        self._usage = self._begun = None

    def bound(self, completion: Completion) -> None:
        """The target is asked for no more than this."""
        self._fitted = completion

    def attempt(self) -> None:
        """A request goes to the target."""
        self.attempts += 1
        self.asked = True

    def gave_up(self, error: PentadError) -> None:
        """The target could not answer."""
        self._given_up = error.reason

    def see(self, event: Event) -> None:
        """Takes in an event of the answer's stream."""
        self.asked = True
        match event:
            case TextDelta(text) | ToolCallDelta(arguments=text) | ReasoningDelta(text=text):
                self._output_estimate += max(1.0, estimate_tokens(text))
                now = time.perf_counter()
                if self.first_token is None:
                    self.first_token = now
                else:
                    self.chunk_seconds.append(now - self._last_chunk)
                self._last_chunk = now
                if self.words is not None:
                    self.words.append(text)
            case Opened():
                self.model = event.model or self.model
                self.provider_request_id = event.provider_request_id or self.provider_request_id
                self._begun = event.usage or self._begun
            case Finished():
                self.finish_reason = event.finish_reason
                self._usage = event.usage

    def answered(self, answer: Answer) -> None:
        """Takes in a whole answer."""
        self.asked = True
        self.model = answer.model
        self.provider_request_id = answer.provider_request_id
        self.finish_reason = answer.finish_reason
        self._usage = answer.usage
        if answer.usage is None:
            self._output_estimate = estimate_tokens(answer.message.text)
        if self.words is not None:
            calls = [
                f"{part.name}({part.arguments})"
                for part in answer.message.parts
                if isinstance(part, ToolCall)
            ]
            self.words += [answer.message.text, *calls]

    def embedded(self, vectors: Vectors) -> None:
        """Takes in vectors."""
        self.asked = True
        self.model = vectors.model
        self.provider_request_id = vectors.provider_request_id
        self._usage = vectors.usage

    def end(self, status: str = "OK") -> None:
        """The call is over; the first end counts."""
        if self.ended is None:
            self.ended = time.perf_counter()
            self.status = status

    @property
    def usage(self) -> Usage:
        """What the provider told; where it told nothing, an estimate of what went over the wire."""
        if self.cached:
            return Usage()
        if self._usage is not None:
            return self._usage
        if self._begun is None and not self._output_estimate and not self._may_have_been_read:
            return Usage()
        begun = self._begun or Usage(input_tokens=estimate_input(self.completion))
        return Usage(
            begun.input_tokens,
            max(begun.output_tokens, round(self._output_estimate)),
            begun.cached_input_tokens,
            begun.cache_write_tokens,
            begun.reasoning_tokens,
            estimated=True,
        )

    @property
    def _may_have_been_read(self) -> bool:
        """Whether the provider may have worked on the input, though it said nothing: it did not refuse."""
        status = self.status if self.ended is not None else self._given_up or "OK"
        return self.asked and (status == "OK" or status in _GIVEN_UP)

    @property
    def cost_micros(self) -> int | None:
        """In millionths of a dollar; None where no price is known."""
        if self.cached:
            return 0
        return self.target.entry.cost_micros(self.usage)

    @property
    def latency(self) -> float:
        """Seconds from the request to the end, or to now."""
        return (self.ended or time.perf_counter()) - self.started

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds from the request to the first token; None before it, and for answers that came whole."""
        return None if self.first_token is None else self.first_token - self.started

    def served(self) -> Served:
        """What was asked for and what served, as far as is known."""
        return Served(
            call_id=self.id,
            requested_model=self.requested.model,
            model=self.model or self.target.model,
            provider=self.provider or self.target.provider.name,
            attempts=self.attempts,
            latency=self.latency,
            time_to_first_token=self.time_to_first_token,
            provider_request_id=self.provider_request_id,
            ignored_fields=self.ignored_fields,
            failed_models=tuple(self.failed_models),
            cached=self.cached,
        )
