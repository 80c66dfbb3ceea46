"""What came of an item, made of an answer or an error."""

from __future__ import annotations

from dataclasses import replace

from pentad.llm.v1 import llm_pb2 as pb
from pentad_common.errors import Cancelled, Code, PentadError, to_proto
from pentad_llm_gateway import conversion
from pentad_llm_gateway.batches.model import Outcome
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.catalog import CURRENCY
from pentad_llm_gateway.completion import Answer, Completion
from pentad_llm_gateway.gateway import Reply
from pentad_llm_gateway.routing import Target
from pentad_llm_gateway.store.sql import row


def answered(number: int, reply: Reply) -> Outcome:
    """An answer that the gateway got."""
    proto = conversion.reply_proto(reply)
    return Outcome(
        number,
        "SUCCEEDED",
        response=proto.SerializeToString(),
        usage=reply.usage,
        cost_micros=reply.cost_micros,
    )


def ended(number: int, error: PentadError) -> Outcome:
    """No answer."""
    state = "CANCELLED" if error.code is Code.CANCELLED else "FAILED"
    return Outcome(number, state, error=serialised(error))  # type: ignore[arg-type]


def serialised(error: PentadError) -> bytes:
    """The error as it is kept."""
    return to_proto(error).SerializeToString()


def cancelled() -> PentadError:
    """The error of what a stopped batch has not asked, or not to the end."""
    return Cancelled("CANCELLED", "the batch was cancelled")


def from_provider(number: int, call: CallRecord, target: Target, result: Answer | PentadError) -> Outcome:
    """What the provider's own batch API made of an item: at its price for batches, and with a row for the
    ledger, since no call was made."""
    if isinstance(result, PentadError):
        call.attempts = int(result.code is not Code.CANCELLED)
        call.end(result.reason)
        outcome = ended(number, result)
        return outcome if outcome.state == "CANCELLED" else _with_call(outcome, call, None)
    call.attempts = 1
    call.answered(result)
    call.end()
    cost = target.entry.batch_cost_micros(call.usage)
    reply = Reply(result.message, result.finish_reason, call.usage, cost, call.served())
    return _with_call(answered(number, reply), call, cost)


def _with_call(outcome: Outcome, call: CallRecord, cost_micros: int | None) -> Outcome:
    kept = row(call) | {"cost_micros": cost_micros}
    kept["currency_code"] = None if cost_micros is None else CURRENCY
    return replace(outcome, call=kept)


def read_request(data: bytes) -> Completion:
    """An item's request, as it was kept. Raises InvalidArgument INVALID_REQUEST if it does not pass any
    more."""
    return conversion.read_completion(pb.Completion.FromString(data))
