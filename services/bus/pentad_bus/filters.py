"""Content filters of subscriptions: CEL over what a message says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pentad_common.errors import InvalidArgument

PRIORITIES = {"LOW": 1, "NORMAL": 2, "HIGH": 3, "CRITICAL": 4}
VARIABLES = frozenset({"type", "priority", "sender", "headers", "topic", *PRIORITIES})
MOST_LOOPS = 2
"""Loops (`exists`, `all`, `map`, …) in one filter: nested in each other, more could take seconds a message.
"""

_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|map|filter)\s*\(\s*(\w+)\s*,")


class Filter:
    """A compiled condition."""

    def __init__(self, expression: str) -> None:
        """Raises InvalidArgument FILTER_INVALID if it is no CEL, or speaks of anything but VARIABLES."""
        import cel  # 10 MB and 0.1 s, which a bus without filters does not need

        if "\0" in expression:
            raise _invalid(expression.replace("\0", "?"), "it has a NUL character")
        loops = _LOOP.findall(expression)
        if len(loops) > MOST_LOOPS:
            raise _invalid(expression, f"it has {len(loops)} loops, and {MOST_LOOPS} are the most")
        try:
            self._program = cel.compile(expression)
        except ValueError as error:
            raise _invalid(expression, _last_words(str(error))) from None
        unknown = set(self._program.variables()) - VARIABLES - set(loops)
        if unknown:
            known = ", ".join(sorted(VARIABLES))
            raise _invalid(expression, f"there is no {', '.join(sorted(unknown))}; there are {known}")

    def __call__(self, values: dict[str, Any]) -> bool:
        """Whether a message with these VARIABLES passes. What cannot be told, such as a missing header, does
        not.
        """
        try:
            return self._program.execute(values) is True
        except (KeyError, ValueError, TypeError, RuntimeError, ArithmeticError, IndexError):
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


def _last_words(text: str) -> str:
    line = next((part for part in text.splitlines() if "ERROR" in part), text)
    return line.split("ERROR:", 1)[-1].strip()[:200] or "it is no CEL"
