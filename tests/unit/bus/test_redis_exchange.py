"""What an exchange with Redis says and what it makes of the answers, without a Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.dedup import DedupWindow
from pentad_bus.inbox import Inbox
from pentad_bus.limits import Limits
from pentad_bus.message_types import MessageTypes
from pentad_bus.redis.chunks import HANDED, Chunk, RemoteEntry, bodies, entries, head
from pentad_bus.redis.drafts import Draft, Frame, write_draft
from pentad_bus.redis.publishing import MOST_IN_CHUNK, Publishing
from pentad_bus.redis.settled import Blobs, Names, Settled
from pentad_bus.tenant import Tenant
from pentad_common.errors import PentadError

LIMITS = Limits(tenant_messages_per_second=10, tenant_queued_bytes=10_000)


def tenant(*names: str) -> Tenant:
    made = Tenant("t", DedupWindow(0, 1))
    for number, name in enumerate(names, 1):
        made.add(Inbox(number, "t", name, LIMITS), [])
    return made


def draft(recipient: str, message_id: str, **fields: Any) -> Draft:
    body = Message(id=message_id, recipient=recipient, **fields).SerializeToString()
    return write_draft(body, "a", 1000.0, b"", LIMITS, MessageTypes())


class Told:
    """A frame, and what it was told."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self.refused: dict[str, str] = {}
        self.repeated: list[str] = []
        self.done = False
        self.frame = Frame(list(drafts), self._told, lambda _draft, _settled: None, self._done)

    def _told(self, draft: Draft, error: PentadError | None, duplicate: bool) -> None:
        if error is not None:
            self.refused[draft.id] = error.reason
        if duplicate:
            self.repeated.append(draft.id)

    def _done(self) -> None:
        self.done = True


def written(publishing: Publishing, said: Settled | None = None) -> tuple[dict[str, Any], list[str]]:
    names = Names()
    return publishing.write(Settled() if said is None else said, names, Blobs()), names.list


def chunk_of(count: int, *, part: str = "") -> tuple[Chunk, list[RemoteEntry]]:
    chunk = Chunk(Inbox(1, "t", "b", LIMITS), 1, f"100-{count}", False, "", part)
    data = b"".join(head(2, n, 5.0, 0.0) + b"%02d" % n for n in range(count))
    return chunk, list(entries(chunk, "e", data))


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20), st.data())
def test_records_come_out_as_they_went_in(texts: list[bytes], data: st.DataObject) -> None:
    """In order, each with its place; what is settled of a chunk is left out."""
    part = data.draw(st.text("01", min_size=len(texts), max_size=len(texts)))
    blob = b"".join(head(len(text), n, 7.0, 9.0) + text for n, text in enumerate(texts))
    assert list(bodies(blob)) == list(enumerate(texts))
    chunk = Chunk(Inbox(1, "t", "b", LIMITS), 2, f"50-{len(texts)}", True, "p", part)
    found = list(entries(chunk, "e", blob))
    wanted = [(50 + n, text) for n, text in enumerate(texts) if part[n] == "0"]
    assert [(entry.seq, entry.body) for entry in found] == wanted
    assert all((entry.created, entry.expires, entry.level) == (7.0, 9.0, 2) for entry in found)


def test_a_message_that_is_given_back_keeps_its_history() -> None:
    """Attempts and what was said of them are in the record, under the message's own seq."""
    _, found = chunk_of(3)
    entry = found[1]
    entry.attempts = 2
    entry.note("b/one", 8.0, "NACKED", "busy")
    again = Chunk(entry.inbox, 1, f"{entry.seq}-1", True, "", "")
    [back] = entries(again, "e", entry.record())
    assert (back.seq, back.attempts, back.history) == (101, 2, [(2, "b/one", 8.0, "NACKED", "busy")])


def test_a_chunk_is_acked_in_parts_and_then_whole() -> None:
    """A part as a text, with the counts of this exchange alone; the last one as its id."""
    chunk, found = chunk_of(4)
    first, names = Settled(), Names()
    first.settle(found[0])
    first.settle(found[2])
    [row] = first.write(names, Blobs())["ack"]
    assert row == [1, 1, [], [], [["100-4", "1010"]], 2, 2, 4, [], 0]
    later = Settled()
    later.settle(found[1])
    later.give_back(found[3], 0.0)
    assert first.write(names, Blobs())["ack"] == [row], "what is said again says the same"
    first.told()
    asked = later.write(Names(), Blobs())
    assert asked["ack"] == [[1, 1, ["100-4"], [], [], 2, 1, 2, [], 1]]
    assert [item[2] for item in asked["ret"]] == ["103-1"]
    assert chunk.done == b"1010"


def test_what_goes_the_same_way_is_one_chunk() -> None:
    """By inbox and level, up to its bound; what has a time of its own is alone."""
    made = tenant("b", "c")
    drafts = [draft("b", f"b{n}") for n in range(MOST_IN_CHUNK + 1)] + [draft("c", "c0"), draft("b", "b-1")]
    late = draft("b", "late")
    late.due = 2000.0
    ask, names = written(Publishing([Told([*drafts, late]).frame], made, LIMITS))
    assert [row[1] for row in ask["pub"]] == [MOST_IN_CHUNK, 2, 1, 1]
    assert names == ["b", "c"]
    assert [row[:2] for row in ask["into"]] == [[1, MOST_IN_CHUNK + 3], [2, 1]]
    assert len(ask["ids"]) == MOST_IN_CHUNK + 4


def test_what_redis_refuses_is_refused_one_by_one() -> None:
    """Known ids, a full inbox, too many a second: the others are asked for again, and taken."""
    made = tenant("b", "c")
    told = Told([draft("b", f"b{n}") for n in range(4)] + [draft("c", f"c{n}") for n in range(3)])
    publishing = Publishing([told.frame], made, LIMITS)
    _, names = written(publishing)
    publishing.resolve(
        {"known": [0], "full": [[1, 1, 0, 3, 10_000, -1]], "tokens": "3.5", "st": "conflict"}, names
    )
    ask, _ = written(publishing)
    assert ask["ids"] == ["b1", "b2", "c0"]
    assert [taken.id for taken in publishing.report({})] == ["b1", "b2", "c0"]
    assert told.repeated == ["b0"]
    assert told.refused == {
        "b3": "QUEUE_FULL",
        "c1": "RATE_QUOTA_EXCEEDED",
        "c2": "RATE_QUOTA_EXCEEDED",
    }
    assert told.done


def test_the_same_id_twice_is_stored_once() -> None:
    """Within one exchange the second is a duplicate, or shares the fate of the first."""
    made = tenant("b")
    told = Told([draft("b", "x"), draft("b", "x"), draft("nobody", "y")])
    publishing = Publishing([told.frame], made, LIMITS)
    ask, _ = written(publishing)
    assert (ask["ids"], ask["doubts"], ask["check"]) == (["x"], ["y"], True)
    publishing.report({"doubts": []})
    assert (told.repeated, told.refused) == (["x"], {"y": "RECIPIENT_UNKNOWN"})
    again = Told([draft("nobody", "y")])
    publishing = Publishing([again.frame], made, LIMITS)
    written(publishing)
    publishing.report({"doubts": [0]})
    assert (again.repeated, again.refused) == (["y"], {})


def test_a_delivery_is_settled_with_the_message_that_is_taken() -> None:
    """If that is refused, the delivery is not, and nothing of it is said."""
    made, said = tenant("b"), Settled()
    _, found = chunk_of(2)
    answer = draft("b", "answer")
    answer.settled = found[0]
    publishing = Publishing([Told([answer]).frame], made, LIMITS)
    _, names = written(publishing, said)
    assert said.write(Names(), Blobs())["ack"][0][4] == [["100-2", "10"]]
    publishing.resolve({"known": [0]}, names)
    written(publishing, said)
    assert said.write(Names(), Blobs())["ack"][0][4:8] == [[["100-2", "00"]], 0, 0, 0]


def test_what_an_agent_was_given_is_told_unless_it_is_settled() -> None:
    """A chunk of which something is with an agent says so beside what is settled, in one text."""
    chunk, found = chunk_of(3)
    said, names = Settled(), Names()
    chunk.done[0] = chunk.done[1] = HANDED
    said.hand_out([chunk])
    assert said.write(names, Blobs())["ack"] == [[1, 1, [], [], [["100-3", "220"]], 0, 0, 0, [], 0]]
    said.settle(found[0])
    assert said.write(names, Blobs())["ack"] == [[1, 1, [], [], [["100-3", "120"]], 1, 1, 2, [], 0]]
    said.told()
    assert chunk.done == b"120"
    later = Settled()
    later.settle(found[1])
    later.settle(found[2])
    assert later.write(Names(), Blobs())["ack"] == [[1, 1, ["100-3"], [], [], 2, 2, 4, [], 1]]
    later.told()
    late = Settled()
    late.hand_out([chunk])
    assert not late
