"""CEL conditions: compiled once, evaluated over a step's output."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pentad.common.v1 import common_pb2
from pentad_common.cel import Expression, ExpressionError
from pentad_orchestrator.core.state import Output

VARIABLES = frozenset({"output", "text", "failed", "reason", "attempt", "steps", "agent"})


class ConditionError(Exception):
    """The condition cannot be compiled, or not be evaluated over this output; the message says why."""


def check_condition(expression: str) -> None:
    """Raises ConditionError unless the expression is CEL over the variables of a condition."""
    _compiled(expression)


def evaluate(expression: str, values: Mapping[str, Callable[[], Any]]) -> bool:
    """Whether the condition holds. `values` are made if the expression names them. Raises ConditionError."""
    condition = _compiled(expression)
    try:
        answer = condition.evaluate({name: values[name]() for name in condition.names if name in values})
    except ExpressionError as error:
        raise ConditionError(str(error)) from None
    if not isinstance(answer, bool):
        raise ConditionError(f"it is {type(answer).__name__}, not true or false")
    return answer


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> Expression:
    try:
        return Expression(expression, VARIABLES)
    except ExpressionError as error:
        raise ConditionError(str(error)) from None


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
