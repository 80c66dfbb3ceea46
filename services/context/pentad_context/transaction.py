"""What a transaction does to entries: a pure function, the heart of compare-and-set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pentad_common.errors import InvalidArgument
from pentad_context.model import (
    MOST_VALUE_BYTES,
    Address,
    Compare,
    Condition,
    Delete,
    Entry,
    Op,
    Outcome,
    Put,
    Reducer,
    Transaction,
)
from pentad_context.reducers import reduce

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Moment:
    """When and by whom a transaction is done, and the tenant's revision before it."""

    revision: int
    now: datetime
    writer: str


def evaluate(transaction: Transaction, known: Mapping[Address, Entry], moment: Moment) -> Outcome:
    """What a transaction does, given the entries that it names (expired ones too, as long as they are
    stored).

    All writes have one revision, the next. An entry that has expired is removed first, at a revision of its
    own, so that histories and watches show its end. Raises FailedPrecondition REDUCER_MISMATCH,
    InvalidArgument VALUE_TOO_LARGE.
    """
    live = {address: entry for address, entry in known.items() if not entry.expired(moment.now)}
    failed = next((item for item in transaction.compares if not holds(item, live.get(item.address))), None)
    ops = transaction.then if failed is None else transaction.otherwise
    written = {op.address for op in ops if isinstance(op, Put | Delete)}
    ended = removals((known[a] for a in known if a in written and a not in live), moment)
    after_ended = moment.revision + (1 if ended else 0)
    results, changes = _apply(ops, live, replace(moment, revision=after_ended + 1))
    return Outcome(
        results=results,
        revision=after_ended + (1 if changes else 0),
        changes=(*ended, *changes),
        failed=failed,
        succeeded=failed is None,
    )


def _apply(
    ops: Iterable[Op], live: dict[Address, Entry], moment: Moment
) -> tuple[tuple[Entry | None, ...], tuple[Entry, ...]]:
    """The ops' results and changes, at the moment's revision; each op sees those before it."""
    results: list[Entry | None] = []
    changes: list[Entry] = []
    for op in ops:
        before = live.get(op.address)
        result = before
        if isinstance(op, Put):
            result = live[op.address] = _put(op, before, moment)
            changes.append(result)
        elif isinstance(op, Delete) and before is not None:
            del live[op.address]
            result = _removal(before, moment.revision, moment.now, moment.writer)
            changes.append(result)
        results.append(result)
    return tuple(results), tuple(changes)


def holds(compare: Compare, entry: Entry | None) -> bool:
    """Whether a condition holds for the entry at its address."""
    match compare.condition:
        case Condition.REVISION:
            return compare.value == (entry.revision if entry else 0)
        case Condition.VERSION:
            return compare.value == (entry.version if entry else 0)
        case Condition.EXISTS:
            return compare.value is (entry is not None)
        case Condition.DATA:
            return entry is not None and compare.value == entry.data


def _put(op: Put, before: Entry | None, moment: Moment) -> Entry:
    data = reduce(op.reducer, before.data if before else None, op.data)
    check_size(data)
    return Entry(
        address=op.address,
        content_type=op.content_type if op.reducer is Reducer.REPLACE else op.content_type or JSON,
        data=data,
        revision=moment.revision,
        create_revision=before.create_revision if before else moment.revision,
        version=before.version + 1 if before else 1,
        writer=moment.writer,
        update_time=moment.now,
        expire_time=moment.now + op.ttl if op.ttl else None,
    )


def check_size(data: bytes) -> None:
    """Raises InvalidArgument VALUE_TOO_LARGE."""
    if len(data) > MOST_VALUE_BYTES:
        raise InvalidArgument(
            "VALUE_TOO_LARGE",
            f"a value has at most {MOST_VALUE_BYTES} bytes, and this one would have {len(data)}",
            limit=MOST_VALUE_BYTES,
            size=len(data),
            violations=[("content.data", f"at most {MOST_VALUE_BYTES} bytes")],
        )


def too_large(why: str) -> InvalidArgument:
    """TRANSACTION_TOO_LARGE."""
    return InvalidArgument("TRANSACTION_TOO_LARGE", f"the transaction is too large: {why}; split it")


def removals(expired: Iterable[Entry], moment: Moment) -> tuple[Entry, ...]:
    """The ends of entries that have expired, all at the revision after the moment's; nobody wrote them."""
    return tuple(_removal(entry, moment.revision + 1, moment.now, "") for entry in expired)


def _removal(entry: Entry, revision: int, now: datetime, writer: str) -> Entry:
    return replace(
        entry,
        content_type="",
        data=b"",
        revision=revision,
        version=entry.version + 1,
        writer=writer,
        update_time=now,
        expire_time=None,
        deleted=True,
    )
