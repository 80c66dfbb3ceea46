"""Whether a text says more than its source: numbers, names and words that the source does not have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pentad_agents.prose.sentences import split
from pentad_agents.prose.words import content_words, is_close, names, numbers, tokens

MIN_WORDS = 0.9  # share of a sentence's words that a strict source must have
MIN_PAIRS = 0.6  # share of its neighbouring words that must be neighbours there, too


@dataclass(frozen=True, slots=True)
class Source:
    """What may be said: the numbers and words of some texts, and which of them stand side by side."""

    numbers: frozenset[float]
    words: frozenset[str]
    pairs: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Source:
        """The source that the texts make together."""
        known: set[float] = set()
        words: set[str] = set()
        pairs: set[tuple[str, str]] = set()
        for text in texts:
            known.update(abs(value) for value in numbers(text))
            words.update(content_words(text))
            pairs.update(pairwise(tokens(text)))
        return cls(frozenset(known), frozenset(words), frozenset(pairs))

    def faults(self, sentence: str, strict: bool = True) -> list[str]:
        """What the sentence says and the source does not; empty if it is covered.

        `strict`, for writers who mix things up: each number must stand before the same word as in the source,
        and nearly all words must come from it, most of them side by side as there.
        """
        strange = [
            f"number {value:g}" for value in numbers(sentence) if not is_close(abs(value), self.numbers)
        ]
        strange += [f"name {name}" for name in names(sentence) if not self._has(name)]
        return strange + (self._mixed_up(tokens(sentence), content_words(sentence)) if strict else [])

    def _mixed_up(self, said: Sequence[str], words: Sequence[str]) -> list[str]:
        strange = [
            f"number {number} before {word!r}"
            for number, word in pairwise(said)
            if number[0].isdigit() and (number, word) not in self.pairs
        ]
        if sum(word in self.words for word in words) < len(words) * MIN_WORDS:
            strange.append("words that the source does not use")
        beside = list(pairwise(said))
        if sum(pair in self.pairs for pair in beside) < len(beside) * MIN_PAIRS:
            strange.append("an order of words that the source does not have")
        return strange

    def _has(self, name: str) -> bool:
        return all(word in self.words for word in content_words(name))


def keep_grounded(text: str, source: Source, strict: bool = True) -> tuple[str, list[str]]:
    """The sentences of `text` that the source covers, and the ones it does not."""
    kept: list[str] = []
    dropped: list[str] = []
    for sentence in split(" ".join(text.split())):
        (dropped if source.faults(sentence, strict) or not content_words(sentence) else kept).append(sentence)
    return " ".join(kept), dropped
