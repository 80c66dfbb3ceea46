"""Topic patterns: tokens joined by dots, `*` for one token, `>` at the end for one or more."""

from __future__ import annotations

from typing import Generic, TypeVar

from pentad_common.errors import InvalidArgument

MOST_TOKENS = 32

T = TypeVar("T")


def check_topic(topic: str) -> str:
    """The topic itself. Raises InvalidArgument TOPIC_INVALID unless a message may have it."""
    if "*" in topic or ">" in topic or not _well_formed(topic):
        raise InvalidArgument(
            "TOPIC_INVALID",
            f"{topic!r} is not a topic: 1 to {MOST_TOKENS} tokens joined by dots, without wildcards or "
            "spaces",
            topic=topic,
            violations=[("message.topic", "tokens joined by dots, no wildcards")],
        )
    return topic


def check_pattern(pattern: str) -> str:
    """The pattern itself. Raises InvalidArgument PATTERN_INVALID unless one can subscribe to it."""
    tokens = pattern.split(".")
    misplaced = (
        any(len(token) > 1 and ("*" in token or ">" in token) for token in tokens) or ">" in tokens[:-1]
    )
    if misplaced or not _well_formed(pattern):
        raise InvalidArgument(
            "PATTERN_INVALID",
            f"{pattern!r} is not a topic pattern: tokens joined by dots, `*` alone for one token, `>` alone "
            "at the end",
            pattern=pattern,
            violations=[("subscribe.pattern", "tokens joined by dots; `*` and `>` stand alone, `>` last")],
        )
    return pattern


def _well_formed(text: str) -> bool:
    tokens = text.split(".")
    return len(text) <= 255 and len(tokens) <= MOST_TOKENS and all(tokens) and not any(c <= " " for c in text)


class TopicTrie(Generic[T]):
    """Which subscribers a topic reaches, by a walk of its tokens: what else is subscribed costs nothing."""

    __slots__ = ("_root", "_size")

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, pattern: str, subscriber: T) -> None:
        """Adds a subscriber to a pattern."""
        node = self._root
        for token in pattern.split("."):
            node = node.children.setdefault(token, _Node())
        node.subscribers.append(subscriber)
        self._size += 1

    def remove(self, pattern: str, subscriber: T) -> bool:
        """Takes a subscriber off a pattern; False if it was not on it."""
        path = [self._root]
        tokens = pattern.split(".")
        for token in tokens:
            if token not in path[-1].children:
                return False
            path.append(path[-1].children[token])
        if subscriber not in path[-1].subscribers:
            return False
        path[-1].subscribers.remove(subscriber)
        self._size -= 1
        for node, parent, token in zip(reversed(path), reversed(path[:-1]), reversed(tokens), strict=False):
            if node.subscribers or node.children:
                break
            del parent.children[token]
        return True

    def match(self, topic: str) -> list[T]:
        """The subscribers of every pattern that the topic matches."""
        found: list[T] = []
        self._root.collect(topic.split("."), 0, found)
        return found


class _Node(Generic[T]):
    __slots__ = ("children", "subscribers")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.subscribers: list[T] = []

    def collect(self, tokens: list[str], depth: int, found: list[T]) -> None:
        if depth == len(tokens):
            found += self.subscribers
            return
        children = self.children
        if rest := children.get(">"):
            found += rest.subscribers
        for key in (tokens[depth], "*"):
            if child := children.get(key):
                child.collect(tokens, depth + 1, found)
