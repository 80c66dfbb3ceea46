"""When to try again, and after how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_common.errors import PentadError
from pentad_llm_gateway.errors import UpstreamError, classify
from pentad_llm_gateway.retry import RetryPolicy, retrying

POLICY = RetryPolicy(attempts=3, base=0.5)
BUSY = classify(UpstreamError("openai", 503))
WRONG = classify(UpstreamError("openai", 400))


def limited(seconds: float) -> PentadError:
    """A refusal that says how long to wait."""
    return classify(UpstreamError("openai", 429, retry_after=seconds))


@given(attempt=st.integers(1, 9), jitter=st.floats(0, 1))
def test_waits_double_with_jitter(attempt: int, jitter: float) -> None:
    """The wait is anything up to base, doubled for each attempt before, never over half a minute."""
    full = min(30.0, 0.5 * 2 ** (attempt - 1))
    wait = RetryPolicy(10, 0.5).wait(attempt, BUSY, None, jitter)
    assert wait is not None and wait == pytest.approx(full * jitter)


@given(asked=st.floats(0, 30), jitter=st.floats(0, 1))
def test_retry_after_is_the_least(asked: float, jitter: float) -> None:
    """No wait is shorter than the provider asked for."""
    wait = POLICY.wait(1, limited(asked), None, jitter)
    assert wait is not None and wait >= asked * 0.999


@given(left=st.floats(0, 10), jitter=st.floats(0, 1), asked=st.floats(0, 20))
def test_never_beyond_the_deadline(left: float, jitter: float, asked: float) -> None:
    """A wait ends before the caller gives up, or there is none."""
    wait = POLICY.wait(1, limited(asked), left, jitter)
    assert wait is None or wait < left


def test_what_is_not_tried_again() -> None:
    """Errors that will not pass, the last attempt, and waits of minutes end at once."""
    assert POLICY.wait(1, WRONG, None) is None
    assert POLICY.wait(3, BUSY, None) is None
    assert POLICY.wait(1, limited(300), None) is None


async def test_retrying_until_it_works() -> None:
    """Attempts go on until one works; each failure before it is told."""
    told: list[int] = []
    failures = [BUSY, BUSY]

    async def attempt() -> str:
        if failures:
            raise failures.pop()
        return "done"

    quick = RetryPolicy(3, 0.001)
    assert await retrying(quick, attempt, lambda _: None, lambda number, *_: told.append(number)) == "done"
    assert told == [1, 2]


async def test_retrying_gives_up() -> None:
    """The last error is raised as it is."""

    async def attempt() -> None:
        raise BUSY

    with pytest.raises(PentadError) as caught:
        await retrying(RetryPolicy(2, 0.001), attempt, lambda _: None, lambda *_: None)
    assert caught.value is BUSY
