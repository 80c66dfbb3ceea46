"""The journal's log: segments are read as they were written, and many become one without a difference."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pentad_bus.entry import Attempt
from pentad_bus.store.archive import merged
from pentad_bus.store.journal import Changes, EntryKey
from pentad_bus.store.log import decode, encode

INBOXES = 3
PAST = st.lists(
    st.tuples(st.integers(1, 5), st.just("b/one"), st.just(1.5), st.just("NACKED"), st.text()), max_size=2
)
DUE = st.sampled_from([0.0, 1_700_000_000.25])


@dataclass
class Tables:
    """What the tables hold, changed by one segment at a time in the plainest way."""

    messages: list[int] = field(default_factory=list)
    entries: dict[EntryKey, tuple[str, str, float, int, list[Attempt]]] = field(default_factory=dict)

    def apply(self, changes: Changes) -> None:
        gone = set(changes.removed)
        self.entries = {key: value for key, value in self.entries.items() if key[1] not in gone}
        self.messages += [row[0] for row in changes.messages]
        for seq, inbox, tenant, pattern, due in changes.entries:
            self.entries[seq, inbox] = (tenant, pattern, due, 0, [])
        for attempts, due, seq, inbox, history in changes.retried:
            if (seq, inbox) in self.entries:
                self.entries[seq, inbox] = (*self.entries[seq, inbox][:2], due, attempts, history)
        for key in changes.settled:
            self.entries.pop(key, None)


@st.composite
def histories(draw: st.DrawFn) -> list[Changes]:
    """Segments as a bus may write them: every seq once; what is settled or retried came before."""
    segments, seq = [], 0
    for _ in range(draw(st.integers(1, 12))):
        changes = Changes()
        for _ in range(draw(st.integers(0, 4))):
            seq += 1
            tenant = draw(st.sampled_from(["t1", "t2"]))
            changes.messages.append((seq, "", tenant, draw(st.binary(max_size=20))))
            for inbox in draw(st.sets(st.integers(1, INBOXES))):
                changes.entries.append((seq, inbox, tenant, draw(st.sampled_from(["", "a.*"])), draw(DUE)))
        if seq:
            keys = st.tuples(st.integers(1, seq), st.integers(1, INBOXES))
            for known, inbox in draw(st.lists(keys, max_size=2)):
                changes.retried.append((draw(st.integers(1, 5)), draw(DUE), known, inbox, draw(PAST)))
            changes.settled += draw(st.lists(keys, max_size=4))
        changes.removed += draw(st.lists(st.integers(1, INBOXES), max_size=1))
        segments.append(changes)
    return segments


@settings(deadline=None)  # other programs may have the machine
@given(histories())
def test_a_segment_is_read_as_it_was_written(segments: list[Changes]) -> None:
    """All that goes through the log, in order."""
    assert [decode(encode(changes)) for changes in segments] == segments


@settings(deadline=None)  # other programs may have the machine
@given(histories(), st.data())
def test_segments_together_do_what_they_do_one_by_one(segments: list[Changes], data: st.DataObject) -> None:
    """However the log is cut into pieces, and whatever comes and goes within one."""
    plain, archived = Tables(), Tables()
    for changes in segments:
        plain.apply(changes)
    while segments:
        count = data.draw(st.integers(1, len(segments)))
        piece, segments = segments[:count], segments[count:]
        whole = merged(piece)
        archived.apply(Changes(removed=whole.removed))
        archived.messages += [row[0] for row in whole.messages]
        for seq, inbox, tenant, pattern, due, attempts, history in whole.rows():
            archived.entries[seq, inbox] = (tenant, pattern, due, attempts, history)
        archived.apply(Changes(retried=whole.retried, settled=whole.settled))
    assert archived == plain


def test_a_later_format_is_refused() -> None:
    """Rather than read as something else."""
    with pytest.raises(ValueError, match="format 9"):
        decode(b"\x09" + encode(Changes(settled=[(1, 1)]))[1:])
