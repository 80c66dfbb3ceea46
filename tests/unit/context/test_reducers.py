"""Reducers are pure functions on JSON: laws that hold for any values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_common.errors import FailedPrecondition
from pentad_context.model import Reducer
from pentad_context.reducers import reduce

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
OBJECTS = st.dictionaries(st.text(max_size=3), VALUES)
NUMBERS = st.integers() | st.floats(-1e100, 1e100)


def fold(reducer: Reducer, values: list[object]) -> object:
    """The value after writing `values` one after the other."""
    data: bytes | None = None
    for value in values:
        data = reduce(reducer, data, json.dumps(value).encode())
    return json.loads(data or b"null")


@given(st.binary(), st.none() | st.binary())
def test_replace_takes_any_bytes(new: bytes, old: bytes | None) -> None:
    """Without a reducer the new bytes are the value, whatever they are."""
    assert reduce(Reducer.REPLACE, old, new) == new


@given(st.lists(VALUES, min_size=1))
def test_append_keeps_all_in_order(values: list[object]) -> None:
    """Appending one by one makes the list of all."""
    assert fold(Reducer.APPEND, values) == values


@given(st.lists(OBJECTS, min_size=1))
def test_merge_is_like_dict_update(objects: list[dict[str, object]]) -> None:
    """Merging sets the members of each object in turn."""
    expected: dict[str, object] = {}
    for item in objects:
        expected.update(item)
    assert fold(Reducer.MERGE, list(objects)) == expected


@given(st.lists(st.integers(), min_size=1), st.randoms())
def test_increment_in_any_order(numbers: list[int], random: object) -> None:
    """Integers add up exactly, whatever the order of the writers."""
    shuffled = list(numbers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fold(Reducer.INCREMENT, list(shuffled)) == sum(numbers)


@given(NUMBERS, NUMBERS)
def test_increment_takes_fractions(first: float, second: float) -> None:
    """Numbers with fractions add up as Python's do."""
    assert fold(Reducer.INCREMENT, [first, second]) == first + second


@pytest.mark.parametrize(
    ("reducer", "old", "new"),
    [
        (Reducer.APPEND, "{}", "1"),
        (Reducer.APPEND, "null", "1"),
        (Reducer.APPEND, "[", "1"),
        (Reducer.APPEND, "[]", "{"),
        (Reducer.MERGE, "[]", "{}"),
        (Reducer.MERGE, "{}", "[]"),
        (Reducer.MERGE, None, "1"),
        (Reducer.INCREMENT, "true", "1"),
        (Reducer.INCREMENT, "1", "true"),
        (Reducer.INCREMENT, None, '"1"'),
        (Reducer.INCREMENT, "1", "NaN"),
        (Reducer.INCREMENT, "1", "1e999"),
        (Reducer.INCREMENT, "1e308", "1e308"),
        (Reducer.INCREMENT, "1" + "0" * 400, "0.5"),
        (Reducer.APPEND, "[]", "[" * 100_000),
        (Reducer.APPEND, "[]", "\udcff"),
    ],
)
def test_mismatch(reducer: Reducer, old: str | None, new: str) -> None:
    """What does not go together is REDUCER_MISMATCH, whichever side is at fault."""
    before = None if old is None else old.encode()
    with pytest.raises(FailedPrecondition) as caught:
        reduce(reducer, before, new.encode(errors="surrogateescape"))
    assert caught.value.reason == "REDUCER_MISMATCH"
