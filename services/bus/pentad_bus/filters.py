"""Content filters of subscriptions: CEL over what a message says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pentad_common.errors import InvalidArgument

PRIORITIES = {"LOW": 1, "NORMAL": 2, "HIGH": 3, "CRITICAL": 4}
VARIABLES = frozenset({"type", "priority", "sender", "headers", "topic", *PRIORITIES})


class Filter:
    """A compiled condition."""

    def __init__(self, expression: str) -> None:
        """Raises InvalidArgument FILTER_INVALID if it is no CEL, or speaks of anything but VARIABLES."""
        from pentad_common.cel import Expression, ExpressionError  # 10 MB and 0.1 s, if there are filters

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
