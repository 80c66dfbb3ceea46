"""A batch, its items and what came of them, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pentad_common.call import CallContext
from pentad_llm_gateway.completion import Usage

BatchState = Literal["PENDING", "RUNNING", "CANCELLING", "COMPLETED", "FAILED", "CANCELLED"]
ItemState = Literal["SUCCEEDED", "FAILED", "CANCELLED"]

NOTHING = Usage()
ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class Progress:
    """How many items have come to which end, and what they cost."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    usage: Usage = NOTHING
    cost_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch. `caller` is who handed it in: its items are asked as that one. `model` is `provider/model`.
    `error` is a serialised `pentad.common.v1.Error`: why it failed, or why it is being stopped."""

    id: str
    caller: CallContext
    requested_model: str
    model: str
    native: bool
    state: BatchState
    items: int
    create_time: datetime
    expire_time: datetime
    """When what is not answered yet is given up."""
    finish_time: datetime | None = None
    error: bytes | None = None
    provider_batch_id: str = ""
    polls: int = 0
    """How often it was looked after since it was handed on to the provider."""
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch that is handed in; `request_id` "" if its caller does not name it. `requests`: custom ids and
    serialised `pentad.llm.v1.Completion`s."""

    caller: CallContext
    request_id: str
    requested_model: str
    model: str
    native: bool
    requests: tuple[tuple[str, bytes], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Item:
    """A request to be asked. `attempts` has this one in it."""

    batch_id: str
    number: int
    caller: CallContext
    request: bytes = field(repr=False)
    attempts: int
    expire_time: datetime
    stopping: bool
    """Whether the batch is being stopped: it is not to be asked, but ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an item: a serialised `pentad.llm.v1.InvokeResponse`, or `pentad.common.v1.Error`.

    `call`: a row of `llm_calls` that is kept with it, for calls that are not in the ledger yet.
    """

    number: int
    state: ItemState
    response: bytes | None = field(default=None, repr=False)
    error: bytes | None = None
    usage: Usage = NOTHING
    cost_micros: int | None = None
    call: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an item, as it is read back."""

    number: int
    custom_id: str
    response: bytes | None = field(repr=False)
    error: bytes | None


def caller_document(caller: CallContext) -> dict[str, Any]:
    """What is kept of who handed a batch in."""
    return {
        "role": caller.role,
        "grants": list(caller.grants),
        "agent": caller.agent,
        "run_id": caller.run_id,
        "request_id": caller.request_id,
        "traceparent": caller.traceparent,
    }


def caller_from(tenant_id: str, key_id: str, document: Mapping[str, Any]) -> CallContext:
    """Who handed a batch in, as a call that has no deadline."""
    return CallContext(
        tenant_id=tenant_id,
        key_id=key_id,
        role=document["role"],
        grants=tuple(document["grants"]),
        agent=document["agent"],
        run_id=document["run_id"],
        request_id=document["request_id"],
        traceparent=document["traceparent"],
    )
