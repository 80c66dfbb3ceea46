"""Content filters."""

from __future__ import annotations

import time

import pytest

from pentad_bus.broker import Wish
from pentad_bus.filters import compile_filter, variables
from pentad_common.errors import InvalidArgument
from tests.unit.bus.world import World, ids, on

HEADERS = {f"name{n}": "v" * 900 for n in range(63)} | {"a": "v" * 4000}
"""As many as a message may have."""
ORDER = variables("order.created", 3, "shop", {"region": "eu", "total": "12"}, "orders.eu")


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ('type == "order.created"', True),
        ("priority >= HIGH", True),
        ("priority == CRITICAL", False),
        ('sender == "shop" && headers["region"] == "eu"', True),
        ('headers["missing"] == "x"', False),
        ('"missing" in headers', False),
        ('topic.startsWith("orders.")', True),
        ('headers.exists(name, name == "region")', True),
        ("type", False),
        ("1 / 0 == 1", False),
    ],
)
def test_a_filter_decides_on_what_the_message_says(expression: str, passes: bool) -> None:
    """Only `true` passes: what fails, and what is no truth value, does not."""
    condition = compile_filter(expression)
    assert condition is not None
    assert condition(ORDER) is passes


def test_an_empty_filter_takes_all() -> None:
    """No expression, no condition."""
    assert compile_filter("  ") is None


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("type ==", "Syntax error"),
        ("colour == 'red'", "there is no colour"),
        ("headers.all(a, headers.all(b, a == b))", "2 loops"),
        ("headers.all(a, headers.all//\n(b, a == b))", "one line"),
        ("[1, 2].map(a, a).size() > 1", "`map`"),
        (f"[{'0,' * 250}0].all(a, true)", "512 characters"),
        ("headers.exists(a, a.matches('x'))", "beside a loop"),
        ("type == " + "+".join(["headers.a"] * 10), "more than 8"),
        ("size(" + "+".join(["[headers]"] * 10) + ") > 1", "more than 8"),
        ("headers.exists(a, headers != headers)", "all `headers`"),
        ("headers.exists(a, a == " + "+".join(["a"] * 6) + ")", "4 beside a loop"),
        ("type.matches(headers['p'])", "a literal"),
        ("type.matches('a{1000}')", "a literal"),
        ("type.matches('(?i)\\\\pL')", "a literal"),
        ("(" * 900 + "true" + ")" * 900, "it is no CEL|rror|ecursion"),
    ],
)
def test_a_filter_that_cannot_work_is_refused_when_it_is_made(expression: str, words: str) -> None:
    """The refusal says what is wrong with it."""
    with pytest.raises(InvalidArgument, match=words) as caught:
        compile_filter(expression)
    assert caught.value.reason == "FILTER_INVALID"


@pytest.mark.parametrize(
    "expression",
    [
        'headers.all(name, !headers[name].contains(headers["a"] + "x"))',
        " || ".join(['headers["a"].contains("zz")'] * 70),
        "!" * 2000 + "true",
        "-" * 2000 + "1 == 1",
        r'type.matches("(a?a?a?a?)*\\w\\w\\w\\w\\w\\w\\w\\w$")',
        f"[{'0,' * 200}0].all(n, {' + '.join(['headers.a'] * 5)} != '')",
    ],
)
def test_the_worst_filters_are_cheap(expression: str) -> None:
    """On a message with all the headers that one may have, none holds up the others for long."""
    condition = compile_filter(expression)
    assert condition is not None
    values = variables("aaaaaaaaaaaaaaaaaaaaaa!", 3, "shop", HEADERS, "orders.eu")
    started = time.thread_time()
    condition(values)
    assert time.thread_time() - started < 1


def test_filters_that_add_up_refuse_the_message() -> None:
    """However many dear filters a topic has, the bus spends no more than its bound on a message."""
    world = World()
    dear = [f"[{'0,' * 200}{n}].exists(n, {' + '.join(['headers.a'] * 5)} == '')" for n in range(256)]
    for number, expression in enumerate(dear):
        world.connect(f"greedy-{number}", "one", Wish("dear", expression))
    modest = world.connect("modest", "one", Wish("cheap", "priority > 1"))
    sender = world.connect("sender")
    started = time.thread_time()
    world.publish(sender, on("dear", headers=HEADERS))
    assert time.thread_time() - started < 2
    assert world.refusal(sender) == "FILTERS_TOO_SLOW"
    world.publish(sender, on("cheap", "passes", headers=HEADERS))
    assert ids(modest.take()) == ["passes"]
