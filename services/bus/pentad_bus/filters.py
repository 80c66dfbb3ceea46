"""Content filters of subscriptions: CEL over what a message says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pentad_common.errors import InvalidArgument, ResourceExhausted

PRIORITIES = {"LOW": 1, "NORMAL": 2, "HIGH": 3, "CRITICAL": 4}
VARIABLES = frozenset({"type", "priority", "sender", "headers", "topic", *PRIORITIES})
MOST_LOOPS = 1
"""Loops (`exists`, `all`, …) in one filter: two in each other can take minutes a message (measured)."""
MOST_LOOPED = 512
"""Characters of a filter with a loop: what it does is done for each element, and elements can be literals."""
MOST_SUMS = 8
"""`+` in one filter, half of them beside a loop: each copies all before it, and a hundred took 0.9 s
(measured).
"""
MOST_PATTERN = 64
"""Characters of a regular expression, which is compiled anew for each message."""
MOST_SECONDS = 0.1
"""CPU that the filters of one message may take together, before the message is refused."""

_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|map|filter|sortBy)\s*\(")
_WHOLE = re.compile(r"(?<!in )\bheaders\b(?!\s*[.\[])")
"""All headers as one value, but in `name in headers`: compared in a loop, 35 ms a message (measured)."""
_MAP = re.compile(r"\bmap\b\s*\(")
_MATCHES = re.compile(r"\bmatches\s*\(")
_PATTERN = re.compile(r"""\.\s*matches\s*\(\s*r?("[^"{}]*"|'[^'{}]*')\s*\)""")


class Filter:
    """A compiled condition."""

    def __init__(self, expression: str) -> None:
        """Raises InvalidArgument FILTER_INVALID if it is no CEL, or speaks of anything but VARIABLES."""
        from pentad_common.cel import Expression, ExpressionError  # 10 MB and 0.1 s, if there are filters

        if any(sign in expression for sign in "\0\r\n"):
            raise _invalid("".join(c if c.isprintable() else "?" for c in expression), "it must be one line")
        _check_cost(expression)
        self._error = ExpressionError
        try:
            self._expression = Expression(expression, VARIABLES)
        except ExpressionError as error:
            raise _invalid(expression, str(error)) from None

    def __call__(self, values: dict[str, Any]) -> bool:
        """Whether a message with these VARIABLES passes. What cannot be told, such as a missing header, does
        not.
        """
        try:
            return self._expression.evaluate(values) is True
        except self._error:
            return False


def filters_too_slow(topic: str) -> ResourceExhausted:
    """What is said of a message whose filters took more than MOST_SECONDS: the time is every tenant's."""
    return ResourceExhausted(
        "FILTERS_TOO_SLOW",
        f"the filters of the subscriptions to topic {topic[:100]!r} take over {MOST_SECONDS:g} s for this "
        "message; use fewer or simpler ones, above all without loops and `matches`",
        topic=topic[:100],
    )


def _check_cost(expression: str) -> None:
    """Raises InvalidArgument FILTER_INVALID if it could take long on some message."""
    loops = len(_MACRO.findall(expression))
    if loops > MOST_LOOPS:
        raise _invalid(expression, f"it has {loops} loops, and {MOST_LOOPS} is the most")
    if loops and len(expression) > MOST_LOOPED:
        raise _invalid(expression, f"it has a loop and more than {MOST_LOOPED} characters")
    if loops and _WHOLE.search(expression):
        raise _invalid(expression, "it takes all `headers` as a value beside a loop")
    if expression.count("+") > (MOST_SUMS // 2 if loops else MOST_SUMS):
        raise _invalid(expression, f"it has more than {MOST_SUMS} `+`, or {MOST_SUMS // 2} beside a loop")
    if _MAP.search(expression):
        raise _invalid(expression, "it has a `map`, which only makes lists")
    asked = len(_MATCHES.findall(expression))
    patterns = _PATTERN.findall(expression)
    if asked and loops:
        raise _invalid(expression, "it has `matches` beside a loop")
    if asked != len(patterns) or any(
        len(found) > MOST_PATTERN or "\\p" in found.lower() for found in patterns
    ):
        raise _invalid(expression, "`matches` takes a literal of at most 64 characters without `{` and `\\p`")


@lru_cache(maxsize=1024)
def compile_filter(expression: str) -> Filter | None:
    """The filter; None for an empty expression, which everything passes. Raises InvalidArgument
    FILTER_INVALID.
    """
    return Filter(expression) if expression.strip() else None


def variables(
    type_: str, priority: int, sender: str, headers: Mapping[str, str], topic: str
) -> dict[str, Any]:
    """What a filter may ask of a message."""
    return {
        "type": type_,
        "priority": priority,
        "sender": sender,
        "headers": dict(headers),
        "topic": topic,
        **PRIORITIES,
    }


def _invalid(expression: str, why: str) -> InvalidArgument:
    return InvalidArgument(
        "FILTER_INVALID",
        f"the filter {expression[:100]!r} cannot be used: {why}",
        filter=expression[:256],
        violations=[("subscribe.filter", why)],
    )
