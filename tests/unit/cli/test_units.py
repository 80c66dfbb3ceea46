"""Times, spans and sizes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_cli.units import iso_time, parse_span, size, span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("7d", 604800),
        ("2 h", 7200),
    ],
)
def test_parses_spans(text: str, seconds: float) -> None:
    """Spans are numbers with units, seconds without one."""
    assert parse_span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "0", "0s", "-5", "soon", "5x", "s", "1m1h"])
def test_refuses_what_is_no_span(text: str) -> None:
    """Nothing, negative, empty and unknown spans are refused."""
    with pytest.raises(ValueError, match="span of time"):
        parse_span(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 s"),
        (0.344, "0.34 s"),
        (12.34, "12.3 s"),
        (125, "2 min 05 s"),
        (7800, "2 h 10 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_writes_spans(seconds: float, text: str) -> None:
    """A span has the precision that a person wants at its length."""
    assert span(seconds) == text


@given(st.floats(0, 1e8))
def test_spans_never_show_sixty(seconds: float) -> None:
    """No span says 60 s or 60 min, whatever is rounded."""
    assert "60" not in span(seconds).split() or seconds >= 6e4


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (3482, "3.4 KB"), (52_428_800, "50.0 MB"), (5 << 40, "5120.0 GB")],
)
def test_writes_sizes(count: int, text: str) -> None:
    """A size has the unit that keeps it short."""
    assert size(count) == text


def test_writes_times_in_utc() -> None:
    """Times for programs are in UTC with milliseconds."""
    assert iso_time(datetime(2026, 11, 22, 8, 20, 57, 123_456, UTC)) == "2026-11-22T08:20:57.123Z"
    assert iso_time(None) is None
