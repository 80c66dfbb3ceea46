"""Expressions that callers write."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pentad_common.cel import Expression, ExpressionError

VARIABLES = {"text", "steps"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("text == 'a'", True),
        ("steps.exists(name, name == 'b')", True),
        ("steps.exists(text, text == 'b') && text == 'a'", True),
        ('text == ".all(x, .all(y, .all(z,"', False),
        ("size(steps)", 2),
    ],
)
def test_an_expression_has_a_value(text: str, value: object) -> None:
    """Variables of loops are its own; what is in quotes is no loop."""
    assert Expression(text, VARIABLES).evaluate({"text": "a", "steps": ["a", "b"]}) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("text ==", "Syntax error"),
        ("a\0b", "NUL"),
        ("colour == text", "there is no colour; there are steps, text"),
        ("steps.exists(x, colour == x)", "there is no colour"),
        ("steps.all(a, steps.all(b, steps.all(c, a == b)))", "3 loops"),
    ],
)
def test_what_cannot_work_is_refused_at_once(text: str, words: str) -> None:
    """The refusal says in a line what is wrong."""
    with pytest.raises(ExpressionError, match=words) as caught:
        Expression(text, VARIABLES)
    assert "\n" not in str(caught.value)


def test_an_expression_without_a_value() -> None:
    """A key that is missing, or types that do not fit, are an error like any other."""
    for text in ("steps['x'] == 1", "text + 1 == 2", "1 / 0 == 1"):
        with pytest.raises(ExpressionError):
            Expression(text, VARIABLES).evaluate({"text": "a", "steps": {}})


def test_the_engine_comes_without_its_command_line() -> None:
    """A service does not pay for prompt_toolkit."""
    code = (
        "import sys, pentad_common.cel; sys.exit('prompt_toolkit' in sys.modules or 'cel.cli' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
