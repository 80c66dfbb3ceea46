"""Whether a text says more than its source: numbers, names and words that the source does not have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pentad_agents.prose.sentences import split
from pentad_agents.prose.words import content_words, is_close, names, numbers

MIN_SHARED = 0.6  # of a sentence's words


@dataclass(frozen=True, slots=True)
class Source:
    """What may be said: the numbers and words of some texts."""

    numbers: frozenset[float]
    words: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Source:
        """The source that the texts make together."""
        known: set[float] = set()
        words: set[str] = set()
        for text in texts:
            known.update(abs(value) for value in numbers(text))
            words.update(content_words(text))
        return cls(frozenset(known), frozenset(words))

    def faults(self, sentence: str, strict: bool = True) -> list[str]:
        """What the sentence says and the source does not; empty if it is covered. `strict`: by most words,
        too."""
        strange = [
            f"number {value:g}" for value in numbers(sentence) if not is_close(abs(value), self.numbers)
        ]
        strange += [f"name {name}" for name in names(sentence) if not self._has(name)]
        words = content_words(sentence)
        shared = sum(word in self.words for word in words)
        if strict and words and shared < len(words) * MIN_SHARED:
            strange.append("words that the source does not use")
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
