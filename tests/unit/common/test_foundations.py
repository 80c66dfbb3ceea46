"""The small things that everything uses: errors, ids, cursors, envelopes."""

from __future__ import annotations

import copy
import threading
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_client.envelope import Envelope, parse_budget
from pentad_client.errors import from_proto, from_status, to_proto
from pentad_common.cursor import cut_page, decode_cursor, encode_cursor, page_size
from pentad_common.errors import (
    Code,
    InvalidArgument,
    NotFound,
    PentadError,
    ResourceExhausted,
    error_for_code,
    to_status,
)
from pentad_common.ids import new_id

ERRORS = [
    NotFound("RUN_NOT_FOUND", "run 'x' does not exist", run="x"),
    ResourceExhausted("QUEUE_FULL", "the queue is full", retry_after=1.25, queue="writer"),
    InvalidArgument("INVALID_REQUEST", "two fields", violations=[("a.b", "too long"), ("c", "missing")]),
    PentadError(Code.DATA_LOSS, "GONE", "a code without a class", {"n": 3}),
]


def _parts(error: PentadError) -> tuple[object, ...]:
    return (
        type(error),
        error.code,
        error.reason,
        error.message,
        error.metadata,
        error.retry_after,
        error.violations,
    )


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.reason)
def test_an_error_survives_the_wire(error: PentadError) -> None:
    """An error is the same after a status, after a message, and after a copy."""
    assert _parts(from_status(to_status(error))) == _parts(error)
    assert _parts(from_proto(to_proto(error))) == _parts(error)
    assert _parts(copy.copy(error)) == _parts(error)


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_every_code_has_an_error(code: Code) -> None:
    """Any status code becomes an error of that code."""
    assert error_for_code(code, "REASON", "text").code is code


def test_ids_are_uuid7_and_sort_by_time() -> None:
    """Ids are UUIDs of version 7, carry the time, and grow even within a millisecond and across threads."""
    ids: list[str] = []

    def fill() -> None:
        ids.extend(new_id() for _ in range(2000))

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 8000
    parsed = uuid.UUID(ids[0])
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert abs((parsed.int >> 80) / 1000 - time.time()) < 5
    single = [new_id() for _ in range(5000)]
    assert single == sorted(single)


@given(st.lists(st.one_of(st.integers(), st.text(), st.booleans(), st.none())))
def test_cursors_come_back(values: list[object]) -> None:
    """What goes into a cursor comes out of it, and only for its own kind of list."""
    token = encode_cursor("runs", *values)
    assert decode_cursor("runs", token) == values
    with pytest.raises(InvalidArgument):
        decode_cursor("keys", token)


@given(st.text(max_size=40))
def test_a_made_up_cursor_is_refused(token: str) -> None:
    """Any text that is no cursor is CURSOR_INVALID."""
    with pytest.raises(InvalidArgument) as caught:
        decode_cursor("runs", token)
    assert caught.value.reason == "CURSOR_INVALID"


def test_pages_are_cut() -> None:
    """One row more than the page says that there is a next one."""
    assert cut_page([1, 2, 3], 2) == ([1, 2], 2)
    assert cut_page([1, 2], 2) == ([1, 2], None)
    assert cut_page([], 2) == ([], None)
    assert [page_size(asked) for asked in (0, 7, 5000)] == [100, 7, 1000]


def test_an_envelope_survives_its_metadata() -> None:
    """What goes into metadata comes out of it; the deadline travels as the time-out instead."""
    envelope = Envelope(
        run_id="r1",
        agent="writer",
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        request_id="q",
        budget={"tokens": 5, "cost_micros": 0},
        hops=2,
        on_behalf_of="acme",
    )
    assert Envelope.from_metadata(dict(envelope.metadata())) == envelope
    assert Envelope().metadata() == []


@given(
    st.dictionaries(
        st.sampled_from(["pentad-run-id", "pentad-hops", "pentad-budget", "traceparent"]), st.text()
    )
)
def test_malformed_metadata_is_left_out(metadata: dict[str, str]) -> None:
    """Whatever anyone sends as metadata, reading it does not fail."""
    assert Envelope.from_metadata(metadata).hops >= 0


def test_a_malformed_budget_is_none() -> None:
    """A budget is taken whole or not at all."""
    assert parse_budget("tokens=1,cost_micros=2") == {"tokens": 1, "cost_micros": 2}
    for text in ("", "tokens", "tokens=-1", "tokens=1,=2", "tokens=x"):
        assert parse_budget(text) is None
