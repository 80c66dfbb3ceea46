"""What is wrong with a text, by rules that can be checked: each issue quotes what it is about."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from pentad_agents.prose.grounding import Source
from pentad_agents.prose.sentences import Sentence, blocks, clip, sentences
from pentad_agents.prose.words import content_words, numbers, to_number

LONG_SENTENCE = 40  # words
HEAVY_AVERAGE = 25
NEEDS_HEADINGS, NEEDS_CLOSE = 400, 600
EACH_KIND = 4
QUOTE = 200
MAX_COMPARED, MAX_USES = 1000, 12
SAME_SUBJECT = 4  # words in common

_CLAIM = re.compile(
    r"\b(clearly|obviously|undoubtedly|certainly|significant(ly)?|substantial(ly)?|dramatic(ally)?|"
    r"considerabl[ey]|"
    r"best|worst|always|never|everyone|nobody|no one|proven|huge|massive|world-class|unique|excellent|"
    r"very successful|"
    r"much (better|worse|faster|cheaper)|industry-leading)\b",
    re.IGNORECASE,
)
_VAGUE = re.compile(
    r"\b(several|many|various|numerous|a number of|some (of|customers|users|people|sites)|a lot of|soon|"
    r"shortly|"
    r"recently|in the near future|as soon as possible|regularly|often|roughly|somewhat)\b",
    re.IGNORECASE,
)
_SOURCE = re.compile(
    r"according to|source|survey|table|figure \d|appendix|\[\d+\]|https?://|see ", re.IGNORECASE
)
_PLACEHOLDER = re.compile(
    r"\b(TBD|TBC|TODO|FIXME|XXX|lorem ipsum)\b|\?\?\?|\[(…|\.\.\.)\]|<[a-z_ ]+>", re.IGNORECASE
)
_COUNTED = re.compile(r"(?<![\d.,-])(\d[\d.,' ]{0,24})\s+([a-z][\w-]+(?:\s+[a-z][\w-]+)?)")
_ABBREVIATION = re.compile(r"\b[A-Z]{2,6}\b")
_KNOWN = frozenset(Path(__file__).with_name("abbreviations.txt").read_text("utf-8").split())
"""Abbreviations that need no explanation."""
_CLOSING = re.compile(
    r"summary|conclusion|next step|outlook|recommend|decision|action|fazit|ausblick", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Issue:
    """Something to mend. `weight` from 1 (polish) to 10 (wrong); `quote` is the place, word for word."""

    kind: str
    weight: int
    text: str
    quote: str = ""
    section: str = ""

    def as_json(self) -> dict[str, Any]:
        """The issue as a JSON object."""
        return asdict(self)

    def markdown(self) -> str:
        """One line of a list."""
        where = f" ({self.section})" if self.section else ""
        return f"**{self.kind}**{where}: {self.text}" + (f" “{self.quote}”" if self.quote else "")


def critique(text: str, source: Source | None = None) -> list[Issue]:
    """The text's issues, the weightiest first. With a `source`, also what the text says and the source does
    not."""
    pool = sentences(text)
    found = [
        *_contradictions(pool),
        *_wording(pool),
        *_repeats(pool),
        *_structure(text, pool),
        *_abbreviations(text),
    ]
    if source is not None:
        found += _uncovered(pool, source)
    found.sort(key=lambda issue: -issue.weight)
    counts: dict[str, int] = {}
    kept = []
    for issue in found:
        counts[issue.kind] = counts.get(issue.kind, 0) + 1
        if counts[issue.kind] <= EACH_KIND:
            kept.append(issue)
    return kept


def readability(text: str) -> dict[str, float]:
    """Counts, and Flesch's reading ease, which holds for English (60 and above is plain; below 30 is
    hard)."""
    pool = sentences(text)
    words = [word for sentence in pool for word in sentence.text.split()]
    if not words:
        return {"sentences": 0, "words": 0}
    average = len(words) / len(pool)
    syllables = sum(max(1, len(re.findall(r"[aeiouyäöü]+", word.lower()))) for word in words) / len(words)
    return {
        "sentences": len(pool),
        "words": len(words),
        "words_a_sentence": round(average, 1),
        "reading_ease": round(206.835 - 1.015 * average - 84.6 * syllables, 1),
    }


def _wording(pool: Sequence[Sentence]) -> Iterator[Issue]:
    for sentence in pool:
        text = sentence.text
        backed = bool(numbers(text)) or bool(_SOURCE.search(text))
        if match := _PLACEHOLDER.search(text):
            yield _issue("unfinished", 9, f"{match[0]!r} is a placeholder.", sentence)
        if not backed and (match := _CLAIM.search(text)):
            yield _issue("unsupported claim", 6, f"{match[0]!r} without a figure or a source.", sentence)
        elif not backed and (match := _VAGUE.search(text)):
            yield _issue("vague", 4, f"{match[0]!r}: how many, or when?", sentence)
        words = len(text.split())
        if words > LONG_SENTENCE:
            yield _issue("long sentence", 3, f"{words} words in one sentence.", sentence)


def _contradictions(pool: Sequence[Sentence]) -> Iterator[Issue]:
    """Sentences that speak of the same and count it differently, those with most words in common first."""
    counted: dict[str, list[tuple[float, str, Sentence]]] = {}
    for sentence in pool[:MAX_COMPARED]:
        for match in _COUNTED.finditer(sentence.text):
            value = to_number(match[1].strip(" .,'"))
            if value is not None and value != 1:
                for noun in set(content_words(match[2])):
                    counted.setdefault(noun, []).append((value, f"{match[1].strip()} {match[2]}", sentence))
    found: dict[tuple[int, int], tuple[int, Issue]] = {}
    for noun, uses in counted.items():
        for (first, said, one), (second, also, other) in combinations(uses[:MAX_USES], 2):
            shared = set(content_words(one.text)) & set(content_words(other.text)) - {noun}
            if one is not other and first != second and len(shared) >= SAME_SUBJECT:
                text = f"{said!r} here, {also!r} in “{clip(other.text, QUOTE)}”: do both hold?"
                issue = _issue("contradiction?", 8, text, one)
                found.setdefault((one.position, other.position), (len(shared), issue))
    for _, issue in sorted(found.values(), key=lambda pair: -pair[0]):
        yield issue


def _repeats(pool: Sequence[Sentence]) -> Iterator[Issue]:
    seen: dict[tuple[str, ...], Sentence] = {}
    for sentence in pool:
        words = tuple(content_words(sentence.text))
        if len(words) >= 4 and words in seen:
            yield _issue("repetition", 3, "This was said before.", sentence)
        seen.setdefault(words, sentence)


def _structure(text: str, pool: Sequence[Sentence]) -> Iterator[Issue]:
    parts = list(blocks(text))
    headings = [block for block in parts if block.level]
    words = sum(len(sentence.text.split()) for sentence in pool)
    if not headings and words > NEEDS_HEADINGS:
        yield Issue("structure", 4, f"{words:,} words without a heading.")
    for block, following in pairwise([*parts, parts[-1]] if parts else []):
        if block.level and following.level and following.level <= block.level:
            yield Issue("structure", 5, f"The section {block.text!r} is empty.")
    for before, after in pairwise(headings):
        if after.level > before.level + 1:
            yield Issue("structure", 2, f"{after.text!r} skips a level of headings below {before.text!r}.")
    if headings and words > NEEDS_CLOSE and not any(_CLOSING.search(block.text) for block in headings):
        yield Issue("structure", 5, "No section sums up, concludes or says what comes next.")
    if pool and words / len(pool) > HEAVY_AVERAGE:
        yield Issue(
            "readability", 4, f"Sentences have {words / len(pool):.0f} words on average; 15 to 20 read well."
        )
    if words > NEEDS_HEADINGS and not any(numbers(sentence.text) for sentence in pool):
        yield Issue("no figures", 6, f"There is not one figure in {words:,} words.")


def _abbreviations(text: str) -> Iterator[Issue]:
    used = dict.fromkeys(_ABBREVIATION.findall(text))
    strange = [
        word for word in used if word not in _KNOWN and f"({word})" not in text and f"{word} (" not in text
    ]
    if 0 < len(strange) < 25:
        yield Issue("abbreviations", 2, f"Never spelled out: {', '.join(strange[:8])}.")


def _uncovered(pool: Sequence[Sentence], source: Source) -> Iterator[Issue]:
    for sentence in pool:
        if faults := [
            fault for fault in source.faults(sentence.text, strict=False) if fault.startswith("number")
        ]:
            text = f"The source does not have {', '.join(faults[:3])}."
            yield _issue("not in the source", 10, text, sentence)


def _issue(kind: str, weight: int, text: str, sentence: Sentence) -> Issue:
    return Issue(kind, weight, text, clip(sentence.text, QUOTE), sentence.section)
