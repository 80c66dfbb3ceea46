"""The section `limits` of the catalog: whose calls are held to what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pentad_llm_gateway.limits.window import Window

Scope = Literal["tenant", "key", "model", "run"]
Kind = Literal["requests_per_minute", "tokens_per_minute", "concurrent_calls", "budget"]

_MICROS = 1_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _window(text: str) -> str:
    Window.parse(text)
    return text


class Budget(_Strict):
    """Money in a window of time."""

    usd: float = Field(ge=0, le=1_000_000_000)
    window: Annotated[str, AfterValidator(_window)]
    """Such as `1h`, `1d`, `1w` or `1mo`; see Window."""
    unpriced: Literal["refuse", "allow"] = "refuse"
    """What becomes of calls to models without a price: they cannot be held to money."""

    @property
    def micros(self) -> int:
        """In millionths of a dollar."""
        return round(self.usd * _MICROS)


class Rule(_Strict):
    """Bounds for each tenant, key, model or run, counted apart for each of them and within each tenant.

    `subject` is which one: its id, for a model `provider/model` where `*` stands for anything; `*` is each
    that has no rule of its own for the same kind of bound. `tenant` narrows the rule to one tenant.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")
    scope: Scope
    subject: str = Field(default="*", min_length=1, max_length=256)
    tenant: str = Field(default="*", min_length=1, max_length=64)
    requests_per_minute: int | None = Field(default=None, ge=0, le=10**9)
    tokens_per_minute: int | None = Field(default=None, ge=0, le=10**12)
    """Input and output together."""
    concurrent_calls: int | None = Field(default=None, ge=0, le=10**6)
    budget: Budget | None = None
    default_output_tokens: int | None = Field(default=None, gt=0)
    """The bound on output of calls that name none; the provider is told."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if not self.bounds:
            raise ValueError(
                "bounds nothing: give it requests_per_minute, tokens_per_minute, concurrent_calls or budget"
            )
        return self

    @cached_property
    def bounds(self) -> tuple[Bound, ...]:
        """What it bounds."""
        given: dict[Kind, int | None] = {
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "concurrent_calls": self.concurrent_calls,
        }
        bounds = [Bound(self, kind, limit) for kind, limit in given.items() if limit is not None]
        if self.budget is not None:
            bounds.append(Bound(self, "budget", self.budget.micros, Window.parse(self.budget.window)))
        return tuple(bounds)

    def rank(self, tenant: str, subject: str) -> tuple[bool, int] | None:
        """How closely it is meant for a subject; None if it is not."""
        if self.tenant not in ("*", tenant):
            return None
        if self.subject == subject:
            return self.tenant != "*", 1 << 16
        pattern = self.subject == "*" or self.scope == "model"
        if not pattern or not fnmatchcase(subject, self.subject.replace("[", "[[]")):
            return None
        return self.tenant != "*", len(self.subject.replace("*", ""))


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound of a rule. `limit` of a budget is in millionths of a dollar."""

    rule: Rule
    kind: Kind
    limit: int
    window: Window | None = None


Rules = Sequence[Rule]


def applicable(rules: Rules, tenant: str, subjects: Callable[[Scope], str | None]) -> Iterator[Bound]:
    """The bounds that a call is held to: of each scope and kind those that are meant for it most closely."""
    best: dict[tuple[Scope, Kind], tuple[tuple[bool, int], list[Bound]]] = {}
    for rule in rules:
        subject = subjects(rule.scope)
        rank = None if subject is None else rule.rank(tenant, subject)
        if rank is None:
            continue
        for bound in rule.bounds:
            place = (rule.scope, bound.kind)
            known = best.get(place)
            if known is None or rank > known[0]:
                best[place] = (rank, [bound])
            elif rank == known[0]:
                known[1].append(bound)
    for _, bounds in best.values():
        yield from bounds


def default_output(bounds: Iterable[Bound]) -> int | None:
    """The least bound on output that the rules give to calls that name none."""
    given = [bound.rule.default_output_tokens for bound in bounds]
    return min((tokens for tokens in given if tokens is not None), default=None)
