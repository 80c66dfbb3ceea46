"""Topic patterns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_bus.topics import TopicTrie, check_pattern, check_topic
from pentad_common.errors import InvalidArgument

TOKEN = st.sampled_from(["a", "b", "cc"])
TOPIC = st.lists(TOKEN, min_size=1, max_size=5).map(".".join)
PATTERN = st.builds(
    lambda tokens, rest: ".".join([*tokens, *([">"] if rest else [])]),
    st.lists(TOKEN | st.just("*"), min_size=1, max_size=4),
    st.booleans(),
)


def matches(pattern: str, topic: str) -> bool:
    """The rule, said plainly."""
    wanted, found = pattern.split("."), topic.split(".")
    if wanted[-1] == ">":
        return len(found) >= len(wanted) and all(
            w in ("*", f) for w, f in zip(wanted[:-1], found, strict=False)
        )
    return len(found) == len(wanted) and all(w in ("*", f) for w, f in zip(wanted, found, strict=True))


@given(st.lists(PATTERN, max_size=20), TOPIC)
def test_match_is_what_the_rule_says(patterns: list[str], topic: str) -> None:
    """A topic reaches exactly the patterns that match it, each as often as it was added."""
    trie: TopicTrie[int] = TopicTrie()
    for number, pattern in enumerate(patterns):
        trie.add(pattern, number)
    assert sorted(trie.match(topic)) == [n for n, pattern in enumerate(patterns) if matches(pattern, topic)]


@given(st.lists(PATTERN, max_size=20), TOPIC, st.data())
def test_what_was_removed_is_not_reached(patterns: list[str], topic: str, data: st.DataObject) -> None:
    """Removing gives the same as never having added, whatever the order."""
    trie: TopicTrie[int] = TopicTrie()
    for number, pattern in enumerate(patterns):
        trie.add(pattern, number)
    gone = set(data.draw(st.lists(st.sampled_from(range(len(patterns))), unique=True))) if patterns else set()
    for number in gone:
        assert trie.remove(patterns[number], number)
        assert not trie.remove(patterns[number], number)
    left = [n for n, pattern in enumerate(patterns) if n not in gone and matches(pattern, topic)]
    assert sorted(trie.match(topic)) == left
    assert len(trie) == len(patterns) - len(gone)


@pytest.mark.parametrize("pattern", ["orders.*", "orders.>", ">", "*", "a.*.c.>", "orders.eu-1.x_y"])
def test_good_patterns(pattern: str) -> None:
    """Wildcards stand alone, `>` at the end."""
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", ["", ".", "a..b", "a.", ">.a", "a*", "a.b>", "a b", "a.\tb", "x" * 256])
def test_bad_patterns_say_why(pattern: str) -> None:
    """What cannot be subscribed to is refused with a reason."""
    with pytest.raises(InvalidArgument) as caught:
        check_pattern(pattern)
    assert caught.value.reason == "PATTERN_INVALID"


@pytest.mark.parametrize("topic", ["a.*", "a.>", "", "a..b", "a b"])
def test_a_message_topic_has_no_wildcards(topic: str) -> None:
    """A message goes to one topic, and not to a pattern."""
    with pytest.raises(InvalidArgument) as caught:
        check_topic(topic)
    assert caught.value.reason == "TOPIC_INVALID"
