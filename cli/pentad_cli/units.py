"""Times, spans and sizes as people and programs write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(?:s|$))?(?:(\d+)ms)?")


def iso_time(moment: float | datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds, such as `2026-11-22T08:20:57.123Z`; None stays None."""
    if moment is None:
        return None
    if isinstance(moment, float | int):
        moment = datetime.fromtimestamp(moment, UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(moment: datetime | None = None) -> str:
    """The time of day here, such as `08:20:57`."""
    return (moment or datetime.now(UTC)).astimezone().strftime("%H:%M:%S")


def span(seconds: float | None) -> str:
    """A span for people: `0.34 s`, `12.3 s`, `4 min 05 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def parse_span(text: str) -> timedelta:
    """`90`, `90s`, `1m30s`, `2h`, `7d`, `500ms`. Raises ValueError for anything else, and for nothing."""
    found = _SPAN.fullmatch(text.strip().lower().replace(" ", ""))
    if not found or not any(found.groups()):
        raise ValueError(f"{text!r} is not a span of time; write 90s, 5m, 1h30m or 7d")
    days, hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
    if not length:
        raise ValueError("a span of time must be longer than nothing")
    return length


def size(count: int | None) -> str:
    """Bytes for people: `812 B`, `3.4 KB`, `50.0 MB` (powers of 1024)."""
    if count is None:
        return ""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KB", "MB", "GB"):
        amount /= 1024
        if amount < 1024 or unit == "GB":
            break
    return f"{amount:.1f} {unit}"


def ago(moment: datetime | None) -> str:
    """How long ago, for people."""
    return "" if moment is None else span((datetime.now(UTC) - moment).total_seconds())
