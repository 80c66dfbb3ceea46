"""When circuits open and close, by a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from pentad_llm_gateway.breaker import Breaker
from pentad_llm_gateway.catalog import BreakerRules
from pentad_llm_gateway.errors import UpstreamError, classify

RULES = BreakerRules(failures=3, ratio=0.5, window_calls=10, window_seconds=60, open_seconds=10)
DOWN = classify(UpstreamError("x", 503))
WRONG = classify(UpstreamError("x", 400))
REFUSED = classify(UpstreamError("x", 401))


@dataclass
class Clock:
    """Seconds that pass when they are told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock) -> Breaker:
    """A closed circuit."""
    return Breaker(lambda: RULES, clock)


def opened(clock: Clock) -> Breaker:
    """An open one."""
    made = breaker(clock)
    assert [made.failed(DOWN) for _ in range(3)] == [False, False, True]
    return made


def test_opens_after_failures_in_a_row() -> None:
    """The third failure in a row opens it; a success in between begins the count anew."""
    made = breaker(Clock())
    made.failed(DOWN)
    made.failed(DOWN)
    made.succeeded()
    assert [made.failed(DOWN), made.failed(DOWN), made.failed(DOWN)] == [False, False, True]
    assert (made.state, made.wait(), made.opened_by) == ("open", 10, "PROVIDER_UNAVAILABLE")


def test_one_probe_decides() -> None:
    """Half open, one call passes and the others wait; its success closes the circuit."""
    clock = Clock()
    made = opened(clock)
    clock.now += 10
    assert (made.state, made.wait(), made.enter()) == ("half_open", 0, True)
    assert made.wait() == 1
    made.succeeded(probe=True)
    assert (made.state, made.wait(), made.enter()) == ("closed", 0, False)


def test_failed_probes_wait_longer() -> None:
    """Each failed probe doubles the time to the next, up to a bound; a good one forgets that."""
    clock = Clock()
    made = opened(clock)
    waits = []
    for _ in range(8):
        clock.now += made.wait()
        assert made.failed(DOWN, probe=made.enter())
        waits.append(made.wait())
    assert waits == [20, 40, 80, 160, 300, 300, 300, 300]
    clock.now += 300
    made.succeeded(probe=made.enter())
    for _ in range(3):
        made.failed(DOWN)
    assert made.wait() == 10


def test_a_probe_that_was_cancelled_lets_another_try() -> None:
    """A caller that leaves tells nothing of the deployment."""
    clock = Clock()
    made = opened(clock)
    clock.now += 10
    made.leave(probe=made.enter())
    assert (made.state, made.wait(), made.enter()) == ("half_open", 0, True)


def test_late_news_do_not_count() -> None:
    """Calls that began before the circuit opened neither close it nor keep it open for longer."""
    made = opened(Clock())
    for _ in range(50):
        assert not made.failed(DOWN)
        made.succeeded()
    assert (made.state, made.wait()) == ("open", 10)


def test_what_a_request_did_wrong() -> None:
    """Refusals of a request never open a circuit; to a probe they say that the deployment works."""
    clock = Clock()
    made = breaker(clock)
    assert not any(made.failed(WRONG) for _ in range(100))
    made = opened(clock)
    clock.now += 10
    made.failed(WRONG, probe=made.enter())
    assert made.state == "closed"


def test_retry_after_cools_down() -> None:
    """A named wait is kept, up to a bound, and nothing is to be tried after it."""
    clock = Clock()
    made = breaker(clock)
    made.failed(classify(UpstreamError("x", 429, retry_after=7)))
    assert (made.state, made.wait(), made.opened_by) == ("open", 7, "RATE_LIMITED")
    clock.now += 7
    assert (made.state, made.enter()) == ("closed", False)
    made.failed(classify(UpstreamError("x", 429, retry_after=1e9)))
    assert made.wait() == RULES.most_cooldown_seconds


def test_a_refused_key() -> None:
    """A refused key is a reason to ask others, and none where there are no others."""
    made = breaker(Clock())
    assert made.failed(REFUSED)
    assert (made.wait(others=True), made.wait(), made.state) == (RULES.refused_seconds, 0, "open")
    made.succeeded()
    assert (made.wait(others=True), made.state) == (0, "closed")


def test_the_share_of_failures_within_the_window() -> None:
    """Too many failures among the last calls open it; those of long ago do not count."""
    clock = Clock()
    made = breaker(clock)
    for _ in range(4):
        made.failed(DOWN)
        made.succeeded()
    made.succeeded()
    assert made.failed(DOWN), "five of the last ten"
    made = breaker(clock)
    for _ in range(4):
        made.failed(DOWN)
        made.succeeded()
    clock.now += 61
    made.succeeded()
    assert not made.failed(DOWN)


@given(st.lists(st.tuples(st.sampled_from(["ok", "down", "wrong", "refused", "limited"]), st.floats(0, 40))))
def test_never_stuck(events: list[tuple[str, float]]) -> None:
    """Whatever happens, a call may pass again some time, and at most one probe is under way."""
    clock = Clock()
    made = breaker(clock)
    limited = classify(UpstreamError("x", 429, retry_after=5))
    errors = {"down": DOWN, "wrong": WRONG, "refused": REFUSED, "limited": limited}
    for event, seconds in events:
        clock.now += seconds
        if made.wait():
            continue
        probe = made.enter()
        if event == "ok":
            made.succeeded(probe=probe)
        else:
            made.failed(errors[event], probe=probe)
    clock.now += made.wait(others=True) + 0.001
    assert made.wait(others=True) == 0
