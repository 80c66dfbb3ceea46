"""What the benchmark of the gateway counts and compares, without starting anything."""

from __future__ import annotations

import json

import pytest

from benchmarks.gateway import upstream
from benchmarks.gateway.__main__ import plan, rows_of, samples_of
from benchmarks.gateway.measurement import metrics
from benchmarks.gateway.scenario import SCENARIOS
from benchmarks.gateway.system import SYSTEMS
from benchmarks.gateway.tally import Tally


def test_an_upstream_answer_has_as_many_tokens_as_were_asked_for() -> None:
    """A whole answer is an HTTP response whose length, words and usage agree."""
    head, _, body = upstream.whole(7).partition(b"\r\n\r\n")
    answer = json.loads(body)
    assert f"content-length: {len(body)}".encode() in head
    assert answer["choices"][0]["message"]["content"] == upstream.TOKEN * 7
    assert answer["usage"]["completion_tokens"] == 7


def test_a_stream_ends_with_usage_only_where_it_was_asked_for() -> None:
    """As OpenAI's own does by `stream_options`."""
    assert b'"completion_tokens": 3' in upstream.end(3, True)
    assert b"completion_tokens" not in upstream.end(3, False)


def test_first_tokens_and_rates_are_told_of_streams() -> None:
    """Tokens are counted by their characters, whatever pieces they came in."""
    tally = Tally()
    for first in (0.010, 0.030):
        tally.begun(first)
        tally.came(64 * len(upstream.TOKEN))
        tally.ended(first + 0.5)
    found = metrics(SCENARIOS["stream-100"], tally.report(elapsed=2.0, cpu=0.1), answers=2)
    assert found["tokens_per_second"] == 64
    assert found["first_token_p99"] == pytest.approx(30)
    assert found["client_cpu_per_call"] == pytest.approx(50)


def test_an_empty_answer_is_no_answer() -> None:
    """A gateway that answers nothing is not fast."""
    with pytest.raises(RuntimeError, match="empty"):
        Tally().came(0)
    with pytest.raises(RuntimeError, match="nothing"):
        Tally().report(1.0, 1.0)


def test_what_came_of_answers_that_were_left_counts() -> None:
    """A system that is too slow to end a stream in time is not told to have sent nothing."""
    tally = Tally()
    tally.begun(0.010)
    tally.came(32 * len(upstream.TOKEN))
    found = metrics(SCENARIOS["stream-100"], tally.report(elapsed=2.0, cpu=0.1), answers=1)
    assert (found["tokens_per_second"], found["calls_per_second"]) == (16, 0.25)


@pytest.mark.parametrize(("answers", "fine"), [(1, True), (100, False)])
def test_hits_are_hits_only_while_the_provider_rests(answers: int, fine: bool) -> None:
    """A cache that is not asked, or not there, is no figure but a failure."""
    tally = Tally()
    for _ in range(100):
        tally.came(64 * len(upstream.TOKEN))
        tally.ended(0.01)
    report = tally.report(elapsed=0.5, cpu=0.1)
    if fine:
        assert metrics(SCENARIOS["cache-10"], report, answers)["hits_per_second"] == 200
    else:
        with pytest.raises(RuntimeError, match="not the cache"):
            metrics(SCENARIOS["cache-10"], report, answers)


def test_what_is_added_is_told_against_direct_calls_of_the_same_run() -> None:
    """A run on a slow minute compares with that minute; other scenarios are not compared."""

    def run(direct: float, pentad: float) -> dict[tuple[str, str], dict[str, float]]:
        return {
            ("unary-1", "direct"): {"latency_p50": direct},
            ("unary-1", "pentad"): {"latency_p50": pentad},
            ("unary-10", "pentad"): {"latency_p50": 9.0},
        }

    samples = samples_of([run(1.0, 2.0), run(10.0, 12.0), run(2.0, 5.0)])
    assert samples["unary-1", "pentad"]["added_latency_p50"] == [1.0, 2.0, 3.0]
    assert "added_latency_p50" not in samples["unary-1", "direct"]
    assert "added_latency_p50" not in samples["unary-10", "pentad"]
    added = next(row for row in rows_of(samples) if row.metric == "added_latency_p50")
    assert (added.system, added.unit, added.median, added.runs) == ("pentad", "ms", 2.0, 3)


def test_systems_take_turns_and_memory_is_measured_once() -> None:
    """Every system has its turn in a scenario before the next scenario; direct calls have no cache."""
    order = [
        (run, scenario.name, system.name)
        for run, scenario, system in plan(
            [SYSTEMS["direct"], SYSTEMS["litellm"]], ["unary-1", "cache-10", "memory"], 2
        )
    ]
    assert order == [
        (0, "unary-1", "direct"),
        (0, "unary-1", "litellm"),
        (0, "cache-10", "litellm"),
        (0, "memory", "litellm"),
        (1, "unary-1", "direct"),
        (1, "unary-1", "litellm"),
        (1, "cache-10", "litellm"),
    ]
