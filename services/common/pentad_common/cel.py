"""Expressions in CEL that callers write: filters of subscriptions, conditions of plans.

Needs the distribution `common-expression-language`, which is in the extras of the services that import this.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from types import ModuleType
from typing import Any

# `import cel` imports its command line as well, and with it prompt_toolkit: 0.2 s and 12 MB for nothing.
_COMMAND_LINE = "cel.cli"
_standing_in = _COMMAND_LINE not in sys.modules
if _standing_in:
    sys.modules[_COMMAND_LINE] = ModuleType(_COMMAND_LINE)
try:
    import cel
finally:
    if _standing_in:
        del sys.modules[_COMMAND_LINE]

MOST_LOOPS = 2
"""Loops (`exists`, `all`, `map`, …) in one expression: nested in each other, more could take minutes."""

_STRINGS = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|map|filter)\s*\(\s*(\w+)?")


class ExpressionError(Exception):
    """The expression cannot be compiled, or has no value for what it was given; the message says why."""


class Expression:
    """A compiled expression. `names`: the variables that it uses, those of its loops among them."""

    def __init__(self, text: str, variables: Collection[str]) -> None:
        """Raises ExpressionError if it is no CEL, loops too often or uses anything but `variables`."""
        if "\0" in text:
            raise ExpressionError("it has a NUL character")
        loops: list[str] = _LOOP.findall(_STRINGS.sub("''", text))
        if len(loops) > MOST_LOOPS:
            raise ExpressionError(f"it has {len(loops)} loops, and {MOST_LOOPS} are the most")
        self._program = _guarded(cel.compile, text)
        self.names = frozenset(self._program.variables())
        if unknown := sorted(self.names.difference(variables, loops)):
            known = ", ".join(sorted(variables))
            raise ExpressionError(f"there is no {', '.join(unknown)}; there are {known}")

    def evaluate(self, values: dict[str, Any]) -> Any:
        """Its value where the variables are `values`. Raises ExpressionError if it has none."""
        return _guarded(self._program.execute, values)


def _guarded(function: Any, argument: Any) -> Any:
    try:
        return function(argument)
    except BaseException as error:  # a panic of the engine, which is in Rust, is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise ExpressionError(_brief(error)) from None


def _brief(error: BaseException) -> str:
    """What is wrong, in a line, without the expression."""
    text = next((line for line in str(error).splitlines() if "ERROR" in line), str(error).partition("\n")[0])
    text = text.rpartition("ERROR: ")[2].strip()[:300]
    return f"no value at {text}" if isinstance(error, KeyError | IndexError) else text or "it is no CEL"
