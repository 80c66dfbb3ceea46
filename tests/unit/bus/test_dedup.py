"""The deduplication window."""

from __future__ import annotations

from pentad_bus.dedup import DedupWindow


def test_an_id_is_known_for_at_least_the_window() -> None:
    """Between one and two windows after it was added, an id is forgotten."""
    window = DedupWindow(window=10, most=100, now=0)
    window.add("a")
    window.advance(19)
    assert "a" in window
    window.advance(29)
    assert "a" not in window


def test_memory_is_bounded() -> None:
    """More ids than it may keep push out the oldest half."""
    window = DedupWindow(window=1000, most=10)
    for number in range(100):
        window.add(str(number))
        assert len(window) <= 20
    assert "99" in window
    assert "0" not in window


def test_what_was_not_stored_can_be_tried_again() -> None:
    """A forgotten id is new again, in whichever generation it was."""
    window = DedupWindow(window=10, most=100, now=0)
    window.add("a")
    window.advance(10)
    window.add("b")
    window.forget(["a", "b", "c"])
    assert "a" not in window
    assert "b" not in window
