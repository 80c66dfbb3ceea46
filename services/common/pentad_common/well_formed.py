"""What holds for every request beside its own rules: text that can be kept, times that can be reckoned
with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

LONGEST_SECONDS = 100 * 365 * 86_400
"""The longest span of time: longer ones lead past the last day of the calendar."""

_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # the years 1 to 9999, as protobuf has it
_NANOS = 999_999_999


def flaws(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The fields of a message at fault, as people write them, each with what is wrong.

    PostgreSQL keeps no text with a NUL in it; Python knows no day outside of the years 1 to 9999.
    """
    if isinstance(value, str):
        if "\0" in value:
            yield path, "must not contain the character NUL"
    elif isinstance(value, Timestamp):
        if not (_FIRST_SECOND <= value.seconds <= _LAST_SECOND and 0 <= value.nanos <= _NANOS):
            yield path, "must be a time in the years 1 to 9999"
    elif isinstance(value, Duration):
        if not (abs(value.seconds) <= LONGEST_SECONDS and abs(value.nanos) <= _NANOS):
            yield path, "must be a span of at most 100 years"
    elif isinstance(value, Message):
        for field, content in value.ListFields():
            yield from flaws(content, f"{path}.{field.name}" if path else field.name)
    elif not isinstance(value, bytes | int | float):
        yield from _of_many(value, path)


def _of_many(values: Any, path: str) -> Iterator[tuple[str, str]]:
    """Of a map, keys too, or of a repeated field."""
    if hasattr(values, "items"):
        for key, value in values.items():
            yield from flaws(key, path)
            yield from flaws(value, f'{path}["{key}"]')
        return
    for number, value in enumerate(values):
        yield from flaws(value, f"{path}[{number}]")
