"""Between the contract's messages and plain values."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from pentad.common.v1 import common_pb2
from pentad.context.v1 import context_pb2 as pb
from pentad_common.errors import InvalidArgument
from pentad_context.context import Repeatable
from pentad_context.model import (
    TENANT_SCOPE,
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
from pentad_context.watch import News, Start

_REDUCERS = {
    pb.REDUCER_UNSPECIFIED: Reducer.REPLACE,
    pb.REDUCER_APPEND: Reducer.APPEND,
    pb.REDUCER_MERGE: Reducer.MERGE,
    pb.REDUCER_INCREMENT: Reducer.INCREMENT,
}


def from_address(address: pb.Address) -> Address:
    """An address, as it was sent."""
    return Address(address.scope, address.namespace, address.key)


def to_timestamp(value: datetime) -> Timestamp:
    """A time as the contract has it."""
    timestamp = Timestamp()
    timestamp.FromDatetime(value.astimezone(UTC))
    return timestamp


def from_put(op: pb.PutOp) -> Put:
    """A write."""
    return Put(
        address=from_address(op.address),
        content_type=op.content.content_type,
        data=op.content.data,
        ttl=_timedelta(op.ttl) if op.HasField("ttl") else None,
        reducer=_REDUCERS[op.reducer],
    )


def _timedelta(duration: Duration) -> timedelta:
    """At least a microsecond: shorter ones would be none."""
    return max(
        timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000), timedelta(microseconds=1)
    )


def from_compare(compare: pb.Compare, address: Address) -> Compare:
    """A compare on `address`. Raises InvalidArgument COMPARE_INVALID if it says nothing."""
    name = compare.WhichOneof("condition")
    if name is None:
        raise invalid("compare", "needs one of revision, version, data and exists")
    return Compare(address, Condition(name), getattr(compare, name))


def invalid(field: str, rule: str) -> InvalidArgument:
    """COMPARE_INVALID or OP_INVALID."""
    reason = "OP_INVALID" if field == "op" else "COMPARE_INVALID"
    return InvalidArgument(reason, f"{field} {rule}", violations=[(field, rule)])


def own_compare(request: pb.PutRequest | pb.DeleteRequest, address: Address) -> Compare | None:
    """The compare of a Put or Delete, which is on the entry that it writes."""
    if not request.HasField("compare"):
        return None
    asked = from_address(request.compare.address)
    same = (asked.scope or TENANT_SCOPE, *asked[1:]) == (address.scope or TENANT_SCOPE, *address[1:])
    if request.compare.HasField("address") and not same:
        raise invalid("compare.address", "must be unset: it is the entry that is written")
    return from_compare(request.compare, address)


def from_op(op: pb.Op) -> Op:
    """One op. Raises InvalidArgument OP_INVALID if it is none."""
    match op.WhichOneof("op"):
        case "put":
            return from_put(op.put)
        case "delete":
            return Delete(from_address(op.delete))
        case "get":
            return Get(from_address(op.get))
    raise invalid("op", "must be one of put, delete and get")


def from_transact(request: pb.TransactRequest) -> Transaction:
    """A transaction."""
    return Transaction(
        tuple(from_compare(item, from_address(item.address)) for item in request.compares),
        tuple(from_op(op) for op in request.then),
        tuple(from_op(op) for op in request.otherwise),
    )


def repeatable(request: pb.PutRequest | pb.TransactRequest) -> Repeatable | None:
    """The request's name, if it has one."""
    return Repeatable(request.request_id, fingerprint(request)) if request.request_id else None


def fingerprint(message: Message) -> str:
    """SHA-256 of what a message says, in hex."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()


def to_entry(entry: Entry, keys_only: bool = False) -> pb.Entry:
    """An entry; without content where it was removed or only keys are asked for."""
    proto = pb.Entry(
        address=pb.Address(**entry.address._asdict()),
        revision=entry.revision,
        create_revision=entry.create_revision,
        version=entry.version,
        writer=entry.writer,
        update_time=to_timestamp(entry.update_time),
        expire_time=to_timestamp(entry.expire_time) if entry.expire_time else None,
        deleted=entry.deleted,
    )
    if not entry.deleted and not keys_only:
        proto.content.CopyFrom(common_pb2.Content(content_type=entry.content_type, data=entry.data))
    return proto


def to_outcome(outcome: Outcome) -> pb.TransactResponse:
    """What a transaction did."""
    results = [pb.OpResult(entry=to_entry(entry) if entry else None) for entry in outcome.results]
    return pb.TransactResponse(succeeded=outcome.succeeded, results=results, revision=outcome.revision)


def from_watch(request: pb.WatchRequest) -> Start:
    """Where a watch begins."""
    return Start(request.after, request.after_revision, request.include_current)


def to_news(news: News) -> pb.WatchResponse:
    """A change."""
    entry = to_entry(news.entry) if news.entry else None
    return pb.WatchResponse(entry=entry, cursor=news.cursor, revision=news.revision)
