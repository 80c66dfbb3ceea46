"""Cuts Markdown or plain text into headings, paragraphs and sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*\s*$")
_ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?")
_MAIL_FIELD = re.compile(r"([A-Z][A-Za-z-]{1,20}):\s(.*)$")
_FENCE = re.compile(r"\s*(```|~~~)")
_TABLE_ROW = re.compile(r"\s*\|.*\|\s*$")
_RULE = re.compile(r"\s*([-*_=]\s*){3,}$")
_MARKUP = re.compile(  # each part ends at the latest where it could begin again: linear, whatever the text
    r"!\[([^\[\]]*)\]\([^)\[]*\)|\[([^\[\]]+)\]\([^)\[]*\)|(\*\*|__|`)(?=\S)|(?<=\S)(\*\*|__|`)|"
    r"(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])|<[^<>\s][^<>]*>"
)
_END = re.compile(
    r"(?<=[.!?…])[\"'\u201d\u2019)\]]*\s+(?=[\"'\u201c\u2018(\[]*(?![a-zß-öø-ÿа-яёα-ω_])\w)|(?<=[\u3002\uff01\uff1f])"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|ca|no|nr|fig|sec|vol|pp?|ed|mr|mrs|ms|dr|prof|st|inc|ltd|co|dept|"
    r"est|resp|bzw|usw|z\.\s?b|d\.\s?h|u\.\s?a|evtl|ggf|inkl|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)|"
    r"\b[A-Z])\.$",
    re.IGNORECASE,
)

_ORDINAL = re.compile(r"(?<![\w:.,])\d{1,2}\.$")
MAX_SENTENCE = 1000
"""Characters. What is longer is no sentence: records, a log, a text without full stops; it is cut up."""
MAX_QUOTE = 300
_ENDING = 24  # characters that tell whether a full stop is one

_MONTH = re.compile(r"Jan|Feb|M[aä]r|Apr|Ma[iy]|Jun|Jul|Aug|Sep|O[ck]t|Nov|De[cz]")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and where it stands. `lead`: whether it begins its paragraph; `position` counts from 0."""

    text: str
    section: str
    position: int
    lead: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A heading (`level` 1 to 6), a paragraph or list item (0), in order of the text."""

    text: str
    level: int = 0


def blocks(text: str) -> Iterator[Block]:
    """Headings, paragraphs and list items, without markup. Code, tables and rules are left out."""
    held: list[str] = []
    fenced = False
    subject, lines = _mail_head(text.splitlines())
    if subject:
        yield Block(clip(plain(subject)), 1)
    for line in [*lines, ""]:
        heading = None if fenced or len(line) > MAX_SENTENCE else _HEADING.match(line)
        skip = fenced or bool(_FENCE.match(line) or _TABLE_ROW.match(line) or _RULE.match(line))
        if _FENCE.match(line):
            fenced = not fenced
        begins = bool(heading or skip or not line.strip() or _ITEM.match(line))
        if begins and held:
            yield from (Block(plain(paragraph)) for paragraph in _paragraphs(held))
            held = []
        if heading:
            yield Block(clip(plain(heading[2])), len(heading[1]))
        elif not skip and line.strip():
            item = _ITEM.match(line)
            held.append(line[item.end() if item else 0 :].strip().removeprefix("> "))


def _paragraphs(lines: list[str]) -> list[str]:
    """The lines as one paragraph; each as its own if no sentences run through them."""
    paragraph = " ".join(lines)
    if len(paragraph) <= MAX_SENTENCE or all(len(one) < MAX_SENTENCE for one in _END.split(paragraph)):
        return [paragraph]
    return lines


def _mail_head(lines: list[str]) -> tuple[str, list[str]]:
    """The subject and the body of a mail; an empty subject and all lines of any other text."""
    head: dict[str, str] = {}
    for number, line in enumerate(lines):
        field = _MAIL_FIELD.match(line)
        if field:
            head[field[1].lower()] = field[2].strip()
        elif line.strip() and not (head and line[0] in " \t"):
            break
        elif head and not line.strip():
            is_mail = head.keys() & {"from", "von"} and head.keys() & {"subject", "betreff"}
            return (head.get("subject") or head["betreff"], lines[number:]) if is_mail else ("", lines)
    return "", lines


def sentences(text: str) -> list[Sentence]:
    """The sentences of the paragraphs and list items."""
    found: list[Sentence] = []
    section = ""
    for block in blocks(text):
        if block.level:
            section = block.text
            continue
        for index, sentence in enumerate(split(block.text)):
            found.append(Sentence(sentence, section, len(found), index == 0))
    return found


def split(paragraph: str) -> list[str]:
    """The sentences of one paragraph, none longer than MAX_SENTENCE."""
    found: list[str] = []
    for piece in _END.split(paragraph):
        if found and len(found[-1]) + len(piece) < MAX_SENTENCE and _goes_on(found[-1][-_ENDING:], piece):
            found[-1] = f"{found[-1]} {piece}"
        elif piece.strip():
            found += _cut_up(piece.strip())
    return found


def _cut_up(text: str) -> Iterator[str]:
    """A text in pieces of at most MAX_SENTENCE characters, between words where there are any."""
    start = 0
    while len(text) - start > MAX_SENTENCE:
        end = start + len(_whole_words(text[start : start + MAX_SENTENCE]))
        yield text[start:end].strip()
        start = end
    yield text[start:].strip()


def clip(text: str, limit: int = MAX_QUOTE) -> str:
    """The text if it has at most `limit` characters, else its beginning up to a whole word, and an
    ellipsis."""
    return text if len(text) <= limit else _whole_words(text[: limit - 1]).rstrip(" ,;:|\t") + "…"


def _whole_words(text: str) -> str:
    """The text without a word that may be cut at its end; as it is if that would take more than half."""
    end = max(text.rfind(mark) for mark in " ,;|\t")
    return text[: end + 1] if end >= len(text) // 2 else text


def _goes_on(before: str, after: str) -> bool:
    """Whether the full stop between the two belongs to an abbreviation, or to a date such as `12. März`."""
    if _ABBREVIATION.search(before):
        return True
    return bool(_ORDINAL.search(before) and _MONTH.match(after))


def plain(text: str) -> str:
    """Text without inline markup: links by their words, emphasis and code without marks."""
    return " ".join(_MARKUP.sub(lambda match: match[1] or match[2] or "", text).split())
