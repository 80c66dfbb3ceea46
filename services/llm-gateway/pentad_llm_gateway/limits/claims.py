"""What a call claims of the counters: from the rules that it is held to and the budget in its envelope."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pentad_common.call import CallContext
from pentad_llm_gateway.limits.counters import Claim, Unit
from pentad_llm_gateway.limits.rules import Bound, Kind, Rules, Scope, applicable

_UNITS: dict[Kind, Unit] = {
    "requests_per_minute": "requests",
    "tokens_per_minute": "tokens",
    "concurrent_calls": "calls",
    "budget": "micros",
}
RUN_UNITS: dict[str, Unit] = {"tokens": "tokens", "cost_micros": "micros"}
"""What a run's budget in the envelope may be of, and what that counts. `max_tokens` and `max_cost_micros` are
the whole of it, where the caller knows that."""


@dataclass(frozen=True, slots=True)
class Most:
    """The most that a call can take: tokens, and millionths of a dollar."""

    tokens: int = 0
    micros: int = 0


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is held to a counter: `id` is a key, a model or a run, or the tenant itself."""

    scope: Scope
    id: str


@dataclass(frozen=True, slots=True)
class Held:
    """A bound with the subject that it holds."""

    bound: Bound
    subject: Subject

    @property
    def unit(self) -> Unit:
        """What is counted."""
        return _UNITS[self.bound.kind]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a claim is made, for whoever it is refused to; `bound` is None for the envelope's budget."""

    subject: Subject
    unit: Unit
    bound: Bound | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """All that a call is held to."""

    held: Sequence[Held]
    run_budget: Sequence[tuple[Unit, int, int | None]] = ()
    """Unit, what is left, and what there was in all, if that is known."""
    run: str = ""

    @property
    def alone(self) -> bool:
        """Whether the envelope's budget is for this call alone: it names no run."""
        return bool(self.run_budget) and not self.run

    def __bool__(self) -> bool:
        return bool(self.held or self.run_budget)

    @property
    def counts_output(self) -> bool:
        """Whether it matters how long the answer may be."""
        return bool(self.run_budget) or any(item.unit in ("tokens", "micros") for item in self.held)

    def claims(self, most: Most, now: float) -> tuple[list[Claim], list[Reason]]:
        """The claims of a call that takes `most`, each once, and why each is made."""
        found: dict[str, tuple[Claim, Reason]] = {}
        for claim, reason in (*self._of_rules(most, now), *self._of_run(most)):
            known = found.get(claim.key)
            if known is None or (claim.limit or 0) < (known[0].limit or 0):
                found[claim.key] = claim, reason
        return [claim for claim, _ in found.values()], [reason for _, reason in found.values()]

    def _of_rules(self, most: Most, now: float) -> Iterator[tuple[Claim, Reason]]:
        for item in self.held:
            bound, amount = item.bound, claimed(item.unit, most)
            begin, end = bound.window.around(now) if bound.window else (0.0, 0.0)
            key = counter_key(bound, item.subject, begin)
            rate = item.unit in ("requests", "tokens")
            claim = Claim(key, item.unit, amount, bound.limit, rate, begin, end)
            yield claim, Reason(item.subject, item.unit, bound)

    def _of_run(self, most: Most) -> Iterator[tuple[Claim, Reason]]:
        subject = Subject("run", self.run)
        if self.alone:
            return
        for unit, left, whole in self.run_budget:
            claim = Claim(f"envelope|run|{unit}||{self.run}", unit, claimed(unit, most), whole, left=left)
            yield claim, Reason(subject, unit)


def terms(rules: Rules, caller: CallContext, model: str) -> Terms:
    """What a call to `model` (`provider/model`) is held to."""
    subjects: dict[Scope, str | None] = {
        "tenant": caller.tenant_id,
        "key": caller.key_id,
        "model": model,
        "run": caller.run_id,
    }
    held = [
        Held(bound, Subject(bound.rule.scope, subjects[bound.rule.scope] or ""))
        for bound in applicable(rules, caller.tenant_id, subjects.__getitem__)
    ]
    budget = caller.budget
    run_budget = [
        (unit, budget[name], budget.get(f"max_{name}")) for name, unit in RUN_UNITS.items() if name in budget
    ]
    return Terms(held, run_budget, caller.run_id or "")


def claimed(unit: Unit, most: Most) -> int:
    """What a call that takes `most` claims of a counter of `unit`."""
    match unit:
        case "tokens":
            return most.tokens
        case "micros":
            return most.micros
        case _:
            return 1


def counter_key(bound: Bound, subject: Subject, begin: float) -> str:
    """The counter's name: the same for all rules that count the same."""
    return f"{bound.kind}|{subject.scope}|{bound.window or ''}|{begin:.0f}|{subject.id}"
