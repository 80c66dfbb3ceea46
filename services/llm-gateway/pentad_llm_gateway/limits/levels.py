"""What is used of a tenant's limits, for whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pentad_llm_gateway.limits.claims import Subject, counter_key
from pentad_llm_gateway.limits.counters import Level, Seeds
from pentad_llm_gateway.limits.rules import Bound, Kind, Rules, Scope, applicable


@dataclass(frozen=True, slots=True)
class LimitLevel:
    """A limit and what is used of it, reservations included; money in millionths of a dollar. `subject` is ""
    for the tenant. `reset`: seconds of `time.time()`, when the window ends; None where there is none."""

    name: str
    scope: Scope
    subject: str
    kind: Kind
    limit: int
    used: int
    reset: float | None


def levels(rules: Rules, tenant: str, found: Iterable[Level], seeds: Seeds, now: float) -> list[LimitLevel]:
    """The limits for the tenant as a whole, and those for keys, models and runs of which something is used.
    `seeds`: by counter, what the records say where nothing is counted yet."""
    told = {level.key: level for level in found}
    shown: dict[str, LimitLevel] = {}
    for bound, subject, key in (*_of_tenant(rules, tenant, now), *_counted(rules, tenant, told, now)):
        level = told.get(key) or Level(key, seeds.get(key, 0), 0)
        item = _shown(bound, subject, level, now)
        known = shown.get(key)
        if known is None or item.limit < known.limit:
            shown[key] = item
    return sorted(shown.values(), key=lambda item: (item.name, item.kind, item.subject))


Place = tuple[Bound, Subject, str]


def _of_tenant(rules: Rules, tenant: str, now: float) -> Iterator[Place]:
    subject = Subject("tenant", tenant)
    for bound in applicable(rules, tenant, lambda scope: tenant if scope == "tenant" else None):
        begin = bound.window.around(now)[0] if bound.window else 0.0
        yield bound, subject, counter_key(bound, subject, begin)


def _counted(rules: Rules, tenant: str, keys: Iterable[str], now: float) -> Iterator[Place]:
    for key in keys:
        kind, scope, window, begin, of = key.split("|", 4)
        if kind == "envelope" or scope == "tenant":
            continue
        for bound in _bounds(rules, tenant, scope, of):
            same = bound.kind == kind and str(bound.window or "") == window
            if same and (bound.window is None or bound.window.around(now)[0] == float(begin)):
                yield bound, Subject(bound.rule.scope, of), key


def _bounds(rules: Rules, tenant: str, scope: str, of: str) -> Iterator[Bound]:
    return applicable(rules, tenant, lambda asked: of if asked == scope else None)


def _shown(bound: Bound, subject: Subject, level: Level, now: float) -> LimitLevel:
    return LimitLevel(
        name=bound.rule.name,
        scope=subject.scope,
        subject="" if subject.scope == "tenant" else subject.id,
        kind=bound.kind,
        limit=bound.limit,
        used=level.used + level.held,
        reset=bound.window.around(now)[1] if bound.window else level.reset,
    )
