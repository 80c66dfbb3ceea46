"""A circuit breaker a deployment: one that keeps failing is left alone for a while, then tried by one call.

A deployment is a model at a provider. What opens its circuit: failures in a row, too many failures among the
last calls. A provider that says how long to wait is left alone for that long, without a probe afterwards: it
works. One that refuses the gateway's own key or account is passed over as long as there is another to ask.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal
from weakref import WeakKeyDictionary, ref

from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.catalog import BreakerRules
from pentad_llm_gateway.errors import circuit_open
from pentad_llm_gateway.metrics import CIRCUIT_OPENINGS, CIRCUITS
from pentad_llm_gateway.providers.base import Provider
from pentad_llm_gateway.target import Target

log = get_logger(__name__)

State = Literal["closed", "half_open", "open"]
_GAUGE = {"closed": 0, "half_open": 1, "open": 2}

REFUSALS = frozenset({"PROVIDER_AUTHENTICATION", "BUDGET_EXCEEDED"})
"""The gateway's key or account is refused: no other call can pass either."""
COUNTS = frozenset({"PROVIDER_UNAVAILABLE", "PROVIDER_TIMEOUT", "PROVIDER_ERROR", "RATE_LIMITED"})
"""What counts as a failure of the deployment, not of the request."""

_MOST_DEPLOYMENTS = 512
"""Of a provider: callers can name any model, and breakers must not pile up."""


class Breaker:
    """The circuit of one deployment. `clock`: monotonic seconds."""

    def __init__(
        self, rules: Callable[[], BreakerRules], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._recent: deque[tuple[float, bool]] = deque()
        self._failures_recent = 0
        self._failures = 0
        self._openings = 0
        self._open_until: float | None = None
        self._cool_until = 0.0
        self._refused_until = 0.0
        self._probing = False
        self.opened_by = ""
        """The reason of the error that opened it or made it cool down."""

    @property
    def state(self) -> State:
        """Whether calls pass: all, one to try, or none."""
        now = self._clock()
        if now < max(self._cool_until, self._refused_until, self._open_until or 0.0):
            return "open"
        return "closed" if self._open_until is None else "half_open"

    def wait(self, *, others: bool = False) -> float:
        """Seconds until a call may pass; 0 when one may now. Another's probe is waited for a second.

        `others`: whether another deployment could be asked. If none can, a refused key is no reason not to
        ask: nothing else tells when it is accepted again.
        """
        until = max(self._cool_until, self._open_until or 0.0, self._refused_until if others else 0.0)
        wait = max(0.0, until - self._clock())
        return max(wait, 1.0) if self._probing else wait

    def enter(self) -> bool:
        """A call passes, after `wait()` was 0. Returns whether it is the probe of a half-open circuit."""
        self._probing = self._open_until is not None
        return self._probing

    def leave(self, *, probe: bool) -> None:
        """A call ended that told nothing of the deployment, as one that was cancelled."""
        if probe:
            self._probing = False

    def succeeded(self, *, probe: bool = False) -> None:
        """A call was answered."""
        self._note(failed=False)
        self._failures = 0
        self._refused_until = 0.0
        if probe:
            self._close()

    def failed(self, error: PentadError, *, probe: bool = False) -> bool:
        """A call failed. Returns whether that opened the circuit."""
        if self._open_until is not None and not probe:
            return False  # it began before the circuit opened: no news
        asked = error.metadata.get("retry_after_seconds")
        if error.reason == "RATE_LIMITED" and asked is not None:
            self._cool_down(float(asked), probe=probe)
            return False
        if error.reason not in COUNTS:
            if probe:
                self._close()  # it answered, if only to refuse the request
            return error.reason in REFUSALS and self._refuse(error.reason)
        self._note(failed=True)
        self._failures += 1
        if probe or self._too_many():
            self._open(error.reason)
            return True
        return False

    def _too_many(self) -> bool:
        rules = self._rules()
        share = self._failures_recent / max(1, len(self._recent))
        full = len(self._recent) >= rules.window_calls
        return self._failures >= rules.failures or (full and share >= rules.ratio)

    def _note(self, *, failed: bool) -> None:
        now, rules = self._clock(), self._rules()
        self._recent.append((now, failed))
        self._failures_recent += failed
        while len(self._recent) > rules.window_calls or self._recent[0][0] < now - rules.window_seconds:
            self._failures_recent -= self._recent.popleft()[1]

    def _cool_down(self, seconds: float, *, probe: bool) -> None:
        self._cool_until = self._clock() + min(seconds, self._rules().most_cooldown_seconds)
        self.opened_by = "RATE_LIMITED"
        if probe:
            self._close()

    def _refuse(self, reason: str) -> bool:
        self._refused_until = self._clock() + self._rules().refused_seconds
        self.opened_by = reason
        return True

    def _open(self, reason: str) -> None:
        rules = self._rules()
        seconds = min(rules.open_seconds * 2**self._openings, rules.most_open_seconds)
        self._openings = min(self._openings + 1, 16)
        self._open_until = self._clock() + seconds
        self._probing = False
        self.opened_by = reason

    def _close(self) -> None:
        self._open_until = None
        self._probing = False
        self._openings = self._failures = self._failures_recent = 0
        self._recent.clear()


class Breakers:
    """The circuits of all deployments. Those of a provider go with it: one made anew begins closed."""

    def __init__(self, rules: Callable[[], BreakerRules]) -> None:
        """`rules()`: those in force."""
        self._rules = rules
        self._circuits: WeakKeyDictionary[Provider, OrderedDict[str, Breaker]] = WeakKeyDictionary()

    def of(self, target: Target) -> Breaker:
        """The circuit of a deployment."""
        circuits = self._circuits.setdefault(target.provider, OrderedDict())
        if target.model in circuits:
            circuits.move_to_end(target.model)
            return circuits[target.model]
        breaker = circuits[target.model] = Breaker(self._rules)
        if len(circuits) > _MOST_DEPLOYMENTS:
            circuits.popitem(last=False)
        if target.known:
            _show(target, breaker)
        return breaker

    def check(self, target: Target, *, others: bool = False) -> None:
        """Raises the error of an open circuit, if a call may not pass now: with the reason of what opened it,
        `provider_code` circuit_open, and in `retry_after` when it may. `others`: see Breaker.wait."""
        breaker = self.of(target)
        if wait := breaker.wait(others=others):
            raise circuit_open(target.provider.name, target.model, breaker.opened_by, wait)

    def told(self, target: Target) -> str:
        """Why a deployment is not asked now; "" when it is."""
        circuits = self._circuits.get(target.provider)
        breaker = circuits.get(target.model) if circuits else None
        if breaker is None or not (wait := breaker.wait(others=True)):
            return ""
        return f"its circuit is open for another {wait:.0f} s after {breaker.opened_by}"

    @contextmanager
    def passed(self, target: Target) -> Iterator[None]:
        """Around one attempt, whose end the circuit takes note of. Raises as `check`."""
        self.check(target)
        breaker = self.of(target)
        probe = breaker.enter()
        try:
            yield
        except PentadError as error:
            self.failed(target, error, probe=probe)
            raise
        except BaseException:
            breaker.leave(probe=probe)
            raise
        else:
            breaker.succeeded(probe=probe)

    def failed(self, target: Target, error: PentadError, *, probe: bool = False) -> None:
        """Takes note of a failure that came after the attempt had begun to answer; `passed` does so by itself
        for what comes before."""
        breaker = self.of(target)
        if not breaker.failed(error, probe=probe):
            return
        provider, seconds = target.provider.name, round(breaker.wait(others=True), 1)
        CIRCUIT_OPENINGS.labels(provider, target.label, error.reason).inc()
        log.warning(
            "circuit open", provider=provider, model=target.label, reason=error.reason, seconds=seconds
        )


def _show(target: Target, breaker: Breaker) -> None:
    """The metric is read when it is asked for, because circuits half open by the clock alone."""
    seen = ref(breaker)

    def state() -> float:
        found = seen()
        return _GAUGE[found.state] if found else 0

    CIRCUITS.labels(target.provider.name, target.model).set_function(state)
