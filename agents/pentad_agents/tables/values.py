"""What a cell says: nothing, a number, a date, yes or no."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

MISSING = frozenset(
    {
        "",
        "NA",
        "N/A",
        "n/a",
        "na",
        "#N/A",
        "NaN",
        "nan",
        "NAN",
        "null",
        "NULL",
        "Null",
        "None",
        "none",
        "-",
        "--",
        "?",
        ".",
    }
)
TRUE_FALSE = frozenset({"true", "false", "yes", "no", "y", "n", "t", "f"})
_UNITS = re.compile(r"^[€$£¥]?\s*(.*?)\s*[%€$£¥]?$")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_GERMAN = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+(e[+-]?\d+)?", re.IGNORECASE)
_SPACES = re.compile(r"[+-]?\d{1,3}([ '\u00a0\u202f]\d{3})+([.,]\d+)?")
_DATE_SHAPES: Sequence[tuple[re.Pattern[str], Callable[[str], str]]] = (
    (re.compile(r"\d{4}-\d\d-\d\d([T ].*)?"), lambda text: text.replace(" UTC", "Z")),
    (re.compile(r"\d{4}/\d\d/\d\d([T ].*)?"), lambda text: text.replace("/", "-")),
    (
        re.compile(r"\d\d\.\d\d\.\d{4}([T ].*)?"),
        lambda text: f"{text[6:10]}-{text[3:5]}-{text[:2]}{text[10:]}",
    ),
)
_SLASHES = re.compile(r"(\d\d)/(\d\d)/(\d{4})([T ].*)?")


LARGEST = 1e70
"""No measurement, and no identifier that is a number, is larger; squares of squares of it can be added up."""


def parse_number(text: str) -> float | None:
    """The number in a cell: plain, with thousands marks or a decimal comma, with a currency or percent sign;
    else None.

    What is not finite or beyond LARGEST is no number.
    """
    try:
        value = float(text)
    except ValueError:
        return _parse_written(text.strip())
    return value if abs(value) <= LARGEST and "_" not in text else None


def _parse_written(text: str) -> float | None:
    match = _UNITS.match(text)
    bare = match[1] if match else text
    if _THOUSANDS.fullmatch(bare):
        bare = bare.replace(",", "")
    elif _GERMAN.fullmatch(bare):
        bare = bare.replace(".", "").replace(",", ".")
    elif _SPACES.fullmatch(bare):
        bare = re.sub(r"[ '\u00a0\u202f]", "", bare).replace(",", ".")
    elif bare == text:
        return None
    try:
        value = float(bare)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


def parse_date(text: str, day_first: bool = False) -> datetime | None:
    """The moment in a cell such as 2026-03-01, 2026-03-01T10:00:00Z, 2026/03/01 10:00 or 01.03.2026; else
    None.

    `day_first`: whether 01/03/2026 is the first of March. Moments with a zone come in UTC, all without a
    zone.
    """
    for shape, to_iso in _DATE_SHAPES:
        if shape.fullmatch(text):
            return _from_iso(to_iso(text))
    if match := _SLASHES.fullmatch(text):
        first, second, year, rest = match.groups()
        month, day = (second, first) if day_first else (first, second)
        return _from_iso(f"{year}-{month}-{day}{rest or ''}")
    return None


def is_day_first(texts: Iterable[str]) -> bool:
    """Whether dates with slashes among the texts must be read with the day first."""
    matches = (_SLASHES.fullmatch(text) for text in texts)
    return any(int(match[1]) > 12 for match in matches if match)


def _from_iso(text: str) -> datetime | None:
    try:
        value = datetime.fromisoformat(text.rstrip())
    except ValueError:
        return None
    return value.replace(tzinfo=None) - value.utcoffset() if value.tzinfo else value  # type: ignore[operator]
