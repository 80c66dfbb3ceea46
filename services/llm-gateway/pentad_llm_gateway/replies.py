"""What the gateway answers: a whole reply, or the frames of a streamed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pentad_common.errors import PentadError
from pentad_llm_gateway.call_record import Served
from pentad_llm_gateway.completion import Delta, FinishReason, Message, Usage


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer and its account. `cost_micros`: millionths of a dollar; None where no price is known."""

    message: Message
    finish_reason: FinishReason
    usage: Usage
    cost_micros: int | None
    served: Served


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a streamed answer."""

    finish_reason: FinishReason
    usage: Usage
    cost_micros: int | None
    served: Served


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a streamed answer that was cut, with what it cost so far."""

    error: PentadError
    usage: Usage
    cost_micros: int | None
    served: Served


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors and their account. `cost_micros`: millionths of a dollar; None where no price is known."""

    values: Sequence[Sequence[float]]
    usage: Usage
    cost_micros: int | None
    served: Served


Frame = Delta | Done | Failed
"""A frame of a streamed answer: any number of deltas, then Done or Failed."""
