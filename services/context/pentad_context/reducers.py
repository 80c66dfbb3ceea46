"""Reducers: how parallel writers' values come together. Pure functions on JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from pentad_common.errors import FailedPrecondition
from pentad_context.model import Reducer


def reduce(reducer: Reducer, old: bytes | None, new: bytes) -> bytes:
    """The value after writing `new` where `old` was (None: nothing). Except for REPLACE, both are UTF-8 JSON.

    Raises FailedPrecondition REDUCER_MISMATCH when they are not, or are of kinds that do not go together.
    """
    if reducer is Reducer.REPLACE:
        return new
    value = _parse(new, "the new value")
    before = None if old is None else _parse(old, "the value that is there")
    try:
        result = _REDUCERS[reducer](before, value, old is None)
        return json.dumps(result, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, OverflowError, RecursionError):
        raise mismatch("the result is not a value that JSON can hold") from None


def append(old: Any, new: Any, missing: bool) -> Any:
    """The list with one item more; a list of its own where there was nothing."""
    if missing:
        return [new]
    if not isinstance(old, list):
        raise mismatch(f"APPEND needs a list, and there is {_kind(old)}")
    return [*old, new]


def merge(old: Any, new: Any, missing: bool) -> Any:
    """The object with the members of the new one set in it; the members' own members are not looked at."""
    if not isinstance(new, dict):
        raise mismatch(f"MERGE takes an object, not {_kind(new)}")
    if missing:
        return new
    if not isinstance(old, dict):
        raise mismatch(f"MERGE needs an object, and there is {_kind(old)}")
    return {**old, **new}


def increment(old: Any, new: Any, missing: bool) -> Any:
    """The sum; integers stay integers, of any size."""
    if not _is_number(new):
        raise mismatch(f"INCREMENT takes a number, not {_kind(new)}")
    if missing:
        return new
    if not _is_number(old):
        raise mismatch(f"INCREMENT needs a number, and there is {_kind(old)}")
    return old + new


_REDUCERS: dict[Reducer, Callable[[Any, Any, bool], Any]] = {
    Reducer.APPEND: append,
    Reducer.MERGE: merge,
    Reducer.INCREMENT: increment,
}


def mismatch(why: str) -> FailedPrecondition:
    """REDUCER_MISMATCH."""
    return FailedPrecondition("REDUCER_MISMATCH", f"the reducer cannot be applied: {why}")


def _parse(data: bytes, what: str) -> Any:
    try:
        return json.loads(data.decode(), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        raise mismatch(f"{what} is not JSON") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
