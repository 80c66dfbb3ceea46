"""The rules of shared context: who may do what, and what is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pentad_common.call import CallContext
from pentad_common.clock import utcnow
from pentad_common.cursor import decode_cursor, encode_cursor
from pentad_common.errors import Aborted, InvalidArgument, NotFound, OutOfRange
from pentad_context.addresses import check_access, check_address, check_prefix
from pentad_context.feed import Feed
from pentad_context.model import Address, Compare, Delete, Entry, Get, Op, Outcome, Put, Transaction
from pentad_context.store import ContextStore, Page, Request
from pentad_context.transaction import Moment, check_size, evaluate, too_large

LIST, HISTORY = "context-list", "context-history"
LONGEST_TTL = timedelta(days=36_500)
MOST_ANSWER_BYTES = 3 * 1024 * 1024
"""Of all entries in a transaction's answer, so that it fits a message of 4 MiB."""


@dataclass(frozen=True, slots=True)
class Repeatable:
    """Names a write of the caller, so that a repeat has no further effect; `fingerprint` is of what it
    asks.
    """

    request_id: str = ""
    fingerprint: str = ""


class Context:
    """Shared context of all tenants, in a store; what it writes is told to the feed."""

    def __init__(self, store: ContextStore, feed: Feed, clock: Callable[[], datetime] = utcnow) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock

    async def get(self, call: CallContext, address: Address, revision: int = 0) -> tuple[Entry, int]:
        """An entry, as it stands or as it was at a revision, and the tenant's revision.

        Raises NotFound KEY_NOT_FOUND, OutOfRange REVISION_COMPACTED or REVISION_IN_FUTURE.
        """
        address = check_address(address)
        check_access(call, address)
        if revision:
            return await self._get_at(call.tenant_id, address, revision)
        entry, current = await self._store.get(call.tenant_id, address)
        if entry is None or entry.expired(self._clock()):
            raise _not_found(address)
        return entry, current

    async def _get_at(self, tenant: str, address: Address, revision: int) -> tuple[Entry, int]:
        past = await self._store.get_at(tenant, address, revision)
        if revision > past.revision:
            raise OutOfRange(
                "REVISION_IN_FUTURE", f"the newest revision is {past.revision}", revision=past.revision
            )
        if past.compacted:
            raise OutOfRange(
                "REVISION_COMPACTED",
                f"what {address.key!r} was at revision {revision} is no longer kept",
                revision=revision,
            )
        if past.entry is None:
            raise _not_found(address)
        return past.entry, past.revision

    async def put(
        self, call: CallContext, op: Put, compare: Compare | None = None, repeat: Repeatable | None = None
    ) -> Entry:
        """Writes an entry and returns it. Raises Aborted REVISION_CONFLICT, InvalidArgument VALUE_TOO_LARGE,
        FailedPrecondition REDUCER_MISMATCH.
        """
        outcome = await self._one(call, op, compare, repeat)
        entry = outcome.results[0]
        assert entry is not None
        return entry

    async def delete(
        self, call: CallContext, address: Address, compare: Compare | None = None
    ) -> tuple[bool, int]:
        """Removes an entry; returns whether there was one, and the tenant's revision. Raises as `put`."""
        outcome = await self._one(call, Delete(address), compare, None)
        return outcome.results[0] is not None, outcome.revision

    async def _one(
        self, call: CallContext, op: Put | Delete, compare: Compare | None, repeat: Repeatable | None
    ) -> Outcome:
        compares = (compare,) if compare else ()
        return await self._do(call, Transaction(compares, (op,)), repeat, must_hold=True)

    async def transact(
        self, call: CallContext, transaction: Transaction, repeat: Repeatable | None = None
    ) -> Outcome:
        """Does one branch or the other, all of it or nothing. Raises as `put`, but for REVISION_CONFLICT;
        also InvalidArgument DUPLICATE_WRITE, TRANSACTION_TOO_LARGE, REQUEST_ID_REUSED.
        """
        return await self._do(call, transaction, repeat, must_hold=False)

    async def _do(
        self, call: CallContext, transaction: Transaction, repeat: Repeatable | None, *, must_hold: bool
    ) -> Outcome:
        transaction = _checked(call, transaction)
        writer = call.agent or f"key:{call.key_id}"

        def step(known: Mapping[Address, Entry], revision: int) -> Outcome:
            outcome = evaluate(transaction, known, Moment(revision, self._clock(), writer))
            if must_hold and outcome.failed:
                raise _conflict(outcome.failed.address, known.get(outcome.failed.address))
            _check_answer(outcome)
            return outcome

        request = (
            Request(writer, repeat.request_id, repeat.fingerprint) if repeat and repeat.request_id else None
        )
        done = await self._store.transact(call.tenant_id, _addresses(transaction), step, request)
        if request and done.repeated not in (None, request.fingerprint):
            raise InvalidArgument(
                "REQUEST_ID_REUSED",
                f"request_id {request.request_id!r} was used for another request; take a new one",
                violations=[("request_id", "names one request only")],
            )
        self._feed.notify(call.tenant_id, done.outcome.revision)
        return done.outcome

    async def list(
        self, call: CallContext, prefix: Address, *, size: int, token: str = "", keys_only: bool = False
    ) -> tuple[Page, str]:
        """A page of entries by key, and the token of the next page ("" on the last)."""
        prefix = check_prefix(prefix)
        check_access(call, prefix)
        after = str(_position(LIST, token)) if token else ""
        page = await self._store.list(
            call.tenant_id, prefix, after=after, size=size, keys_only=keys_only, now=self._clock()
        )
        return page, encode_cursor(LIST, page.entries[-1].address.key) if page.more else ""

    async def history(
        self, call: CallContext, address: Address, *, size: int, token: str = ""
    ) -> tuple[Page, str]:
        """A page of an entry's changes, newest first, and the token of the next page ("" on the last)."""
        address = check_address(address)
        check_access(call, address)
        before = int(_position(HISTORY, token)) if token else None
        page = await self._store.history(call.tenant_id, address, before, size)
        return page, encode_cursor(HISTORY, page.entries[-1].revision) if page.more else ""


def _checked(call: CallContext, transaction: Transaction) -> Transaction:
    """The transaction with full addresses; everything about it that needs no state is checked."""
    compares = tuple(_checked_compare(call, item) for item in transaction.compares)
    branches = (transaction.then, transaction.otherwise)
    then, otherwise = (tuple(_checked_op(call, op) for op in ops) for ops in branches)
    for ops in (then, otherwise):
        _check_duplicates(ops)
    return Transaction(compares, then, otherwise)


def _checked_compare(call: CallContext, compare: Compare) -> Compare:
    address = check_address(compare.address)
    check_access(call, address)
    return Compare(address, compare.condition, compare.value)


def _checked_op(call: CallContext, op: Op) -> Op:
    address = check_address(op.address)
    check_access(call, address, write=not isinstance(op, Get))
    if isinstance(op, Get):
        return Get(address)
    if isinstance(op, Delete):
        return Delete(address)
    check_size(op.data)
    if op.ttl is not None and op.ttl > LONGEST_TTL:
        raise InvalidArgument(
            "TTL_INVALID", "a ttl is at most 100 years", violations=[("ttl", "at most 100 years")]
        )
    return Put(address, op.content_type, op.data, op.ttl, op.reducer)


def _check_duplicates(ops: Iterable[Op]) -> None:
    seen: set[Address] = set()
    for op in ops:
        if isinstance(op, Get):
            continue
        if op.address in seen:
            raise InvalidArgument(
                "DUPLICATE_WRITE", f"a transaction writes {op.address.key!r} twice", key=op.address.key
            )
        seen.add(op.address)


def _addresses(transaction: Transaction) -> set[Address]:
    parts: tuple[Compare | Op, ...] = (*transaction.compares, *transaction.then, *transaction.otherwise)
    return {part.address for part in parts}


def _check_answer(outcome: Outcome) -> None:
    if sum(len(entry.data) for entry in outcome.results if entry) > MOST_ANSWER_BYTES:
        raise too_large(f"its answer would have more than {MOST_ANSWER_BYTES} bytes")


def _conflict(address: Address, entry: Entry | None) -> Aborted:
    revision = entry.revision if entry else 0
    state = f"it is at revision {revision}" if entry else "it does not exist"
    return Aborted(
        "REVISION_CONFLICT",
        f"the compare on {address.key!r} does not hold: {state}; read it again",
        key=address.key,
        revision=revision,
    )


def _not_found(address: Address) -> NotFound:
    where = f"namespace {address.namespace!r}" if address.namespace else "the global namespace"
    return NotFound(
        "KEY_NOT_FOUND",
        f"there is no key {address.key!r} in {where} of scope {address.scope!r}",
        key=address.key,
        namespace=address.namespace,
        scope=address.scope,
    )


def _position(kind: str, token: str) -> str | int:
    match decode_cursor(kind, token):
        case [str() | int() as value] if isinstance(value, str) is (kind == LIST):
            return value
    raise InvalidArgument("CURSOR_INVALID", f"{token!r} is not a page token of {kind}", kind=kind)
