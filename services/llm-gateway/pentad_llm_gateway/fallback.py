"""Which model is asked next when one could not answer.

A name stands for its deployments, in a weighted random order, and has chains of other models by class of
error: `general`, `context_window` and `content_policy`. What an error's class has no chain for ends the call.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pentad_common.errors import PentadError
from pentad_llm_gateway.errors import CIRCUIT_OPEN
from pentad_llm_gateway.target import Target

Class = Literal["general", "context_window", "content_policy", ""]

_CLASSES: dict[str, Class] = {
    "CONTEXT_WINDOW_EXCEEDED": "context_window",
    "CONTENT_FILTERED": "content_policy",
    "INVALID_REQUEST": "",  # no other model's provider would see it otherwise
    "CANCELLED": "",
}


def error_class(error: PentadError) -> Class:
    """Which chain an error leads to; "" for one that ends the call."""
    return _CLASSES.get(error.reason, "general")


@dataclass(frozen=True, slots=True)
class FailedModel:
    """A model that could not answer. `reason`: CIRCUIT_OPEN where it was not asked."""

    model: str
    provider: str
    reason: str


def shuffled(
    deployments: Iterable[tuple[Target, float]], draw: Callable[[], float] = random.random
) -> list[Target]:
    """The deployments in a random order, in which each comes first as often as its weight says.

    Weight 0 is for deployments that come only after all others. `draw`: uniform in [0, 1). Efraimidis and
    Spirakis, "Weighted random sampling with a reservoir" (2006).
    """
    keyed = [(draw() ** (1 / weight) if weight else -1.0, target) for target, weight in deployments]
    return [target for _, target in sorted(keyed, key=lambda item: item[0], reverse=True)]


class Candidates:
    """The models that one call may ask, one after another."""

    def __init__(self, first: Sequence[Target], chain: Callable[[Class], Sequence[Target]]) -> None:
        """`first`: the deployments of what was asked for, not none. `chain(class)`: those to ask after an
        error of that class; called when it is needed."""
        self.first = first[0]
        self._queue = deque(first)
        self._chain = chain
        self._within: Class = ""
        self._seen: set[str] = set()
        self._errors: list[PentadError] = []
        self.failed_models: list[FailedModel] = []

    def __iter__(self) -> Iterator[Target]:
        while self._queue:
            target = self._queue.popleft()
            if target.name not in self._seen:
                self._seen.add(target.name)
                yield target

    def failed(self, target: Target, error: PentadError, *, asked: bool = True) -> None:
        """The last one could not answer: from here on come those that its error leads to. `asked`: whether it
        was the provider that said so."""
        not_asked = error.metadata.get("provider_code") == CIRCUIT_OPEN
        reason = "CIRCUIT_OPEN" if not_asked else error.reason
        self._errors.append(error)
        self.failed_models.append(FailedModel(target.model, target.provider.name, reason))
        self._turn_to(error_class(error) if asked else "general")

    def others(self) -> bool:
        """Whether there is another model to ask after a general error."""
        rest = self._queue if self._within else [*self._queue, *self._chain("general")]
        return any(target.name not in self._seen for target in rest)

    def error(self) -> PentadError:
        """What the caller is told when none could answer: what the first said, unless that is final and a
        later one may be tried again."""
        first = min(self._errors, key=lambda error: error.retry_after is None)
        waits = [error.retry_after for error in self._errors if error.retry_after is not None]
        if waits:
            first.retry_after = min(waits)
        if len(self.failed_models) > 1:
            told = (f"{item.provider}/{item.model}: {item.reason}" for item in self.failed_models)
            first.metadata["failed_models"] = ", ".join(told)[:1000]
        return first

    def _turn_to(self, kind: Class) -> None:
        if not kind:
            self._queue.clear()
        elif kind == "general":
            if not self._within:
                self._within = kind
                self._queue.extend(self._chain(kind))
        elif kind != self._within:
            self._within = kind
            self._queue = deque(self._chain(kind))
        else:
            return  # the rest of the chain for it
