"""Which sentences of a text matter: an extractive summary, the same for the same text.

Sentences near the text's centre (the weighted words that run through it, as in MEAD: Radev et al., 2004) are
taken one by one, each the less the more it repeats those taken (maximal marginal relevance: Carbonell and
Goldstein, 1998).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from pentad_agents.prose.sentences import Sentence
from pentad_agents.prose.words import content_words, numbers

MAX_SENTENCES = 4000
SHORT, LONG = 5, 45  # words
REPEATS = 0.6


def summarize(sentences: Sequence[Sentence], count: int, question: str = "") -> list[Sentence]:
    """The `count` sentences that say most of the text, and of what the question asks for, in order of the
    text."""
    pool = sentences[:MAX_SENTENCES]
    words = [Counter(content_words(f"{sentence.text}")) for sentence in pool]
    weights = _weights(words)
    asked, titles = set(content_words(question)), [set(content_words(one.section)) for one in pool]
    scores = [
        _score(sentence, bag, weights, asked, title, len(pool))
        for sentence, bag, title in zip(pool, words, titles, strict=True)
    ]
    taken: list[int] = []
    left = {index for index in _first_of_each(words, scores) if scores[index] > 0}
    while left and len(taken) < count:
        best = max(left, key=lambda index: (scores[index] * _novelty(words, taken, index, weights), -index))
        left.discard(best)
        taken.append(best)
    return [pool[index] for index in sorted(taken)]


def _first_of_each(words: Sequence[Counter[str]], scores: Sequence[float]) -> Iterable[int]:
    """Of sentences with the same words the one with the highest score, the first of them."""
    best: dict[frozenset[tuple[str, int]], int] = {}
    for index, bag in enumerate(words):
        other = best.setdefault(frozenset(bag.items()), index)
        if scores[index] > scores[other]:
            best[frozenset(bag.items())] = index
    return best.values()


def _weights(words: Sequence[Counter[str]]) -> dict[str, float]:
    """How much a word says about this text: often in it, but not in every sentence."""
    everywhere = Counter(word for bag in words for word in bag)
    total = len(words)
    return {
        word: math.log1p(count) * math.log(1 + total / count) if count > 1 else 0.3 * math.log(1 + total)
        for word, count in everywhere.items()
    }


def _score(
    sentence: Sentence,
    bag: Counter[str],
    weights: dict[str, float],
    asked: set[str],
    title: set[str],
    total: int,
) -> float:
    length = len(sentence.text.split())
    if not bag or length < 3:
        return 0.0
    score = sum(weights[word] for word in bag) / math.sqrt(len(bag) + 3)
    score *= 1 + 0.5 * len(asked & bag.keys()) + 0.1 * len(title & bag.keys())
    score *= 1.15 if sentence.lead else 1.0
    score *= 1.2 if sentence.position < max(3, total * 0.05) else 1.0
    score *= 1.15 if numbers(sentence.text) else 1.0
    score *= 0.4 if length < SHORT else 0.7 if length > LONG else 1.0
    return score * (0.5 if sentence.text.endswith("?") else 1.0)


def _novelty(
    words: Sequence[Counter[str]], taken: Sequence[int], index: int, weights: dict[str, float]
) -> float:
    """1 for a sentence unlike those taken, less the more it repeats one of them."""
    mine = words[index]
    whole = sum(weights[word] for word in mine) or 1.0
    shared = [sum(weights[word] for word in mine if word in words[other]) / whole for other in taken]
    return 1 - REPEATS * max(shared, default=0.0)
