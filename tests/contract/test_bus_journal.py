"""The journal keeps its promises on every backend."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.policy import Policy
from pentad_bus.store.journal import Changes, DeadRow, HistoryFilter, InboxRow, MessageRow, Needed
from pentad_bus.store.sql import SqlJournal
from pentad_common.errors import StartupError

TENANT, OTHER = "tenant-one", "tenant-two"
START = 1_700_000_000.0
ALL = HistoryFilter()
FAILED = [(1, "b/one", START, "NACKED", "no"), (2, "b/two", START + 1, "CONNECTION_LOST", "")]


@pytest.fixture
def journal(database_url: str) -> Iterator[SqlJournal]:
    """A journal with nothing in it."""
    opened = SqlJournal(database_url)
    opened.open()
    yield opened
    opened.close()


def body(text: str, time: float = START, **fields: str) -> bytes:
    """A message from `a` to `b`, taken at `time`, unless told otherwise."""
    known = {"sender": "a", "type": "t"} | fields
    if "topic" not in known:
        known.setdefault("recipient", "b")
    message = Message(id=text, payload={"data": text.encode()}, **known)  # type: ignore[arg-type]
    message.create_time.FromMicroseconds(round(time * 1e6))
    return message.SerializeToString()


def messages(*seqs: int, tenant: str = TENANT, inbox: int | None = None, **fields: str) -> Changes:
    """Messages m<seq>, taken a second apart, one an entry of `inbox`."""
    rows: list[MessageRow] = [
        (seq, f"m{seq}", tenant, body(f"m{seq}", START + seq, **fields)) for seq in seqs
    ]
    entries = [(seq, inbox, tenant, "", 0.0) for seq in seqs] if inbox is not None else []
    return Changes(messages=rows, entries=entries)


def seqs(journal: SqlJournal, wanted: HistoryFilter = ALL, tenant: str = TENANT) -> list[int]:
    """The history, newest first: the same before and after all of the log is in the tables."""
    found = [row.seq for row in journal.history(tenant, wanted, before=None, limit=100).rows]
    journal.catch_up()
    assert [row.seq for row in journal.history(tenant, wanted, before=None, limit=100).rows] == found
    return found


def dead(name: str, recipient: str = "b", time: float = START) -> DeadRow:
    return DeadRow(name, TENANT, f"message of {name}", recipient, "EXPIRED", "detail", 2, body(name), time)


def test_an_empty_journal_recovers_nothing(journal: SqlJournal) -> None:
    """The first start."""
    found = journal.recover(0)
    assert (found.inboxes, found.waiting, found.recent) == ([], [], [])
    assert found.last_seq == 0
    assert journal.oldest_seq(TENANT) is None


def test_what_waits_is_recovered_as_it_was(journal: SqlJournal) -> None:
    """Inboxes with their subscriptions; entries in order, with attempts and due times; settled ones not."""
    inbox = InboxRow(7, TENANT, "b", [("orders.*", 'type == "x"')], Policy(5, 0, "drop_oldest"))
    changes = messages(1, 2, 3, 4, inbox=7)
    changes.inboxes.append(inbox)
    changes.entries[2] = (3, 7, TENANT, "orders.*", START + 60.5)
    journal.write(changes)
    journal.write(Changes(settled=[(1, 7), (99, 7)], retried=[(2, START + 30.25, 4, 7, FAILED)]))
    found = journal.recover(START + 3)
    assert found.inboxes == [inbox]
    seen = [(row.seq, row.inbox_id, row.subscription, row.attempts, row.due) for row in found.waiting]
    assert seen == [(2, 7, "", 0, 0.0), (3, 7, "orders.*", 0, START + 60.5), (4, 7, "", 2, START + 30.25)]
    assert [row.history for row in found.waiting] == [[], [], FAILED]
    first = found.waiting[0]
    assert (first.message_id, first.create_time, first.body) == ("m2", START + 2, body("m2", START + 2))
    assert found.recent == [(TENANT, "m3"), (TENANT, "m4")]
    assert found.last_seq == 4


def test_a_transaction_is_all_or_nothing(journal: SqlJournal) -> None:
    """A reply and the ack of what it answers are stored together, or neither is; the next transaction works
    again.
    """
    journal.write(messages(1, inbox=7))
    reply = messages(2, inbox=8)
    reply.settled.append((1, 7))
    reply.dead += [dead("d"), dead("d")]  # a repeated key makes it fail
    with pytest.raises(Exception, match=r"."):
        journal.write(reply)
    assert [row.seq for row in journal.recover(0).waiting] == [1]
    reply.dead.pop()
    journal.write(reply)
    assert [row.seq for row in journal.recover(0).waiting] == [2]


def taken_over(database_url: str) -> SqlJournal:
    """The next owner's journal, as soon as the database has noticed that the last one is gone."""
    until = time.monotonic() + 20
    while True:
        journal = SqlJournal(database_url)
        try:
            journal.open()
            return journal
        except StartupError:
            journal.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


STEPS = [
    messages(1, 2, 3, inbox=7),
    messages(4, tenant=OTHER, inbox=8),
    Changes(settled=[(1, 7)], retried=[(2, START + 9.5, 2, 7, [])]),
    messages(5, 6, inbox=9),
    Changes(settled=[(4, 8), (2, 7)], dead=[dead("d")]),
    Changes(removed=[9]),
    messages(7, inbox=7),
    Changes(settled=[(3, 7)], retried=[(3, 0.0, 7, 7, [(2, "b/one", START + 8.5, "NACKED", "no")])]),
]
LEFT = [
    {1, 2, 3},
    {1, 2, 3, 4},
    {2, 3, 4},
    {2, 3, 4, 5, 6},
    {3, 5, 6},
    {3},
    {3, 7},
    {7},
]
"""Seqs that wait after each step."""


@pytest.mark.parametrize("archived", range(len(STEPS) + 1))
def test_it_may_end_at_any_point(journal: SqlJournal, database_url: str, archived: int) -> None:
    """After any step, with any part of the log in the tables: the next owner finds what was stored."""
    for step, (changes, left) in enumerate(zip(STEPS, LEFT, strict=True), 1):
        journal.write(changes)
        if step <= archived:
            journal.archive(1)
        journal.close()  # as a process that dies: whatever was not written is lost
        journal = taken_over(database_url)
        if step > archived:
            assert {row.seq for row in journal.recover(0).waiting} == left
    found = journal.recover(0)
    assert [(row.seq, row.attempts, row.due) for row in found.waiting] == [(7, 3, 0.0)]
    assert found.waiting[0].history == [(2, "b/one", START + 8.5, "NACKED", "no")]
    assert (found.last_seq, seqs(journal)) == (7, [7, 6, 5, 3, 2, 1])
    assert journal.dead_counts(TENANT) == {"b": 1}
    journal.close()


def test_the_log_is_archived_piece_by_piece(journal: SqlJournal) -> None:
    """The oldest first; readers see all of it all the same, and nothing twice."""
    for seq in range(1, 9):
        journal.write(messages(seq, inbox=7))
    assert journal.behind == 8
    assert [journal.archive(3), journal.archive(1)] == [5, 4]
    assert seqs(journal) == list(range(8, 0, -1))
    assert (journal.behind, journal.archive(100)) == (0, 0)
    assert [row.seq for row in journal.recover(0).waiting] == list(range(1, 9))


def test_what_the_history_refuses_is_set_aside(journal: SqlJournal, database_url: str) -> None:
    """One message that has no place in the tables keeps no other out of them: it becomes a dead letter if it
    still waits, is kept as it came, and counted, after a restart too.
    """
    journal.write(Changes(inboxes=[InboxRow(7, TENANT, "b", [], Policy())]))
    journal.write(messages(1, 2, inbox=7))
    journal.archive(10)
    again = messages(2, 3, inbox=7)  # seq 2 is there already
    again.settled.append((1, 7))
    journal.write(again)
    journal.write(messages(4, inbox=7))
    while journal.archive(10):
        pass
    assert (journal.behind, journal.set_aside) == (0, 1)
    assert seqs(journal) == [4, 3, 2, 1]
    [letter] = journal.dead_letters(TENANT, "b", before=None, limit=10).rows
    assert (letter.reason, letter.message_id, letter.body) == ("UNSTORABLE", "m2", body("m2", START + 2))
    journal.check()
    journal.close()
    journal = taken_over(database_url)
    assert journal.set_aside == 1
    journal.write(messages(4, 5, inbox=7))
    journal.catch_up()
    assert [row.seq for row in journal.recover(0).waiting] == [2, 3, 4, 5]
    assert journal.set_aside == 2
    journal.close()


def test_a_segment_that_cannot_be_read_is_set_aside(journal: SqlJournal) -> None:
    """What comes behind it is taken over."""
    journal.write(messages(1, inbox=7))
    with journal._transaction() as cursor:
        cursor.execute("UPDATE log_segments SET body = " + ("x'00'" if journal._sqlite else "'\\x00'::bytea"))
    journal.write(messages(2, inbox=7))
    assert journal.archive(10) == 1
    assert (journal.archive(10), journal.set_aside, seqs(journal)) == (0, 1, [2])


def test_what_is_written_at_once_is_as_safe(journal: SqlJournal, database_url: str) -> None:
    """Where it can be; where it cannot, nothing is stored."""
    stored = journal.at_once_bytes > 0 and journal.write_at_once(messages(1, inbox=7))
    if not stored:
        journal.write(messages(1, inbox=7))
    journal.close()
    again = taken_over(database_url)
    assert [row.seq for row in again.recover(0).waiting] == [1]
    again.close()


def test_many_rows_at_once(journal: SqlJournal) -> None:
    """As many as a group commit may bring, whatever the sizes of the statements."""
    count = 3 * 256 + 2 * 32 + 5
    journal.write(messages(*range(1, count + 1), inbox=7))
    assert [row.seq for row in journal.recover(0).waiting] == list(range(1, count + 1))
    journal.write(Changes(settled=[(seq, 7) for seq in range(1, count)]))
    assert [row.seq for row in journal.recover(0).waiting] == [count]


def test_inboxes_are_replaced_and_removed(journal: SqlJournal) -> None:
    """A later row has the subscriptions; a removed inbox takes its entries along, and its name is
    free again.
    """
    first = InboxRow(1, TENANT, "b/one", [])
    journal.write(Changes(inboxes=[first]))
    journal.write(Changes(inboxes=[InboxRow(1, TENANT, "b/one", [("x", "")])]))
    assert journal.recover(0).inboxes == [InboxRow(1, TENANT, "b/one", [("x", "")])]
    journal.write(messages(1, inbox=1))
    again = InboxRow(2, TENANT, "b/one", [])
    journal.write(Changes(removed=[1], inboxes=[again, first]))
    found = journal.recover(0)
    assert (found.inboxes, found.waiting) == ([again], [])


def test_history_by_every_filter(journal: SqlJournal) -> None:
    """Each field narrows; all that are set must match; a tenant sees its own alone."""
    journal.write(messages(1, run_id="r1", type="x"))
    journal.write(messages(2, sender="c", recipient="d/one", correlation_id="c1"))
    journal.write(messages(3, recipient="d", run_id="r1"))
    journal.write(messages(4, recipient="dd"))
    journal.write(messages(5, tenant=OTHER, run_id="r1"))
    assert seqs(journal) == [4, 3, 2, 1]
    assert seqs(journal, tenant=OTHER) == [5]
    assert seqs(journal, HistoryFilter(run_id="r1")) == [3, 1]
    assert seqs(journal, HistoryFilter(type="x")) == [1]
    assert seqs(journal, HistoryFilter(correlation_id="c1")) == [2]
    assert seqs(journal, HistoryFilter(agent="d")) == [3, 2]
    assert seqs(journal, HistoryFilter(agent="c")) == [2]
    assert seqs(journal, HistoryFilter(agent="d", run_id="r1")) == [3]


def test_history_by_time(journal: SqlJournal) -> None:
    """From the start, without the end, also where seqs have gaps."""
    journal.write(messages(1, 2, 5, 6, 20))
    wanted = replace(ALL, start_time=START + 2, end_time=START + 6)
    assert seqs(journal, wanted) == [5, 2]
    assert seqs(journal, replace(ALL, start_time=START + 7)) == [20]
    assert seqs(journal, replace(ALL, end_time=START)) == []


def test_pages_and_tails(journal: SqlJournal) -> None:
    """Below a seq newest first, above one oldest first, within bounds."""
    journal.write(messages(*range(1, 10)))
    assert [row.seq for row in journal.history(TENANT, ALL, before=8, limit=3).rows] == [7, 6, 5]
    assert [row.seq for row in journal.after(TENANT, ALL, seq=3, upto=8, limit=4).rows] == [4, 5, 6, 7]
    assert [row.seq for row in journal.after(TENANT, ALL, seq=7, upto=8, limit=4).rows] == [8]


def test_pages_go_from_the_log_on_into_the_tables(journal: SqlJournal) -> None:
    """Wherever the border is, each message is on one page, and the last page says that it is."""
    for seq in range(1, 31):
        journal.write(messages(seq, tenant=OTHER if seq % 3 == 0 else TENANT))
    wanted = [seq for seq in range(30, 0, -1) if seq % 3]
    for archived in (7, 9, 14):
        journal.archive(archived)
        for size in (1, 3, 4, 5, 20):
            found: list[int] = []
            more, before = True, None
            while more:
                page = journal.history(TENANT, ALL, before=before, limit=size)
                assert len(page.rows) == min(size, 20 - len(found))
                found += [row.seq for row in page.rows]
                more, before = page.more, found[-1]
            assert found == wanted
    assert journal.behind == 0
    assert not journal.history("nobody", ALL, before=None, limit=5).more


def test_a_reader_of_the_oldest_takes_what_it_needs_from_the_log(journal: SqlJournal) -> None:
    """A page fills up as the log comes into the tables, and the rest of it stays; filtered, to the end."""
    for seq in range(1, 5001, 50):
        journal.write(messages(*range(seq, seq + 50), type="odd" if seq % 100 == 1 else "even"))
    page = journal.after(TENANT, ALL, seq=0, upto=5000, limit=10)
    assert ([row.seq for row in page.rows], page.more) == (list(range(1, 11)), True)
    assert journal.behind > 3000
    assert journal.keeps_all_after(TENANT, 4000)
    page = journal.after(TENANT, replace(ALL, type="even"), seq=970, upto=5000, limit=100)
    assert [row.seq for row in page.rows] == [*range(971, 1001), *range(1051, 1101), *range(1151, 1171)]
    assert (page.more, journal.behind > 2000) == (True, True)
    page = journal.after(TENANT, replace(ALL, type="odd"), seq=970, upto=4999, limit=10_000)
    assert (len(page.rows), page.more, page.rows[-1].seq, journal.behind) == (2000, False, 4950, 0)


def test_a_reader_of_the_newest_waits_for_no_archive(journal: SqlJournal) -> None:
    """However much is in the log still, it stays there; a page is of so many bytes there, too."""
    for seq in range(1, 2001, 100):
        journal.write(messages(*range(seq, seq + 100)))
    assert [row.seq for row in journal.history(TENANT, ALL, before=None, limit=3).rows] == [2000, 1999, 1998]
    page = journal.history(TENANT, replace(ALL, type="other"), before=None, limit=3)
    assert (list(page.rows), page.more, journal.behind) == ([], False, 2000)
    large = body("x" * 500_000)  # in the id, too
    journal.write(Changes(messages=[(seq, "", TENANT, large) for seq in range(2001, 2008)]))
    page = journal.history(TENANT, ALL, before=None, limit=1000)
    assert ([row.seq for row in page.rows], page.more) == ([2007, 2006, 2005], True)
    page = journal.history(TENANT, ALL, before=2005, limit=1000)
    assert ([row.seq for row in page.rows], page.more) == ([2004, 2003, 2002], True)
    assert journal.behind == 2007


def test_sweeping_by_age_and_number(journal: SqlJournal) -> None:
    """The oldest go, in small steps, but never what is still needed, nor the newest of all."""
    journal.write(messages(*range(1, 21)))
    assert journal.sweep(before=START + 6, keep=1000, needed=Needed(100), most=3).messages == 3
    assert journal.sweep(before=START + 6, keep=1000, needed=Needed(100), most=3).messages == 2
    assert journal.sweep(before=START + 6, keep=1000, needed=Needed(100), most=3).messages == 0
    assert journal.oldest_seq(TENANT) == 6
    assert journal.sweep(before=START, keep=10, needed=Needed(9), most=100).messages == 3
    assert journal.oldest_seq(TENANT) == 9
    assert journal.sweep(before=START + 1000, keep=0, needed=Needed(100), most=100).messages == 11
    assert seqs(journal) == [20]


def test_what_one_tenant_needs_holds_back_no_other(journal: SqlJournal) -> None:
    """It is stepped over; the other's messages go, those between included, and of its own those before."""
    journal.write(messages(1, 3, 5, 7, 9))
    journal.write(messages(2, 4, 6, 8, 10, tenant=OTHER))
    needed = Needed(100, {TENANT: 5})
    first = journal.sweep(before=START + 9, keep=1000, needed=needed, most=4)
    assert first[:1] + first[2:] == (4, 4, False)
    second = journal.sweep(before=START + 9, keep=1000, needed=needed, most=100, after=first.place)
    assert second[:1] + second[2:] == (2, 8, True)
    assert (seqs(journal), seqs(journal, tenant=OTHER)) == ([9, 7, 5], [10])
    assert (journal.oldest_seq(TENANT), journal.oldest_seq(OTHER)) == (5, 10)
    assert [journal.keeps_all_after(TENANT, seq) for seq in (3, 4, 5)] == [False, True, True]
    assert [journal.keeps_all_after(OTHER, seq) for seq in (4, 8, 9, 10)] == [False, False, True, True]
    size = len(body("m5"))
    freed = journal.sweep(before=START, keep=1000, needed=Needed(100), most=100, excess=2 * size)
    assert freed[:2] == (2, 2 * size)


def test_dead_letters(journal: SqlJournal) -> None:
    """Newest first, by pages and recipient; counted; removed when they are put back."""
    rows = [dead(f"d{n}", time=START + n // 2) for n in range(5)]
    journal.write(Changes(dead=[*rows, dead("e", recipient="c", time=START + 9)]))
    assert list(journal.dead_letters(TENANT, "b", before=None, limit=10).rows) == rows[::-1]
    page = journal.dead_letters(TENANT, "", before=None, limit=2).rows
    assert [row.id for row in page] == ["e", "d4"]
    rest = journal.dead_letters(TENANT, "", before=(page[1].dead_time, page[1].id), limit=10).rows
    assert [row.id for row in rest] == ["d3", "d2", "d1", "d0"]
    assert journal.dead_counts(TENANT) == {"b": 5, "c": 1}
    assert [row.id for row in journal.dead_by_id(TENANT, ["d1", "e", "unknown"])] == ["d1", "e"]
    assert list(journal.dead_by_id(OTHER, ["d1"])) == []
    journal.write(Changes(redriven=["d1", "e"]))
    assert journal.dead_counts(TENANT) == {"b": 4}


def test_one_process_at_a_time(journal: SqlJournal, database_url: str) -> None:
    """A second one is refused for as long as the first has it."""
    second = SqlJournal(database_url)
    with pytest.raises(StartupError, match="another bus process"):
        second.open()
    journal.close()
    second.open()
    second.close()


def test_the_history_is_kept_within_its_size(journal: SqlJournal) -> None:
    """The oldest go until enough bytes are free, and no more; what is needed and the newest stay."""
    journal.write(messages(*range(1, 11)))
    size = len(body("m1"))
    assert journal.history_size() == 9 * size + len(body("m10"))
    assert journal.sweep(before=START, keep=100, needed=Needed(100), most=100, excess=2 * size + 1)[:2] == (
        3,
        3 * size,
    )
    assert seqs(journal)[-1] == 4
    assert journal.sweep(before=START, keep=100, needed=Needed(5), most=100, excess=10**9)[:2] == (1, size)
    assert journal.sweep(before=START, keep=100, needed=Needed(100), most=100, excess=10**9).messages == 5
    assert seqs(journal) == [10]


def test_dead_letters_are_purged_and_swept(journal: SqlJournal) -> None:
    """By id, by inbox, all of a tenant; the oldest by age and by number."""
    letters = [dead(f"d{n}", "b" if n < 8 else "c", START + n) for n in range(10)]
    journal.write(Changes(dead=letters))
    assert journal.purge(OTHER, ["d0"], "") == 0
    assert journal.purge(TENANT, ["d0", "unknown"], "") == 1
    assert journal.purge(TENANT, [], "c") == 2
    assert journal.sweep_dead(START + 3, 100, 100) == 2
    assert journal.sweep_dead(START, 3, 100) == 2
    assert [row.id for row in journal.dead_letters(TENANT, "", before=None, limit=9).rows] == [
        "d7",
        "d6",
        "d5",
    ]
    assert journal.purge(TENANT, [], "") == 3
    assert journal.sweep_dead(START + 100, 0, 100) == 0


def test_a_dead_letter_keeps_its_history(journal: SqlJournal) -> None:
    """Each delivery that failed, as it was written down."""
    journal.write(Changes(dead=[dead("d")._replace(history=FAILED)]))
    assert journal.dead_by_id(TENANT, ["d"])[0].history == FAILED


def test_a_check_leaves_nothing_behind(journal: SqlJournal) -> None:
    """It writes and takes back."""
    journal.check()
    assert journal.recover(0).waiting == []
