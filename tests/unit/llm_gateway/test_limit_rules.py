"""Which limits a call is held to, in which windows, and what it reserves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pentad_common.call import CallContext
from pentad_common.errors import StartupError
from pentad_llm_gateway.catalog import ModelEntry, Price, parse_catalog
from pentad_llm_gateway.completion import Completion, Image, Message, Sampling, Text, Tool
from pentad_llm_gateway.limits.claims import Most, terms
from pentad_llm_gateway.limits.rules import Rule
from pentad_llm_gateway.limits.window import Window
from pentad_llm_gateway.reserve import DEFAULT_OUTPUT_TOKENS, bounded, most_input, most_micros

CALLER = CallContext("acme", "key1", "client", run_id="run1")


def at(text: str) -> float:
    """The moment, in seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("window", "begin", "end"),
    [
        ("30m", "2026-11-22T11:30", "2026-11-22T12:00"),
        ("1h", "2026-11-22T11:00", "2026-11-22T12:00"),
        ("1d", "2026-11-22T00:00", "2026-11-23T00:00"),
        ("1w", "2026-11-16T00:00", "2026-11-23T00:00"),
        ("1mo", "2026-11-01T00:00", "2026-12-01T00:00"),
        ("3mo", "2026-10-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_windows(window: str, begin: str, end: str) -> None:
    """Windows begin with their unit in UTC."""
    assert Window.parse(window).around(at("2026-11-22T11:41")) == (at(begin), at(end))


@given(st.floats(0, 4e9), st.integers(1, 60), st.sampled_from(["m", "h", "d", "w", "mo"]))
def test_windows_follow_each_other(now: float, count: int, unit: str) -> None:
    """A moment is in its window, and where a window ends the next begins."""
    window = Window(count, unit)
    begin, end = window.around(now)
    assert begin <= now < end
    assert window.around(end)[0] == end


@pytest.mark.parametrize(
    "rule",
    [
        {"scope": "tenant"},
        {"scope": "tenant", "budget": {"usd": 5}},
        {"scope": "tenant", "budget": {"usd": 5, "window": "1y"}},
        {"scope": "tenant", "budget": {"usd": -5, "window": "1d"}},
        {"scope": "planet", "concurrent_calls": 1},
        {"scope": "key", "concurrent_calls": 1, "per_minute": 3},
    ],
)
def test_bad_rules(rule: dict[str, Any]) -> None:
    """A rule that bounds nothing, or what cannot be, is refused."""
    with pytest.raises(ValidationError):
        Rule.model_validate({"name": "x", **rule})


def test_bad_rule_in_the_catalog() -> None:
    """A mistake in a limit is told with its line; two of one name are one too many."""
    text = "version: 1\nlimits:\n  - {name: a, scope: tenant, budget: {usd: 5, window: 1y}}\n"
    with pytest.raises(StartupError, match=r"models.yaml, line 3: limits.0.budget.window: is no window"):
        parse_catalog(text, "models.yaml")
    twins = "version: 1\nlimits:\n" + 2 * "  - {name: a, scope: tenant, concurrent_calls: 5}\n"
    with pytest.raises(StartupError, match=r"line 4: limits\.1\.name: there are two limits named 'a'"):
        parse_catalog(twins, "models.yaml")


def rule(name: str, scope: str = "tenant", **more: Any) -> Rule:
    """A rule with a bound on requests, unless it is told another."""
    bounds = {"requests_per_minute": 1} if not {"budget", "concurrent_calls"} & set(more) else {}
    return Rule.model_validate({"name": name, "scope": scope, **bounds, **more})


def held(*rules: Rule, model: str = "openai/gpt-6-luna", caller: CallContext = CALLER) -> set[str]:
    """The names of the rules that a call is held to."""
    return {item.bound.rule.name for item in terms(rules, caller, model).held}


def test_default_and_own() -> None:
    """A subject's own rule takes the place of `*` for the same kind of bound, and of no other."""
    default = rule("default", concurrent_calls=5, requests_per_minute=10)
    own = rule("own", subject="acme", concurrent_calls=50)
    kinds = {(item.bound.rule.name, item.bound.kind) for item in terms([default, own], CALLER, "m").held}
    assert kinds == {("default", "requests_per_minute"), ("own", "concurrent_calls")}
    assert held(rule("default"), rule("other", subject="umbrella")) == {"default"}


def test_scopes() -> None:
    """A call is held to the rules of all scopes; to those of runs only if it is part of one."""
    rules = [rule(scope, scope) for scope in ("tenant", "key", "model", "run")]
    assert held(*rules) == {"tenant", "key", "model", "run"}
    assert held(*rules, caller=CallContext("acme", "key1", "client")) == {"tenant", "key", "model"}
    assert held(rule("a", "key", subject="key1"), rule("b", "run", subject="run2")) == {"a"}


def test_models_and_tenants() -> None:
    """A model's rule may name many models; a rule for one tenant goes before a rule for all."""
    patterns = [rule("all", "model"), rule("openai", "model", subject="openai/*")]
    assert held(*patterns) == {"openai"}
    assert held(*patterns, model="anthropic/x") == {"all"}
    assert held(rule("all", "key"), rule("acme", "key", tenant="acme")) == {"acme"}
    assert held(rule("all", "key"), rule("umbrella", "key", tenant="umbrella")) == {"all"}


def test_several_budgets() -> None:
    """Budgets in several windows hold together; of two for the same counter the smaller does."""
    rules = [
        rule("day", budget={"usd": 5, "window": "1d"}),
        rule("month", budget={"usd": 50, "window": "1mo"}),
        rule("less", budget={"usd": 2, "window": "1d"}),
    ]
    claims, reasons = terms(rules, CALLER, "m").claims(Most(10, 700), at("2026-11-22T11:41"))
    names = [reason.bound.rule.name for reason in reasons if reason.bound]
    assert sorted(zip(names, (claim.limit for claim in claims), strict=True)) == [
        ("less", 2_000_000),
        ("month", 50_000_000),
    ]
    assert {claim.amount for claim in claims} == {700}


def test_envelope() -> None:
    """The budget in a call's envelope is held too, of tokens and of money."""
    caller = CallContext("acme", "k", "agent", run_id="r", budget={"tokens": 9, "cost_micros": 5, "steps": 1})
    claims, _ = terms([], caller, "m").claims(Most(3, 4), 0)
    found = [(claim.unit, claim.amount, claim.left) for claim in claims]
    assert found == [("tokens", 3, 9), ("micros", 4, 5)]
    assert not terms([], CALLER, "m")


def asked(*texts: str, **sampling: Any) -> Completion:
    """A request with these texts."""
    messages = tuple(Message("user", (Text(text),)) for text in texts)
    return Completion("m", messages, sampling=Sampling(**sampling))


def test_bound_on_output() -> None:
    """A request that names no bound gets the rule's, or leaves it to the model's, or gets the default."""
    small, unknown = ModelEntry(max_output_tokens=100), ModelEntry()

    def bound(completion: Completion, entry: ModelEntry, default: int | None = None) -> int | None:
        return bounded(completion, entry, default).sampling.max_output_tokens

    assert bound(asked("hi", max_output_tokens=7), small, 50) == 7
    assert bound(asked("hi"), small) is None
    assert bound(asked("hi"), small, 50) == 50
    assert bound(asked("hi"), small, 500) == 100
    assert bound(asked("hi"), unknown, 500) == 500
    assert bound(asked("hi"), unknown) == DEFAULT_OUTPUT_TOKENS


@given(st.lists(st.text(), min_size=1))
def test_most_input(texts: list[str]) -> None:
    """The most of an input is no less than its bytes, and no more than the model's window."""
    size = sum(len(text.encode()) for text in texts)
    assert most_input(asked(*texts), ModelEntry()) >= size + len(texts)
    assert most_input(asked(*texts), ModelEntry(context_window=10)) == 10


def test_most_of_other_inputs() -> None:
    """Pictures, tools and extras are in the most of an input, too."""
    plain = most_input(asked("hi"), ModelEntry())
    picture = Completion("m", (Message("user", (Text("hi"), Image("image/png", b"x"))),))
    assert most_input(picture, ModelEntry()) > plain + 40_000
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = Completion("m", asked("hi").messages, tools=(Tool("weather", "Tells", schema),))
    assert most_input(tools, ModelEntry()) > plain + 500 + len(json.dumps(schema))
    extras = Completion("m", asked("hi").messages, extras={"prediction": {"content": "x" * 1000}})
    assert most_input(extras, ModelEntry()) > plain + 1000


def test_most_money() -> None:
    """The most money is at the dearest price that may apply; without a price it is not known."""
    price = Price(input=1, cached_input=0.1, cache_write=1.25, output=10)
    above = {"input_tokens": 100, "price": {"input": 2, "output": 5}}
    assert most_micros(ModelEntry(price=price), 100, 10) == 225
    assert most_micros(ModelEntry(price=price, above=above), 100, 10) == 225
    assert most_micros(ModelEntry(price=price, above=above), 200, 10) == 450
    assert most_micros(ModelEntry(), 100, 10) is None
