"""What a reader of a message or report must not miss: requests, deadlines, problems, figures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pentad_agents.prose.sentences import Sentence, clip
from pentad_agents.prose.sentences import sentences as sentences_of
from pentad_agents.prose.words import content_words, numbers
from pentad_agents.tables.findings import Finding

EACH_KIND = 4

_REQUEST = re.compile(
    r"\b(please|could you|can you|would you|will you|we need|i need|need(s)? to|must|have to|should|asks? "
    r"for|asked (us|for)|"
    r"request(s|ed)?|expect(s)? (you|us|an? )|let (me|us) know|confirm|bitte|benötig\w*|erwarten|"
    r"müssen)\b|\?\s*$",
    re.IGNORECASE,
)
_DEADLINE = re.compile(
    r"\b(by|until|before|no later than|due|deadline|from|on|bis|spätestens)\b[^.]{0,24}?("
    r"\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{1,2}\.? (january|february|march|april|may|june|"
    r"july|august|"
    r"september|october|november|december)|(january|february|march|april|may|june|july|august|september|"
    r"october|"
    r"november|december) \d{1,2}|monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|today|"
    r"noon|"
    r"end of (the )?(day|week|month|year)|montag|dienstag|mittwoch|donnerstag|freitag|morgen)",
    re.IGNORECASE,
)
_PROBLEM = re.compile(
    r"\b(fail\w*|error\w*|broken|defect\w*|damag\w*|missing|wrong|delay\w*|late|complain\w*|refund\w*|"
    r"cancel\w*|risk\w*|outage\w*|"
    r"problem\w*|issue\w*|lost|loss\w*|overrun\w*|over budget|behind|shortage\w*|leak\w*|"
    r"alarm\w*|unable|cannot|"
    r"can't|not work\w*|doesn't work|stopped|drop(ped|s)?|fell|decline\w*|worse|worst|fehler\w*|defekt\w*|"
    r"verspät\w*)\b",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"\b(rose|risen|rise|grew|grown|growth|increas\w*|up|gain\w*|fell|fallen|down|declin\w*|decreas\w*|"
    r"drop\w*|"
    r"doubl\w*|halv\w*|record|highest|lowest|average|total|target|per cent|percent)\b|%|€|\$|£",
    re.IGNORECASE,
)


def points(sentences: Sequence[Sentence]) -> list[Finding]:
    """Findings that quote the sentences, the most pressing first, at most a few of each kind."""
    found: list[Finding] = []
    counts: dict[str, int] = {}
    for finding in sorted(_all(sentences), key=lambda finding: -finding.score):
        repeated = any(finding.text == other.text for other in found)
        if not repeated and counts.get(finding.kind, 0) < EACH_KIND:
            counts[finding.kind] = counts.get(finding.kind, 0) + 1
            found.append(finding)
    return found


def points_of(text: str) -> list[Finding]:
    """The points of a whole text."""
    return points(sentences_of(text))


def _all(sentences: Sequence[Sentence]) -> Iterator[Finding]:
    """One finding a sentence: the most pressing kind it is of."""
    for sentence in sentences:
        text = sentence.text
        if len(content_words(text)) < 2:
            continue
        figures = len(numbers(text))
        early = 5.0 / (1 + sentence.position / 10)
        if _DEADLINE.search(text) and _REQUEST.search(text):
            yield _finding("deadline", 90 + early, sentence)
        elif _REQUEST.search(text):
            yield _finding("request", 75 + early + min(figures, 2), sentence)
        elif _PROBLEM.search(text):
            yield _finding("problem", 65 + early + 3 * min(figures, 3), sentence)
        elif figures and _CHANGE.search(text):
            yield _finding("figure", 50 + early + 4 * min(figures, 4), sentence)
        elif _DEADLINE.search(text):
            yield _finding("date", 45 + early, sentence)


def _finding(kind: str, score: float, sentence: Sentence) -> Finding:
    where = f" ({sentence.section})" if sentence.section else ""
    return Finding(kind, min(100.0, score), f"“{clip(sentence.text)}”{where}")
