"""The run envelope: what travels in the metadata of every call beside the API key.

A server sets the envelope of the call it serves, a host sets the one of the task it works on; calls made
meanwhile carry it on, with the deadline, which gRPC does not hand down by itself.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TOKEN = re.compile(r"[A-Za-z0-9._:/-]{1,128}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """`deadline`: seconds of `time.time()`. `budget`: what is left, by unit (`tokens`, `cost_micros`,
    `steps`), and with `max_` before the unit what there was in all.
    """

    run_id: str | None = None
    agent: str | None = None
    traceparent: str | None = None
    request_id: str | None = None
    deadline: float | None = None
    budget: Mapping[str, int] | None = None
    hops: int = 0
    on_behalf_of: str | None = None
    """The tenant a service acts for; counts only from role service."""

    def metadata(self) -> list[tuple[str, str]]:
        """The envelope as metadata; the deadline is not in it, since it travels as the call's time-out."""
        budget = ",".join(f"{unit}={left}" for unit, left in (self.budget or {}).items())
        pairs = [
            ("pentad-run-id", self.run_id),
            ("pentad-agent", self.agent),
            ("traceparent", self.traceparent),
            ("pentad-request-id", self.request_id),
            ("pentad-budget", budget),
            ("pentad-hops", str(self.hops) if self.hops else None),
            ("pentad-on-behalf-of", self.on_behalf_of),
        ]
        return [(key, value) for key, value in pairs if value]

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Envelope:
        """The envelope in a call's metadata. What is malformed is left out: it comes from anyone."""
        return cls(
            run_id=_token(metadata.get("pentad-run-id")),
            agent=_token(metadata.get("pentad-agent")),
            traceparent=_matching(_TRACEPARENT, metadata.get("traceparent")),
            request_id=_token(metadata.get("pentad-request-id")),
            budget=parse_budget(metadata.get("pentad-budget", "")),
            hops=_count(metadata.get("pentad-hops", "")) or 0,
            on_behalf_of=_token(metadata.get("pentad-on-behalf-of")),
        )


_EMPTY = Envelope()
_current: ContextVar[Envelope] = ContextVar("pentad_envelope", default=_EMPTY)


def current_envelope() -> Envelope:
    """The envelope that calls made now carry."""
    return _current.get()


def set_envelope(envelope: Envelope) -> None:
    """Makes `envelope` the current one until the task ends."""
    _current.set(envelope)


@contextmanager
def enveloped(**changes: object) -> Iterator[Envelope]:
    """Within the block, calls carry the current envelope with `changes` (fields of Envelope)."""
    token = _current.set(replace(_current.get(), **changes))  # type: ignore[arg-type]
    try:
        yield _current.get()
    finally:
        _current.reset(token)


def time_left(envelope: Envelope) -> float | None:
    """Seconds until the envelope's deadline, not below 0; None without one."""
    return None if envelope.deadline is None else max(0.0, envelope.deadline - time.time())


def new_traceparent() -> str:
    """A W3C trace context that begins here."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def parse_budget(text: str) -> dict[str, int] | None:
    """The budget in `tokens=1000,cost_micros=50`; None if there is none or it is malformed."""
    budget: dict[str, int] = {}
    for item in text.split(",") if text else ():
        unit, _, left = item.partition("=")
        count = _count(left)
        if not unit.isidentifier() or count is None:
            return None
        budget[unit] = count
    return budget or None


def _matching(pattern: re.Pattern[str], value: str | None) -> str | None:
    return value if value and pattern.fullmatch(value) else None


def _token(value: str | None) -> str | None:
    return _matching(_TOKEN, value)


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def deadline_in(seconds: float) -> float:
    """The deadline, as an Envelope has it, `seconds` from now."""
    return time.time() + seconds
