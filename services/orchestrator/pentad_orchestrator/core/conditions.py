"""CEL conditions: compiled once, evaluated over a step's output."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pentad.common.v1 import common_pb2
from pentad_orchestrator.core.cel_engine import compile_expression
from pentad_orchestrator.core.state import Output

VARIABLES = frozenset({"output", "text", "failed", "reason", "attempt", "steps", "agent"})
MOST_MACROS = 2
"""Loops in one expression: more, over a long list, could hold up the engine for minutes."""

_STRINGS = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_MACROS = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|map|filter)\s*\(")


class ConditionError(Exception):
    """The condition cannot be compiled, or not be evaluated over this output; the message says why."""


def check_condition(expression: str) -> None:
    """Raises ConditionError unless the expression is CEL over the variables of a condition."""
    program = _program(expression)
    macros = len(_MACROS.findall(_STRINGS.sub("''", expression)))
    if macros > MOST_MACROS:
        raise ConditionError(f"it loops {macros} times; {MOST_MACROS} loops are the most")
    if macros == 0:
        unknown = sorted(set(program.variables()) - VARIABLES)
        if unknown:
            raise ConditionError(f"it uses {', '.join(unknown)}; there is {', '.join(sorted(VARIABLES))}")


def evaluate(expression: str, values: Mapping[str, Callable[[], Any]]) -> bool:
    """Whether the condition holds. `values` are made if the expression names them. Raises ConditionError."""
    program = _program(expression)
    context = {name: values[name]() for name in program.variables() if name in values}
    try:
        answer = program.execute(context)
    except BaseException as error:  # a panic of the engine in Rust is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise ConditionError(_brief(error)) from None
    if not isinstance(answer, bool):
        raise ConditionError(f"it is {type(answer).__name__}, not true or false")
    return answer


@lru_cache(maxsize=4096)
def _program(expression: str) -> Any:
    try:
        return compile_expression(expression)
    except BaseException as error:  # as above
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise ConditionError(_brief(error)) from None


def _brief(error: BaseException) -> str:
    text = str(error).partition("\n")[0].strip()
    text = re.sub(r"^Failed to parse expression '.*': ERROR: ", "", text)
    return f"no value at {text}" if isinstance(error, KeyError | IndexError) else text[:300]


def text_of(output: Output) -> str:
    """The first part as text; empty when there is none, or it is an artifact."""
    if not output.parts or output.parts[0].WhichOneof("source") != "content":
        return ""
    return output.parts[0].content.data.decode("utf-8", "replace")


def value_of(output: Output) -> Any:
    """The first part as its JSON, if it says that it is or looks like an object or a list; else as text."""
    text = text_of(output)
    if not text or not (_is_json(output.parts[0].content) or text.lstrip()[:1] in "{["):
        return text
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text


def _is_json(content: common_pb2.Content) -> bool:
    kind = content.content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
