"""Limits, as `pentad llm limits` prints them."""

from __future__ import annotations

from pentad.llm.v1 import llm_pb2
from pentad_cli.model_document import limit_document


def test_limit_document() -> None:
    """Budgets are told in dollars with the window's end, other limits as they are."""
    budget = llm_pb2.LimitUsage(name="a", scope="tenant", kind="budget", limit=5_000_000, used=1_250_000)
    budget.reset_time.FromSeconds(86400)
    shown = limit_document(budget)
    assert (shown["used"], shown["limit"]) == (1.25, 5.0)
    assert shown["reset_time"] == "1970-01-02T00:00:00+00:00"
    calls = llm_pb2.LimitUsage(name="b", scope="key", subject="k", kind="concurrent_calls", limit=5, used=2)
    shown = limit_document(calls)
    assert (shown["subject"], shown["used"], shown["limit"], shown["reset_time"]) == ("k", 2, 5, None)
