"""Between the contract's messages and the gateway's values."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from pentad.common.v1 import common_pb2
from pentad.llm.v1 import llm_pb2 as pb
from pentad_common.errors import InvalidArgument, to_proto
from pentad_llm_gateway import completion as c
from pentad_llm_gateway.cache.base import CachePolicy
from pentad_llm_gateway.call_record import Served
from pentad_llm_gateway.catalog import CURRENCY, Price
from pentad_llm_gateway.embedding import Texts
from pentad_llm_gateway.limits.levels import LimitLevel
from pentad_llm_gateway.listing import ListedDeployment, ListedModel
from pentad_llm_gateway.replies import Done, Embedded, Failed, Frame, Reply
from pentad_llm_gateway.store.base import ModelUsage, UsageQuery

_FLOAT_BYTES = 4
_BESIDE_BYTES = 64 * 1024
"""Room for all that is in an answer beside its vectors."""

_ROLES: dict[int, c.Role] = {
    pb.MESSAGE_ROLE_SYSTEM: "system",
    pb.MESSAGE_ROLE_USER: "user",
    pb.MESSAGE_ROLE_ASSISTANT: "assistant",
    pb.MESSAGE_ROLE_TOOL: "tool",
}
_MODES: dict[int, c.ChoiceMode] = {
    pb.ToolChoice.MODE_NONE: "none",
    pb.ToolChoice.MODE_REQUIRED: "required",
    pb.ToolChoice.MODE_NAMED: "named",
}
_FINISH: dict[str, pb.FinishReason] = {
    "stop": pb.FINISH_REASON_STOP,
    "length": pb.FINISH_REASON_LENGTH,
    "tool_calls": pb.FINISH_REASON_TOOL_CALLS,
    "content_filter": pb.FINISH_REASON_CONTENT_FILTER,
}


def read_completion(proto: pb.Completion) -> c.Completion:
    """The request. Raises InvalidArgument INVALID_REQUEST for what the contract's rules cannot tell."""
    return c.Completion(
        model=proto.model,
        messages=tuple(_message(item, f"completion.messages[{i}]") for i, item in enumerate(proto.messages)),
        tools=tuple(_tool(item, f"completion.tools[{i}]") for i, item in enumerate(proto.tools)),
        tool_choice=_tool_choice(proto),
        response_format=_response_format(proto),
        sampling=_sampling(proto.sampling),
        extras=MessageToDict(proto.extras),
    )


def _invalid(field: str, description: str) -> InvalidArgument:
    error = InvalidArgument(
        "INVALID_REQUEST", f"{field}: {description}", field=field, violations=[(field, description)]
    )
    error.metadata["class"] = "invalid_request"
    return error


def _message(proto: pb.Message, path: str) -> c.Message:
    parts = tuple(_part(part, f"{path}.parts[{i}]") for i, part in enumerate(proto.parts))
    return c.Message(_ROLES[proto.role], parts)


def _part(proto: pb.MessagePart, path: str) -> c.Part:
    match proto.WhichOneof("part"):
        case "text":
            return c.Text(proto.text)
        case "image":
            image = proto.image
            if not image.data and not image.url.startswith(("http://", "https://")):
                raise _invalid(f"{path}.image", "needs data, or a url that begins with http:// or https://")
            return c.Image(image.content_type or "image/png", image.data, image.url)
        case "tool_call":
            call = proto.tool_call
            _json_object(call.arguments or "{}", f"{path}.tool_call.arguments")
            return c.ToolCall(call.id, call.name, call.arguments)
        case "tool_result":
            result = proto.tool_result
            return c.ToolResult(result.tool_call_id, result.content, result.is_error)
        case "reasoning":
            thought = proto.reasoning
            return c.Reasoning(thought.text, thought.signature, thought.redacted)
        case _:
            raise _invalid(path, "has none of text, image, tool_call, tool_result and reasoning")


def _tool(proto: pb.Tool, path: str) -> c.Tool:
    schema = _json_object(proto.input_schema or '{"type": "object"}', f"{path}.input_schema")
    return c.Tool(proto.name, proto.description, schema, proto.strict if proto.HasField("strict") else None)


def _json_object(text: str, path: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise _invalid(path, f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise _invalid(path, "is not a JSON object")
    return value


def _tool_choice(proto: pb.Completion) -> c.ToolChoice:
    choice = proto.tool_choice
    mode = _MODES.get(choice.mode, "auto")
    if mode == "named" and choice.name not in {tool.name for tool in proto.tools}:
        raise _invalid("completion.tool_choice.name", "names none of completion.tools")
    if mode == "required" and not proto.tools:
        raise _invalid("completion.tool_choice.mode", "requires a tool, and completion.tools has none")
    return c.ToolChoice(mode, choice.name if mode == "named" else "")


def _response_format(proto: pb.Completion) -> c.ResponseFormat | None:
    form = proto.response_format
    match form.WhichOneof("format"):
        case "json_schema":
            schema = _json_object(form.json_schema, "completion.response_format.json_schema")
            return c.ResponseFormat(schema, form.name or "answer")
        case "json_object" if form.json_object:
            return c.ResponseFormat(None, form.name or "answer")
        case _:
            return None


def _sampling(proto: pb.Sampling) -> c.Sampling:
    def given(name: str) -> Any:
        return getattr(proto, name) if proto.HasField(name) else None

    return c.Sampling(
        temperature=given("temperature"),
        top_p=given("top_p"),
        max_output_tokens=given("max_output_tokens"),
        stop=tuple(proto.stop),
        seed=given("seed"),
        reasoning_effort=proto.reasoning_effort,
    )


def read_texts(request: pb.EmbedRequest) -> Texts:
    """Texts to be turned into vectors."""
    dimensions = request.dimensions if request.HasField("dimensions") else None
    return Texts(request.model, tuple(request.inputs), dimensions, MessageToDict(request.extras))


def embedded_proto(embedded: Embedded, most_bytes: int) -> pb.EmbedResponse:
    """Vectors. Raises InvalidArgument INVALID_REQUEST if they do not fit into one message."""
    size = sum(len(vector) for vector in embedded.values) * _FLOAT_BYTES
    if size + _BESIDE_BYTES > most_bytes:
        raise _invalid("inputs", f"their vectors take {size} bytes, more than one message has; ask for fewer")
    return pb.EmbedResponse(
        embeddings=[pb.Embedding(values=vector) for vector in embedded.values],
        usage=usage_proto(embedded.usage, embedded.cost_micros),
        served=served_proto(embedded.served),
    )


def read_cache_policy(
    request: pb.InvokeRequest | pb.InvokeStreamingRequest | pb.EmbedRequest,
) -> CachePolicy:
    """What the call may take from the cache and leave there."""
    cache = request.cache
    ttl = cache.ttl.ToNanoseconds() / 1e9 if cache.HasField("ttl") else None
    return CachePolicy(cache.bypass, cache.no_store, ttl)


def reply_proto(reply: Reply) -> pb.InvokeResponse:
    """A whole answer."""
    return pb.InvokeResponse(
        message=message_proto(reply.message),
        finish_reason=_FINISH.get(reply.finish_reason, pb.FINISH_REASON_UNSPECIFIED),
        usage=usage_proto(reply.usage, reply.cost_micros),
        served=served_proto(reply.served),
    )


def frame_proto(frame: Frame) -> pb.InvokeStreamingResponse:
    """A frame of a streamed answer."""
    match frame:
        case c.TextDelta(text):
            return pb.InvokeStreamingResponse(delta=pb.Delta(text=text))
        case c.ToolCallDelta(index, call_id, name, arguments):
            delta = pb.ToolCallDelta(index=index, id=call_id, name=name, arguments=arguments)
            return pb.InvokeStreamingResponse(delta=pb.Delta(tool_call=delta))
        case c.ReasoningDelta(index, text, signature, redacted):
            thought = pb.ReasoningDelta(index=index, text=text, signature=signature, redacted=redacted)
            return pb.InvokeStreamingResponse(delta=pb.Delta(reasoning=thought))
        case Done(finish_reason, usage, cost, served):
            finish = _FINISH.get(finish_reason, pb.FINISH_REASON_UNSPECIFIED)
            end = pb.End(finish_reason=finish, usage=usage_proto(usage, cost), served=served_proto(served))
            return pb.InvokeStreamingResponse(end=end)
        case Failed(error, usage, cost, served):
            failure = pb.Failure(
                error=to_proto(error), usage=usage_proto(usage, cost), served=served_proto(served)
            )
            return pb.InvokeStreamingResponse(failure=failure)


def message_proto(message: c.Message) -> pb.Message:
    """A turn; a model thinks, says words and calls tools, so there are no other parts."""
    proto = pb.Message(role=f"MESSAGE_ROLE_{message.role.upper()}")
    for part in message.parts:
        if isinstance(part, c.Text):
            proto.parts.add(text=part.text)
        elif isinstance(part, c.ToolCall):
            proto.parts.add(tool_call=pb.ToolCall(id=part.id, name=part.name, arguments=part.arguments))
        elif isinstance(part, c.Reasoning):
            thought = pb.Reasoning(text=part.text, signature=part.signature, redacted=part.redacted)
            proto.parts.add(reasoning=thought)
    return proto


def usage_proto(usage: c.Usage, cost_micros: int | None, calls: int = 1) -> common_pb2.Usage:
    """Tokens and cost; the cost stays unset where no price is known."""
    proto = common_pb2.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        estimated=usage.estimated,
        calls=calls,
    )
    if cost_micros is not None:
        proto.cost.CopyFrom(common_pb2.Money(currency_code=CURRENCY, micros=cost_micros))
    return proto


def served_proto(served: Served) -> pb.Served:
    """What was asked for and what served."""
    first = served.time_to_first_token
    return pb.Served(
        call_id=served.call_id,
        requested_model=served.requested_model,
        model=served.model,
        provider=served.provider,
        attempts=served.attempts,
        latency=_duration(served.latency),
        time_to_first_token=None if first is None else _duration(first),
        cached=served.cached,
        provider_request_id=served.provider_request_id,
        ignored_fields=served.ignored_fields,
        failed_models=[
            pb.FailedModel(model=item.model, provider=item.provider, reason=item.reason)
            for item in served.failed_models
        ],
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(round(seconds * 1e6))
    return duration


def model_proto(model: ListedModel) -> pb.Model:
    """A model that can be asked, or could be."""
    entry = model.entry
    return pb.Model(
        name=model.name,
        provider=model.provider,
        context_window=entry.context_window,
        max_output_tokens=entry.max_output_tokens,
        tools=entry.tools,
        images=entry.images,
        json_schema=entry.json_schema,
        embeddings=entry.embeddings,
        input_price=_price(entry.price, "input"),
        output_price=_price(entry.price, "output"),
        available=not model.unavailable_reason,
        unavailable_reason=model.unavailable_reason,
    )


def alias_proto(name: str, deployments: list[ListedDeployment]) -> pb.Alias:
    """A name of the operator's."""
    return pb.Alias(
        name=name,
        deployments=[
            pb.Deployment(
                model=item.model,
                weight=item.weight,
                available=not item.unavailable_reason,
                unavailable_reason=item.unavailable_reason,
            )
            for item in deployments
        ],
    )


def _price(price: Price | None, side: str) -> common_pb2.Money | None:
    if price is None:
        return None
    return common_pb2.Money(currency_code=CURRENCY, micros=round(getattr(price, side) * 1_000_000))


def read_usage_query(request: pb.GetUsageRequest) -> UsageQuery:
    """Which calls to sum up."""
    return UsageQuery(
        start=_time(request, "start_time"),
        end=_time(request, "end_time"),
        run_id=request.run_id,
        agent=request.agent,
    )


def _time(request: pb.GetUsageRequest, field: str) -> datetime | None:
    value: Timestamp = getattr(request, field)
    try:
        return value.ToDatetime(tzinfo=UTC) if request.HasField(field) else None
    except (ValueError, OverflowError):
        raise _invalid(field, "is not a time between the years 1 and 9999") from None


def _limit_usage(level: LimitLevel) -> pb.LimitUsage:
    proto = pb.LimitUsage(
        name=level.name,
        scope=level.scope,
        subject=level.subject,
        kind=level.kind,
        limit=level.limit,
        used=level.used,
    )
    if level.reset is not None:
        proto.reset_time.FromMilliseconds(round(level.reset * 1000))
    return proto


def usage_response(models: list[ModelUsage], limits: list[LimitLevel]) -> pb.GetUsageResponse:
    """All calls, and by model; and the limits. The total has the cost of the calls whose price is known."""
    costs = [item.cost_micros for item in models if item.cost_micros is not None]
    total = c.Usage(
        input_tokens=sum(item.usage.input_tokens for item in models),
        output_tokens=sum(item.usage.output_tokens for item in models),
        cached_input_tokens=sum(item.usage.cached_input_tokens for item in models),
        reasoning_tokens=sum(item.usage.reasoning_tokens for item in models),
        estimated=any(item.usage.estimated for item in models),
    )
    return pb.GetUsageResponse(
        limits=map(_limit_usage, limits),
        total=usage_proto(total, sum(costs) if costs else None, sum(item.calls for item in models)),
        models=[
            pb.ModelUsage(
                model=item.model,
                provider=item.provider,
                usage=usage_proto(item.usage, item.cost_micros, item.calls),
                failures=item.failures,
            )
            for item in models
        ],
    )
