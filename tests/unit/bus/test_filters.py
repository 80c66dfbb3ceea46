"""Content filters."""

from __future__ import annotations

import pytest

from pentad_bus.filters import compile_filter, variables
from pentad_common.errors import InvalidArgument

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
        ("headers.all(a, headers.all(b, headers.all(c, a == b)))", "3 loops"),
    ],
)
def test_a_filter_that_cannot_work_is_refused_when_it_is_made(expression: str, words: str) -> None:
    """The refusal says what is wrong with it."""
    with pytest.raises(InvalidArgument, match=words) as caught:
        compile_filter(expression)
    assert caught.value.reason == "FILTER_INVALID"
