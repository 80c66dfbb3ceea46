"""Words, numbers and names of a text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_WORD = re.compile(r"[^\W\d_][\w'\u2019-]*", re.UNICODE)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:[.,' \u00a0\u202f]\d{3})*(?:[.,]\d+)?(?![\w]*\d)")
_TOKEN = re.compile(r"\d[\d.,:]*\d|\d|[^\W\d_][\w'\u2019-]*", re.UNICODE)
_NAME = re.compile(r"(?<![.!?:]\s)(?<!^)(?<![\"'“(])\b[A-ZÄÖÜ][\w-]*[a-zäöüß][\w-]*|\b[A-Z][A-Z0-9-]+\b")

STOP_WORDS = frozenset(Path(__file__).with_name("stop_words.txt").read_text("utf-8").split())
"""English and German words that carry no meaning of their own."""


def content_words(text: str) -> list[str]:
    """The words that carry meaning, in lower case, plurals cut."""
    words = (stem(word) for word in _WORD.findall(text))
    return [word for word in words if len(word) > 2 and word not in STOP_WORDS]


def stem(word: str) -> str:
    """A word in lower case without the commonest English endings: enough to find the same word again."""
    word = word.lower().replace("\u2019", "'").removesuffix("'s")
    if word in STOP_WORDS:
        return word
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", "e"), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 4 and not word.endswith("ss"):
            return word[: -len(ending)] + instead
    return word


def tokens(text: str) -> list[str]:
    """Words in lower case, plurals cut, and numbers as written, in order."""
    return [token if token[0].isdigit() else stem(token) for token in _TOKEN.findall(text)]


def numbers(text: str) -> list[float]:
    """The numbers of a text, thousands marks and decimal commas understood."""
    found = []
    for match in _NUMBER.finditer(text):
        value = to_number(match[0])
        if value is not None:
            found.append(value)
    return found


def to_number(written: str) -> float | None:
    """A number as written in prose: `1,250`, `1.250,5`, `3.75`; None if it is none."""
    bare = re.sub(r"[' \u00a0\u202f]", "", written)
    comma, dot = bare.rfind(","), bare.rfind(".")
    if comma > dot:  # a decimal comma unless groups of three follow
        decimal = not re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+", bare)
        bare = bare.replace(".", "").replace(",", "." if decimal else "")
    else:
        bare = bare.replace(",", "")
        if re.fullmatch(r"[-+]?\d{1,3}(\.\d{3}){2,}", bare):
            bare = bare.replace(".", "")
    try:
        return float(bare)
    except ValueError:
        return None


def names(text: str) -> list[str]:
    """Words with a capital that do not begin a sentence, and abbreviations in capitals."""
    return [match[0] for match in _NAME.finditer(text)]


def is_close(value: float, known: Iterable[float]) -> bool:
    """Whether one of the numbers is this one, or is this one when rounded as written."""
    return any(value == other or abs(value - other) <= 0.005 * max(abs(value), abs(other)) for other in known)
