"""What callers are told who reach a limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pentad_common.errors import Code, PentadError, error_for_code
from pentad_llm_gateway.limits.claims import Held, Most, Reason, Subject, Terms, claimed
from pentad_llm_gateway.limits.counters import Claim, Refused

_LONGEST_WAIT = 3600.0
"""Seconds. Nobody is told to keep a call and wait for longer; when the window ends is in the metadata."""

_WORDS = {
    "requests": "requests a minute",
    "tokens": "tokens a minute",
    "calls": "calls at once",
    "micros": "money",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking for claims."""

    claims: Sequence[Claim]
    reasons: Sequence[Reason]
    refused: Sequence[Refused] = ()

    @property
    def granted(self) -> bool:
        """Whether all of them are held."""
        return not self.refused

    def error(self) -> PentadError:
        """The error of the claim that keeps the call waiting longest: RATE_LIMITED or BUDGET_EXCEEDED."""
        worst = max(self.refused, key=lambda item: float("inf") if item.wait is None else item.wait)
        return _error(worst, self.claims[worst.claim], self.reasons[worst.claim])

    def room(self) -> tuple[int | None, int | None] | None:
        """Tokens and money that a smaller call may take; None for either where it matters not, and in all if
        no smaller call can be made now.

        What is left of a run does not grow, so that its calls make do with it. A limit's window does: a call
        waits for it, unless it asks for more than there ever is.
        """
        room: dict[str, int] = {}
        for item in self.refused:
            reason = self.reasons[item.claim]
            left = item.limit if reason.bound else item.limit - item.used - item.held
            if reason.unit not in ("tokens", "micros") or (reason.bound and item.wait is not None):
                return None
            room[reason.unit] = min(left, room.get(reason.unit, left))
        return room.get("tokens"), room.get("micros")


def alone(limits: Terms, most: Most) -> Outcome | None:
    """What comes of a call of no run that may take more than its envelope has; None if it may not."""
    for unit, left, _ in limits.run_budget if limits.alone else ():
        claim = Claim("", unit, claimed(unit, most), left)
        if claim.amount > left:
            return Outcome([claim], [Reason(Subject("run", ""), unit)], [Refused(0, 0, 0, left, None)])
    return None


def _error(refused: Refused, claim: Claim, reason: Reason) -> PentadError:
    budget = reason.unit == "micros" or reason.bound is None
    limit, state = _limit(reason, refused.limit), _state(reason, claim, refused)
    return error_for_code(
        Code.RESOURCE_EXHAUSTED,
        "BUDGET_EXCEEDED" if budget else "RATE_LIMITED",
        f"{limit}: {state}; {_advice(reason, claim, refused)}",
        _metadata(reason, claim, refused),
        retry_after=None if refused.wait is None or refused.wait > _LONGEST_WAIT else refused.wait,
    )


def unpriced(limits: Terms, model: str) -> PentadError | None:
    """The error of a call to a model without a price, if it is held to money; None if it may go on."""
    held = next(filter(_refuses_unpriced, limits.held), None)
    of_run = any(unit == "micros" for unit, _, _ in limits.run_budget)
    if held is None and not of_run:
        return None
    limit = held.bound.rule.name if held else "run"
    return error_for_code(
        Code.RESOURCE_EXHAUSTED,
        "BUDGET_EXCEEDED",
        f"{model} has no price in the catalog, so that its calls cannot be held to the budget {limit!r}; "
        "whoever runs the gateway has to give it one (0 if it costs nothing)",
        {"limit": limit, "model": model},
    )


def _refuses_unpriced(held: Held) -> bool:
    budget = held.bound.rule.budget
    return held.unit == "micros" and budget is not None and budget.unpriced == "refuse"


def _limit(reason: Reason, limit: int) -> str:
    shown = _amount(reason, limit)
    if reason.bound is None:
        return f"the run's budget, {shown}"
    window = f" in {reason.bound.window}" if reason.bound.window else ""
    what = "" if reason.unit == "micros" else f" {_WORDS[reason.unit]}"
    return f"limit {reason.bound.rule.name!r} of this {reason.subject.scope}, {shown}{what}{window}"


def _state(reason: Reason, claim: Claim, refused: Refused) -> str:
    if reason.unit == "calls":
        return f"{refused.held} under way"
    held = f", {_amount(reason, refused.held)} reserved by calls under way" if refused.held else ""
    asked = f"; this call may take {_amount(reason, claim.amount)}"
    return f"{_amount(reason, refused.used)} used{held}{'' if reason.unit == 'requests' else asked}"


def _advice(reason: Reason, claim: Claim, refused: Refused) -> str:
    if refused.wait is None:
        smaller = reason.unit in ("tokens", "micros") and claim.amount > refused.limit - refused.used
        return "it can never be made as it is" + (": a smaller max_output_tokens may help" if smaller else "")
    if claim.end and refused.used + claim.amount > refused.limit:
        return f"the window ends at {_time(claim.end)}"
    return f"try again in {refused.wait:.1f} s"


def _metadata(reason: Reason, claim: Claim, refused: Refused) -> dict[str, object]:
    about: dict[str, object] = {
        "limit": reason.bound.rule.name if reason.bound else "run",
        "scope": reason.subject.scope,
        "kind": reason.bound.kind if reason.bound else "budget",
        "bound": refused.limit,
        "used": refused.used,
        "reserved": refused.held,
        "asked": claim.amount,
    }
    if reason.subject.scope != "tenant":
        about["subject"] = reason.subject.id
    if claim.end:
        about["window_end"] = _time(claim.end)
    if refused.wait is None:
        about["never"] = "true"
    return about


def _amount(reason: Reason, amount: int) -> str:
    if reason.unit == "micros":
        return f"${amount / 1_000_000:.6f}".rstrip("0").rstrip(".")
    return f"{amount:,}" + (" tokens" if reason.bound is None else "")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
