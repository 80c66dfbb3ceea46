"""Compare-and-set against a model: any sequence of transactions does what plain dictionaries say."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_common.errors import InvalidArgument
from pentad_context.model import (
    MOST_VALUE_BYTES,
    Address,
    Compare,
    Condition,
    Delete,
    Entry,
    Get,
    Op,
    Outcome,
    Put,
    Reducer,
    Transaction,
)
from pentad_context.transaction import Moment, evaluate

START = datetime(2026, 1, 1, tzinfo=UTC)
ADDRESSES = st.sampled_from([Address("tenant", "", key) for key in "abc"])
OPS = (
    st.builds(Put, ADDRESSES, st.just(""), st.sampled_from([b"1", b"2"]))
    | st.builds(Put, ADDRESSES, st.just(""), st.just(b"3"), st.just(timedelta(seconds=5)))
    | st.builds(Delete, ADDRESSES)
    | st.builds(Get, ADDRESSES)
)
COMPARES = (
    st.builds(Compare, ADDRESSES, st.just(Condition.REVISION), st.integers(0, 6))
    | st.builds(Compare, ADDRESSES, st.just(Condition.VERSION), st.integers(0, 3))
    | st.builds(Compare, ADDRESSES, st.just(Condition.DATA), st.sampled_from([b"1", b"2"]))
    | st.builds(Compare, ADDRESSES, st.just(Condition.EXISTS), st.booleans())
)


def branch(most: int) -> st.SearchStrategy[tuple[Op, ...]]:
    """Ops that write no address twice."""
    return st.lists(OPS, max_size=most, unique_by=lambda op: op.address).map(tuple)


TRANSACTIONS = st.builds(Transaction, st.lists(COMPARES, max_size=2).map(tuple), branch(3), branch(2))


@dataclass
class State:
    """Entries as a store would keep them, and all changes ever made."""

    entries: dict[Address, Entry] = field(default_factory=dict)
    changes: list[Entry] = field(default_factory=list)
    revision: int = 0
    now: datetime = START

    def do(self, transaction: Transaction) -> Outcome:
        """Runs a transaction and stores what it did."""
        outcome = evaluate(transaction, self.entries, Moment(self.revision, self.now, "w"))
        for change in outcome.changes:
            self.changes.append(change)
            if change.deleted:
                self.entries.pop(change.address, None)
            else:
                self.entries[change.address] = change
        self.revision = outcome.revision
        return outcome

    def live(self, address: Address) -> Entry | None:
        """What a reader sees."""
        entry = self.entries.get(address)
        return None if entry is None or entry.expired(self.now) else entry


def expected(state: State, compare: Compare) -> bool:
    """Whether a compare should hold, said another way."""
    entry = state.live(compare.address)
    seen = {
        Condition.REVISION: entry.revision if entry else 0,
        Condition.VERSION: entry.version if entry else 0,
        Condition.DATA: entry.data if entry else None,
        Condition.EXISTS: entry is not None,
    }
    return seen[compare.condition] == compare.value


@given(st.lists(st.tuples(TRANSACTIONS, st.integers(0, 4)), max_size=12))
def test_any_history(steps: list[tuple[Transaction, int]]) -> None:
    """The right branch runs, readers see its writes, revisions grow by what was written, versions count."""
    state = State()
    for transaction, seconds in steps:
        state.now += timedelta(seconds=seconds)
        before = state.revision
        holds = all(expected(state, item) for item in transaction.compares)
        seen = {
            address: state.live(address) for address in map(lambda key: Address("tenant", "", key), "abc")
        }
        outcome = state.do(transaction)
        ops = transaction.then if holds else transaction.otherwise
        assert outcome.succeeded is holds
        assert len(outcome.results) == len(ops)
        check_ops(ops, outcome, seen, state)
        wrote = any(isinstance(op, Put) or (isinstance(op, Delete) and seen[op.address]) for op in ops)
        assert outcome.revision - before in ((1, 2) if wrote else (0, 1))
    check_histories(state)


def check_ops(ops: tuple[Op, ...], outcome: Outcome, seen: dict[Address, Entry | None], state: State) -> None:
    """Results are the entries read or written."""
    for op, result in zip(ops, outcome.results, strict=True):
        before = seen[op.address]
        if isinstance(op, Get):
            assert result == before
        elif isinstance(op, Delete):
            assert (result is not None and result.deleted) == (before is not None)
            assert state.live(op.address) is None
        else:
            assert result is not None and result.data == op.data
            assert state.live(op.address) == result
            assert result.version == (before.version + 1 if before else 1)
            assert result.create_revision == (before.create_revision if before else result.revision)


def check_histories(state: State) -> None:
    """Each key's changes alternate between lives that begin with version 1 and end with a removal."""
    assert [item.revision for item in state.changes] == sorted(item.revision for item in state.changes)
    for address in {item.address for item in state.changes}:
        version = 0
        for change in (item for item in state.changes if item.address == address):
            assert change.version == version + 1
            version = 0 if change.deleted else change.version


def test_expired_entry_ends_first() -> None:
    """Writing where an entry has expired shows its end at a revision of its own, and begins at version 1."""
    state, address = State(), Address("tenant", "", "a")
    state.do(Transaction(then=(Put(address, "", b"1", timedelta(seconds=1)),)))
    state.now += timedelta(seconds=1)
    outcome = state.do(Transaction(then=(Put(address, "", b"2"),)))
    shown = [(item.revision, item.deleted, item.version) for item in outcome.changes]
    assert shown == [(2, True, 2), (3, False, 1)]
    assert outcome.revision == 3


def test_reducer_result_has_a_bound_too() -> None:
    """A list cannot grow beyond what a value may have."""
    state, address = State(), Address("tenant", "", "a")
    half = b'"' + b"x" * (MOST_VALUE_BYTES // 2) + b'"'
    state.do(Transaction(then=(Put(address, "", half, reducer=Reducer.APPEND),)))
    with pytest.raises(InvalidArgument) as caught:
        state.do(Transaction(then=(Put(address, "", half, reducer=Reducer.APPEND),)))
    assert caught.value.reason == "VALUE_TOO_LARGE"
