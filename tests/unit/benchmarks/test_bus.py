"""What the benchmark of the bus counts and compares, without starting anything."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from benchmarks.bus.job import HEADER, PADDING, Job
from benchmarks.bus.profile import top
from benchmarks.bus.scenario import SCENARIOS
from benchmarks.bus.system import SYSTEMS
from benchmarks.bus.tally import Tally

JOB = Job(
    system="pentad",
    role="consume",
    address="",
    durable=True,
    broadcast=False,
    connections=2,
    producers=2,
    consumers=2,
    rate=0,
    seconds=1,
    most=10,
)


def payload(producer: int, number: int, late: float = 0.0) -> bytes:
    """As a producer makes it, `late` seconds ago."""
    return HEADER.pack(producer, number, time.monotonic_ns() - int(late * 1e9)) + PADDING


def test_repeats_are_told_from_new_messages() -> None:
    """A message counts once, whichever consumer it came to; its repeats are duplicates."""
    tally = Tally(JOB)
    first, second = tally.receiver(0), tally.receiver(1)
    for receive, producer, number in ((first, 0, 0), (second, 1, 0), (second, 0, 1), (first, 0, 1)):
        receive(payload(producer, number))
    assert (tally.distinct, tally.duplicates) == (3, 1)
    assert tally.expected(4) == 4


def test_of_a_broadcast_every_consumer_counts_its_own() -> None:
    """The same message at two consumers is two copies, and none of them a repeat."""
    tally = Tally(replace(JOB, broadcast=True))
    for number in (0, 1):
        tally.receiver(number)(payload(0, 0))
    assert (tally.distinct, tally.duplicates, tally.expected(1)) == (2, 0, 2)


def test_latency_leaves_out_the_warm_up() -> None:
    """The first half second of a paced run is not in the percentiles."""
    tally = Tally(replace(JOB, rate=10))
    receive = tally.receiver(0)
    for number in range(10):
        receive(payload(0, number, late=9.0 if number < 5 else 0.002))
    assert tally.latency()["p99_9"] == pytest.approx(2.0, abs=1.5)


@pytest.mark.parametrize(
    ("system", "scenario", "durable"),
    [
        ("pentad", "durable-1-1", True),
        ("pentad", "lossy-1-1", False),
        ("pentad", "many-10-10-lossy", False),
        ("nats-core", "durable-1-1", None),
        ("nats-core", "many-10-10", False),
        ("nats-core", "many-10-10-lossy", None),
        ("nats-jetstream", "lossy-1-1", None),
        ("redis-streams", "paced-1k", True),
    ],
)
def test_systems_are_compared_in_the_mode_they_were_made_for(
    system: str, scenario: str, durable: bool | None
) -> None:
    """A system is left out of what it cannot do, and of a variant that would be its only mode again."""
    assert SYSTEMS[system].mode(SCENARIOS[scenario]) is durable


def test_a_profile_names_the_functions_with_most_samples_of_their_own() -> None:
    """Samples of a function's callees count for it as a whole only."""
    folded = "main (a.py:1);work (b.py:7) 30\nmain (a.py:1) 10\nmain (a.py:1);work (b.py:9) 60"
    assert [line.split() for line in top(folded)] == [
        ["90.0", "%", "90.0", "%", "work", "(b.py"],
        ["10.0", "%", "100.0", "%", "main", "(a.py"],
    ]
